"""Makes the tracking store, after which several `mlflow run` can start on it at once."""

import sys

from lab.errors import LabError
from lab.tracking.store import ensure_store, shown


def main() -> int:
    try:
        uri = ensure_store()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"MLFLOW_TRACKING_URI={shown(uri)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
