"""`mlflow run . -e linear_probe`: what is linearly readable in a model's activations."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("linear_probe"))
