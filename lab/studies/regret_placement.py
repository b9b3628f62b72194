"""Adapters on attention alone and on feed-forward layers alone, with as many parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import OptionError
from lab.models.anatomy import LinearModule, linear_modules

MOST_APART = 0.05
_TRIED = 64


@dataclass(frozen=True)
class Placement:
    """An adapter on some of the linear modules.

    Attributes:
        role: `attention` or `feed_forward`.
        targets: The modules, as `targets` takes them.
        r: Rank.
        parameters: Trainable.
    """

    role: str
    targets: str
    r: int
    parameters: int


def of_model(reference: str, attention_r: int) -> tuple[Placement, Placement]:
    """Returns the two placements on a model; its shapes are read, not its weights.

    Args:
        reference: Of the model.
        attention_r: Rank on attention.

    Raises:
        OptionError: No rank on feed-forward layers gives nearly as many parameters, or the model lacks one of the two.
        ModelNotFound, ModelUnsupported: See `lab.models.loading`.
    """
    import torch
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    from lab.models.loading import read_config
    from lab.models.references import folder_of, resolve

    with torch.device("meta"):  # shapes without numbers
        model = AutoModelForCausalLM.from_config(read_config(folder_of(resolve(reference))))
    return matched(linear_modules(model), attention_r)


def matched(modules: Sequence[LinearModule], attention_r: int) -> tuple[Placement, Placement]:
    """Returns the adapter on attention at this rank and the one on feed-forward layers nearest to it in parameters.

    Args:
        modules: The linear modules of a model.
        attention_r: Rank on attention.

    Raises:
        OptionError: The two differ by `MOST_APART` or more, or the model lacks one of them.
    """
    widths = {role: sum(m.inputs + m.outputs for m in modules if m.role == role) for role in ("attention", "feed_forward")}
    if not all(widths.values()):
        raise OptionError(f"attention_r={attention_r}: this model's linear layers are not of attention and feed-forward "
                          "both, as far as the lab can tell; type attention_r=none")
    r = _nearest(widths, attention_r)
    if _apart(widths, attention_r, r) >= MOST_APART:
        better = next((rank for rank in range(attention_r, attention_r + _TRIED)
                       if _apart(widths, rank, _nearest(widths, rank)) < MOST_APART), None)
        raise OptionError(f"attention_r={attention_r}: the nearest adapter on feed-forward layers, r={r}, differs by "
                          f"{_apart(widths, attention_r, r):.0%} in parameters, allowed is less than {MOST_APART:.0%}; type "
                          f"attention_r={better or 'none'}")
    return (Placement("attention", _targets(modules, "attention"), attention_r, attention_r * widths["attention"]),
            Placement("feed_forward", _targets(modules, "feed_forward"), r, r * widths["feed_forward"]))


def _nearest(widths: dict[str, int], attention_r: int) -> int:
    return max(1, round(attention_r * widths["attention"] / widths["feed_forward"]))


def _apart(widths: dict[str, int], attention_r: int, r: int) -> float:
    counts = attention_r * widths["attention"], r * widths["feed_forward"]
    return (max(counts) - min(counts)) / max(counts)


def _targets(modules: Sequence[LinearModule], role: str) -> str:
    """Names that only the modules of this role end in: `q_proj`, or `attn.c_proj` where others end in `c_proj` too."""
    elsewhere = {m.leaf for m in modules if m.role != role}
    names = {m.leaf if m.leaf not in elsewhere else ".".join(m.name.split(".")[-2:]) for m in modules if m.role == role}
    return ",".join(sorted(names))
