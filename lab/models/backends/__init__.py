"""What trains and runs a model: `transformers`, or `unsloth`, which patches it and must therefore come first."""

import sys

from lab.devices import Placement
from lab.errors import DeviceUnavailable, ModelUnsupported

BACKENDS = ("transformers", "unsloth")


def prepare(backend: str) -> None:
    """Imports what the backend needs, before anything else of the kind; called again, it only checks.

    Args:
        backend: `transformers` or `unsloth`.

    Raises:
        ModelUnsupported: It is unknown, or this process already belongs to the other backend.
        DeviceUnavailable: Unsloth is asked for where there is no CUDA GPU.
        DependencyMissing: Unsloth is asked for and not installed.
    """
    if backend not in BACKENDS:
        raise ModelUnsupported(f"backend={backend} is none of {', '.join(BACKENDS)}")
    if backend == "unsloth":
        from lab.models.backends.unsloth import prepare as prepare_unsloth

        prepare_unsloth()
    elif "unsloth" in sys.modules:
        raise ModelUnsupported("backend=transformers: this process has loaded Unsloth, which patches Transformers for "
                               "good; start it as its own process: mlflow run … -P backend=transformers")


def check_placement(backend: str, placement: Placement) -> None:
    """Raises DeviceUnavailable if the backend does not run there.

    Args:
        backend: `transformers` or `unsloth`.
        placement: Where the model shall be.
    """
    if backend == "unsloth" and placement.kind != "cuda":
        raise DeviceUnavailable(f"backend=unsloth runs on CUDA GPUs only, not on {placement.device}; "
                                "type backend=transformers, or device=cuda")
