"""`mlflow run . -e mitigation`: which remedy keeps most of what was learned at the least forgetting?"""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("mitigation"))
