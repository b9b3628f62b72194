"""What a comparison of attention says in tables: heads, layers, prompts and their categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.data.prompts import Prompt
from lab.studies.attention_changes import Changes
from lab.studies.attention_intervals import over_prompts

Row = dict[str, Any]


def heads(found: Changes) -> list[Row]:
    """Returns a row a head, the one that exceeds its null most first, or that changed most where there is no null."""
    ends = {"divergence": over_prompts(found.values["divergence"])}
    ends |= {name: over_prompts(found.tuned[name] - values) for name, values in found.base.items()}
    return [_head(found, ends, layer, head) for layer, head in order(found)]


def order(found: Changes) -> list[tuple[int, int]]:
    """Returns (layer, head) in the order of `heads`."""
    strength = found.divergence if found.test is None else found.test.ratio
    every = [(layer, head) for layer in found.layers for head in range(strength.shape[1])]
    return sorted(every, key=lambda at: -strength[at])


def layers(found: Changes) -> list[Row]:
    """Returns a row a layer: means over heads with intervals over prompts, and the same of the null."""
    rows = []
    bounds = {name: over_prompts(values.mean(2)) for name, values in found.values.items()}
    for layer in found.layers:
        row: Row = {"layer": layer}
        for name, (mean, low, high) in bounds.items():
            unit = " (relative L2)" if name == "output_change" else " (nats)"
            row |= {f"{name}{unit}": _number(mean[layer]), f"{name} 95 % interval": _span(low[layer], high[layer])}
            if name in found.null:
                draws = found.null[name][:, :, layer].mean((1, 2))
                row |= {f"{name} of the null{unit}": _number(draws.mean()),
                        f"{name} of the null, 95th percentile{unit}": _number(np.percentile(draws, 95))}
        if found.test is not None:
            row["heads changed"] = int(found.test.changed[layer].sum())
        rows.append(row)
    return rows


def prompts(found: Changes, read: Sequence[Prompt]) -> list[Row]:
    """Returns a row a prompt, with the head that changed most on it."""
    rows = []
    for index, prompt in enumerate(read):
        grid = found.values["divergence"][index]
        layer, head = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
        rows.append({"prompt": prompt.name, "category": prompt.category, "tokens": len(prompt.input_ids),
                     "divergence (nats)": _number(np.nanmean(grid)),
                     "divergence of the null (nats)": _null_of(found, [index]),
                     "most changed head": f"{layer}.{head}", "its divergence (nats)": _number(grid[layer, head]),
                     "text": prompt.text})
    return rows


def categories(found: Changes, read: Sequence[Prompt]) -> list[Row]:
    """Returns a row a category of prompts: mean divergence over heads with its interval over prompts, and the null's."""
    rows = []
    for category, members in by_category(read).items():
        mean, low, high = over_prompts(np.nanmean(found.values["divergence"][members], axis=(1, 2)))
        null = _null_of(found, members)
        rows.append({"category": category, "prompts": len(members), "divergence (nats)": _number(mean),
                     "95 % interval": _span(low, high), "divergence of the null (nats)": null,
                     "ratio to the null": None if not null else _number(mean / null)})
    return rows


def by_category(read: Sequence[Prompt]) -> dict[str, list[int]]:
    """Returns indices of prompts by category, in the order of their first."""
    found: dict[str, list[int]] = {}
    for index, prompt in enumerate(read):
        found.setdefault(prompt.category, []).append(index)
    return found


def _head(found: Changes, ends: dict[str, Any], layer: int, head: int) -> Row:
    at = (slice(None), layer, head)
    _, low, high = ends["divergence"]
    row: Row = {"layer": layer, "head": head, "divergence (nats)": _number(found.divergence[layer, head]),
                "95 % interval": _span(low[layer, head], high[layer, head])}
    if found.test is not None:
        test = found.test
        row |= {"null mean (nats)": _number(test.null_mean[layer, head]),
                "null 95th percentile (nats)": _number(test.null_high[layer, head]),
                "ratio to the null": _number(test.ratio[layer, head]), "adjusted p": _number(test.p[layer, head]),
                "changed": bool(test.changed[layer, head]), "changed less": bool(test.less_changed[layer, head])}
    for name in ("direct", "inherited", "output_change"):
        if name in found.values:
            unit = " (relative L2)" if name == "output_change" else " (nats)"
            row[name + unit] = _number(found.values[name][at].mean())
            if name in found.null:
                row[f"{name} of the null{unit}"] = _number(found.null[name][(slice(None), *at)].mean())
    for name, values in found.base.items():
        change, low, high = (end[layer, head] for end in ends[name])
        if np.isfinite(change) and (values.any() or found.tuned[name].any()):  # else there is no learned sink
            row |= {f"{name}: base": _number(_mean(values[at])), f"{name}: tuned": _number(_mean(found.tuned[name][at])),
                    f"{name}: change, 95 % interval": _span(low, high)}
            if name in found.moved:
                row[f"{name}: change of the null, middle 95 %"] = _span(*np.percentile(found.moved[name][at], [2.5, 97.5]))
    return row


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")


def _null_of(found: Changes, members: Sequence[int]) -> float | None:
    if "divergence" not in found.null:
        return None
    return _number(np.nanmean(found.null["divergence"][:, list(members)]))


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _span(low: Any, high: Any) -> str | None:
    return f"{float(low):.3g} to {float(high):.3g}" if np.isfinite(low) else None
