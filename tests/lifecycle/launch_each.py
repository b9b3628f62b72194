"""`mlflow run` for each list of arguments, one after another in one process, because starting MLflow takes seconds.

Prints `=== name status` to stderr after each.
"""

import json
import os
import sys

from mlflow.cli import cli

for name, arguments in json.loads(sys.argv[1]).items():
    os.environ["MLFLOW_EXPERIMENT_NAME"] = name
    try:
        cli.main(["run", *arguments])
    except SystemExit as ended:
        print(f"=== {name} {ended.code or 0}", file=sys.stderr, flush=True)
