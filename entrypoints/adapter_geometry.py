"""`mlflow run . -e adapter_geometry`: what shape an update has."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("adapter_geometry"))
