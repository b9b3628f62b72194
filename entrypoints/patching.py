"""`mlflow run . -e patching`: which place carries the answer, or what training changed about it."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("patching"))
