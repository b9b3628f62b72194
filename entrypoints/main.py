"""`mlflow run . -e main`: the tour: a small fine-tune and every analysis of it."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("main"))
