"""Roles that heads are known for: how well each head fills them, and what is claimed of them before measuring."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate, over_items
from lab.studies.attention_intervals import over_prompts
from lab.studies.rules import exceeds
from lab.tracking.hypotheses import Hypothesis, Verdict

SINK_FACTOR = 3.0
SINK_SHARE = 0.3  # Gu et al. 2024 (arXiv 2410.10781) call a head a sink from this share on
PREVIOUS = 0.5
MINIMUM_PROMPTS = 6  # of each half there are three then
LISTED = 5
ROLES = {"previous token": "previous_token", "induction": "induction", "duplicate token": "duplicate_token",
         "sink": "first_token"}


@dataclass(frozen=True)
class Measured:
    """Statistics of every head of one model.

    Attributes:
        values: By name, [prompts, L, H]; `induction` on its own prompts, random tokens said twice.
        uniform: By name, [prompts, L], what uniform attention would give; 0 for induction, which is above uniform already.
    """

    values: dict[str, np.ndarray]
    uniform: dict[str, np.ndarray]


def hypotheses(prompts: int) -> list[Hypothesis]:
    """Returns what is claimed of where heads look; nothing with few prompts.

    Args:
        prompts: How many.
    """
    if prompts < MINIMUM_PROMPTS:
        return []
    return [
        Hypothesis("first_token_is_a_sink",
                   f"The first token gets more than {SINK_FACTOR:g} times the attention that uniform attention gives it.",
                   f"mean over heads of the attention on the first token / mean of 1/n over the same queries: supported if "
                   f"its 95 % interval over prompts lies above {SINK_FACTOR:g}, refuted if below", "1: uniform attention"),
        Hypothesis("previous_token_heads_exist",
                   f"There is a head that gives more than {PREVIOUS:g} of its attention to the previous token.",
                   f"attention on the previous token of the head that gives it most on every other prompt, measured on the "
                   f"remaining prompts: supported if its 95 % interval over prompts lies above {PREVIOUS:g}, refuted if "
                   "below",
                   "what uniform attention gives, shown beside it")]


def verdicts(measured: Measured) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses`."""
    first = measured.values["first_token"]
    return [_sink(measured), _previous(measured)] if len(first) >= MINIMUM_PROMPTS else []


def table(measured: Measured) -> list[dict[str, Any]]:
    """Returns the best heads of every role: share, interval over prompts, and what uniform attention gives."""
    rows = []
    for role, name in ROLES.items():
        mean, low, high = over_prompts(measured.values[name])
        for rank, (layer, head) in enumerate(best(measured, name)[:LISTED], start=1):
            above = name in ("duplicate_token", "induction")
            rows.append({"role": role, "rank": rank, "head": f"{layer}.{head}", "share": float(mean[layer, head]),
                         "95 % interval": f"{low[layer, head]:.3g} to {high[layer, head]:.3g}",
                         "uniform attention": "0 (share is above uniform)" if above else
                         f"{float(np.nanmean(measured.uniform[name][:, layer])):.3g}"})
    return rows


def best(measured: Measured, name: str) -> list[tuple[int, int]]:
    """Returns (layer, head) by a statistic, largest first, without those where it is undefined.

    Args:
        measured: Of a model.
        name: Of the statistic.
    """
    mean = over_prompts(measured.values[name])[0]
    places = [(int(layer), int(head)) for layer, head in zip(*np.nonzero(np.isfinite(mean)), strict=True)]
    return sorted(places, key=lambda at: -mean[at])


def one_of_each(measured: Measured, count: int) -> list[tuple[int, int]]:
    """Returns the best head of each role, then the second of each, until there are so many different ones."""
    ranked = [best(measured, name) for name in ROLES.values()]
    turns = [heads[turn] for turn in range(max(map(len, ranked))) for heads in ranked if turn < len(heads)]
    return list(dict.fromkeys(turns))[:count]


def sink_heads(measured: Measured) -> float:
    """Returns the share of heads that give the first token more than 0.3 of their attention (Gu et al. 2024)."""
    mean = over_prompts(measured.values["first_token"])[0]
    defined = np.isfinite(mean)
    return float((mean[defined] > SINK_SHARE).mean())


def _over(statistic: Callable[[np.ndarray], float], prompts: int) -> Estimate:
    return replace(over_items(statistic, prompts), covers=f"prompts (n={prompts})")


def _sink(measured: Measured) -> Verdict:
    mass = np.nanmean(measured.values["first_token"], axis=(1, 2))
    uniform = np.nanmean(measured.uniform["first_token"], axis=1)
    kept = np.flatnonzero(np.isfinite(mass) & np.isfinite(uniform))
    found = _over(lambda rows: float(mass[kept[rows]].sum() / uniform[kept[rows]].sum()), len(kept))
    return exceeds("first_token_is_a_sink", found, threshold=SINK_FACTOR, unit="times uniform attention",
                   null="1: uniform attention", detail=f"{np.mean(mass[kept]):.2f} of all attention, uniform "
                   f"{np.mean(uniform[kept]):.2f}; {sink_heads(measured):.0%} of heads above {SINK_SHARE:g}")


def _previous(measured: Measured) -> Verdict:
    values = measured.values["previous_token"]
    finding, testing = values[::2], values[1::2]
    mean = over_prompts(finding)[0]
    layer, head = np.unravel_index(int(np.nanargmax(mean)), mean.shape)
    each = testing[:, layer, head]
    each = each[np.isfinite(each)]
    uniform = float(np.nanmean(measured.uniform["previous_token"][1::2, layer]))
    found = _over(lambda rows: float(each[rows].mean()), len(each))
    return exceeds("previous_token_heads_exist", found, threshold=PREVIOUS, unit="share of attention",
                   null=f"{uniform:.2g}: uniform attention", detail=f"head {layer}.{head}")
