"""`mlflow run . -e lora_learns_less`: does LoRA learn less and forget less than full fine-tuning?"""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("lora_learns_less"))
