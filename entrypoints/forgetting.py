"""`mlflow run . -e forgetting`: what did the model lose while it learned?."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("forgetting"))
