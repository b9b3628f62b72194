"""`mlflow run . -e lora_illusion`: are LoRA and full fine-tuning the same in kind when they are equal in loss?"""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("lora_illusion"))
