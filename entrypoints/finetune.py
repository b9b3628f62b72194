"""`mlflow run . -e finetune`: one fine-tune, seen from inside."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("finetune"))
