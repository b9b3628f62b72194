"""`mlflow run . -e learning_rate`: how does the learning rate change it?."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("learning_rate"))
