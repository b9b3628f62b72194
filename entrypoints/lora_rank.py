"""`mlflow run . -e lora_rank`: how does rank change what is learned?."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("lora_rank"))
