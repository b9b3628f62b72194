"""A base and the models tuned from it, one after the other, with as few loadings as there can be."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import BaseMismatch
from lab.models.tuned import open_base, open_run, open_several

if TYPE_CHECKING:
    from lab.tracking.capsule import Capsule

BASE = "base"


def answering(capsules: "Sequence[Capsule]", *, base: str | None = None, device: str = "auto", dtype: str = "auto"
              ) -> Iterator[tuple[str, Any, Any]]:
    """Yields a name, a model and its tokenizer: the base, then every tuned model; each is valid until the next.

    Adapters share one loaded base and are switched on it; whole models are loaded one by one.

    Args:
        capsules: Of runs on the same base.
        base: Where the base lies, if not where the runs recorded it.
        device: See `lab.devices.choose`.
        dtype: See `lab.devices.choose`.

    Raises:
        BaseMismatch: The runs were not all trained on the same base.
    """
    bases = {kept.manifest["base_fingerprint"]: kept for kept in capsules}
    if len(bases) > 1:
        named = "; ".join(f"run {kept.run_id} on {kept.manifest['base_reference']['given']} with fingerprint {print_}"
                          for print_, kept in bases.items())
        raise BaseMismatch(f"these runs were trained on different bases, so there is no common base answer: {named}. "
                           "Ask runs of one base at a time")
    adapters = [kept for kept in capsules if kept.kind == "adapter"]
    if adapters:
        opened = open_several([_reference(kept) for kept in adapters], device=device, dtype=dtype, base=base)
        with opened.model.disable_adapter():
            yield BASE, opened.model, opened.tokenizer
        for name, kept in opened.capsules.items():
            opened.model.set_adapter(name)
            yield _name(kept), opened.model, opened.tokenizer
        del opened
    else:
        bare = open_base(capsules[0], base=base, device=device, dtype=dtype)
        yield BASE, bare.model, bare.tokenizer
        del bare
    for kept in capsules:
        if kept.kind == "model":
            tuned = open_run(_reference(kept), device=device, dtype=dtype)
            yield _name(kept), tuned.model, tuned.tokenizer
            del tuned


def _reference(kept: "Capsule") -> str:
    return kept.run_id if kept.which == "best" else f"{kept.run_id}@{kept.which}"


def _name(kept: "Capsule") -> str:
    return f"run {kept.run_id[:8]}" + ("" if kept.which == "best" else f" ({kept.which})")
