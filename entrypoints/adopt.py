"""`mlflow run . -e adopt`: make an adapter trained elsewhere a run."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("adopt"))
