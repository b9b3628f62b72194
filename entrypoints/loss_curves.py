"""`mlflow run . -e loss_curves`: what does a loss curve say?."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("loss_curves"))
