"""`mlflow run . -e attention_compare`: what fine-tuning changed about attention."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("attention_compare"))
