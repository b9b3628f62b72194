"""`mlflow run . -e ask`: base and tuned answers, side by side."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("ask"))
