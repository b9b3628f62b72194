"""`mlflow run . -e pretrain`: make a base model."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("pretrain"))
