"""`mlflow run . -e lora_without_regret`: how many times full fine-tuning's best rate is LoRA's, and is LoRA as good?"""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("lora_without_regret"))
