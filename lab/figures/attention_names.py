"""What the statistics of attention are called on axes, with their units."""

from typing import Any

import numpy as np

from lab.figures.arrays import as_floats

_NAMES = {
    "entropy": ("entropy of attention", "nats"),
    "entropy_share": ("entropy / its maximum", "0 to 1"),
    "first_token": ("attention on the first token", "share"),
    "distance": ("mean distance looked back", "tokens"),
    "recent": ("attention on the last few tokens", "share"),
    "previous_token": ("attention on the previous token", "share"),
    "duplicate_token": ("attention on earlier copies,\nabove uniform", "share"),
    "learned_sink": ("attention on the learned sink", "share"),
    "induction": ("attention on what came next\nlast time, above uniform", "share"),
    "divergence": ("divergence of attention", "nats"),
    "direct": ("direct change", "nats"),
    "inherited": ("inherited change", "nats"),
    "output_change": ("change of the head's output", "relative L2"),
}
# zero is what uniform attention gives, and values fall on both sides of it
SIGNED = frozenset({"duplicate_token", "induction"})
# never negative and spread over decades
CHANGES = frozenset({"divergence", "direct", "inherited", "output_change"})


def label(name: str, *, difference: bool = False) -> str:
    """What a statistic is called on an axis, with its unit; an unknown name stands as it is."""
    words, unit = _NAMES.get(name, (name.replace("_", " "), ""))
    words += ":\ntuned − base" if difference else ""
    return f"{words} ({unit})" if unit and not (difference and unit == "0 to 1") else words


def short(name: str) -> str:
    """A statistic's name as a panel's title."""
    return name.replace("_", " ")


def uniform_words(uniform: Any) -> str:
    """What uniform attention would give, in words, a range where it differs between heads; nothing for None."""
    if uniform is None:
        return ""
    values = as_floats(uniform)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    number = f"{low:.3g}" if np.isclose(low, high, rtol=5e-3) else f"{low:.3g} to {high:.3g}"
    return f"uniform attention: {number}"
