"""`mlflow run . -e attention`: where one model's attention goes."""

import sys

from lab.studies.launch import launch

if __name__ == "__main__":
    sys.exit(launch("attention"))
