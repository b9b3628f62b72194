"""`mlflow run . -e probing`: what each block adds to the residual stream, and when the answer is there."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("probing"))
