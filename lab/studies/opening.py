"""What studies of a model do alike: open the model that is named, say which it is, and put one away before the next."""

import gc
from typing import Any

from lab.models.loading import Base, load_base
from lab.models.references import resolve as find_model
from lab.tracking import capsule
from lab.tracking.capsule import Capsule
from lab.tracking.run import Run


def open_model(run: Run, config: Any) -> Base:
    """Returns the model that a study names, the embedded one for none; a run that made it is recorded as the source.

    Args:
        run: Open.
        config: Of the study: `model`, `device` and `dtype`.
    """
    reference = find_model(config.model or "embedded")
    base = load_base(reference, device=config.device, dtype=config.dtype)
    if reference.capsule is not None:
        capsule.use(run, reference.capsule)
    return base


def facts(base: Base) -> dict[str, Any]:
    """Returns what every study records of the model that it looks at."""
    return {"base.reference": base.reference.given, "base.fingerprint": base.fingerprint,
            "base.quantization": base.quantization, "base.device": base.placement.description,
            "base.dtype": base.placement.dtype}


def reference(kept: Capsule) -> str:
    """Returns what `lab.models.tuned` calls these files of a run."""
    return kept.run_id if kept.which == "best" else f"{kept.run_id}@last"


def free() -> None:
    """Gives back the memory of models that nothing refers to any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
