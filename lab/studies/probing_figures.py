"""Figures of one model's residual stream, or of base and tuned with their difference, kept with their arrays."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.data.questions import Question
from lab.figures.lens_layers import EVEN, answers_won, lens_by_category, lens_difference
from lab.figures.residual_lines import depth_names
from lab.figures.residual_maps import DIFFERENCE, model_maps
from lab.figures.residual_stream import PARTS, stream_norms, written
from lab.figures.residual_waterfall import ATTENTION, EMBEDDING, FEED_FORWARD, OTHER, waterfalls
from lab.studies.probing_intervals import ENTITY, Clusters, clusters, ends, over_clusters
from lab.studies.probing_measure import Measured
from lab.studies.probing_questions import HELD_OUT, of_category
from lab.tracking.run import Run

_NATS = "logit difference (nats)"
_ENTITIES = "whole entities or pairs"
# of a lens: name, axis, what zero means
_READ = (("difference", "logit of answer − foil (nats)", EVEN), ("answer", "log-probability of the answer (nats)", None),
         ("divergence", "KL divergence from the\nmodel's output (bits)", "0: the model's output itself"))
LENSES = {"logit": "lens", "tuned": "tuned_lens"}  # which lens: its values in Measured, and what its figures begin with

Models = Mapping[str, Measured]


def draw(run: Run, models: Models, questions: Sequence[Question], grouped: Clusters, untrained: Measured | None) -> None:
    """Draws everything but single prompts.

    Args:
        run: Open.
        models: One, or base and tuned.
        questions: N.
        grouped: Their clusters.
        untrained: The untrained network, or None.
    """
    _stream(run, models, grouped, untrained)
    _written(run, models, grouped)
    _attribution(run, models, questions, grouped)
    for which, name in LENSES.items():
        if all(getattr(each, name) for each in models.values()):
            _lens(run, models, questions, which)


def components(measured: Measured) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns all contributions [N, C] in the order in which they are written, their kinds and their names."""
    parts = measured.parts
    layers = parts["attention"].shape[1]
    pairs = np.stack([parts["attention"], parts["feed_forward"]], 2).reshape(len(parts["total"]), -1)  # [N, 2 L]
    values = np.concatenate([parts["embedding"][:, None], pairs], 1)
    kinds, names = [EMBEDDING, *[ATTENTION, FEED_FORWARD] * layers], ["emb.", *(str(i // 2) for i in range(2 * layers))]
    if parts["bias"].any():
        return np.concatenate([values, parts["bias"][:, None]], 1), [*kinds, OTHER], [*names, "bias"]
    return values, kinds, names


def with_difference(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the values of one model, or of base and tuned with their difference behind."""
    found = dict(values)
    if len(found) == 2:
        base, tuned = found.values()
        found[DIFFERENCE] = tuned - base
    return found


def _stream(run: Run, models: Models, grouped: Clusters, untrained: Measured | None) -> None:
    lengths = {name: each.lengths for name, each in models.items()}
    first = {name: each.first_lengths for name, each in models.items()}
    arrays = {**{f"{name}.length": values for name, values in lengths.items()},
              **{f"{name}.first_token": values for name, values in first.items()}}
    if untrained is not None:
        arrays["untrained.length"] = untrained.lengths
    ax = stream_norms({name: values.mean(0) for name, values in lengths.items()},
                      intervals={name: ends(values, grouped) for name, values in lengths.items()},
                      first={name: values.mean(0) for name, values in first.items()},
                      untrained=None if untrained is None else untrained.lengths.mean(0), covers=grouped.covers)
    run.figure("stream_norms", _whole(ax), arrays)


def _written(run: Run, models: Models, grouped: Clusters) -> None:
    def named(part: str, model: str) -> str:
        return part if len(models) == 1 else f"{part}, {model}"

    sizes = {named(part, name): each.sizes[part] for name, each in models.items() for part in PARTS}
    cosines = {named(part, name): each.cosines[part] for name, each in models.items() for part in PARTS}
    figure = written({name: over_clusters(values, grouped)[0] for name, values in sizes.items()},
                     {name: over_clusters(values, grouped)[0] for name, values in cosines.items()},
                     share_intervals={name: ends(values, grouped) for name, values in sizes.items()},
                     cosine_intervals={name: ends(values, grouped) for name, values in cosines.items()},
                     expected=1 / np.sqrt(next(iter(models.values())).width), covers=grouped.covers)
    run.figure("written", figure, {**{f"size.{name}": values for name, values in sizes.items()},
                                   **{f"cosine.{name}": values for name, values in cosines.items()}})


def _attribution(run: Run, models: Models, questions: Sequence[Question], grouped: Clusters) -> None:
    found = {name: components(each) for name, each in models.items()}
    _, kinds, names = max(found.values(), key=lambda each: len(each[1]))
    values = with_difference({name: each[0] for name, each in found.items()})
    totals = with_difference({name: each.parts["total"] for name, each in models.items()})
    arrays = {name: np.asarray(each) for name, each in values.items() if name != DIFFERENCE}
    pooled = f"direct attribution, all {len(questions)} questions"
    run.figure("attribution", waterfalls(
        {name: each.mean(0) for name, each in values.items()}, kinds, names,
        intervals={name: ends(each, grouped) for name, each in values.items()},
        totals={name: ends(each, grouped) for name, each in totals.items()}, covers=grouped.covers,
        title=_pool(pooled, questions)), arrays)
    layers = next(iter(models.values())).parts["attention"].shape[1]
    parts = {name: np.stack([each.parts["attention"], each.parts["feed_forward"]], 2) for name, each in models.items()}
    run.figure("attribution_layers", model_maps(
        {name: each.mean(0) for name, each in parts.items()}, depth_names(layers), list(PARTS), label=_NATS,
        title=pooled, xlabel="part", ylabel="layer", signed=True), parts)
    heads = {name: each.parts["heads"] for name, each in models.items()}
    if all(np.isfinite(each).any() for each in heads.values()):
        last = list(with_difference(heads).values())[-1]
        _, low, high = over_clusters(last, grouped)
        marks = (low > 0) | (high < 0)  # nan, where there is no interval, is neither
        run.figure("attribution_heads", model_maps(
            {name: over_clusters(each, grouped)[0] for name, each in heads.items()}, depth_names(layers),
            [str(head) for head in range(last.shape[2])], label=_NATS, title=pooled, xlabel="head",
            ylabel="layer", signed=True, marks=marks, marked="95 % interval of this head alone excludes 0"), heads)


def _lens(run: Run, models: Models, questions: Sequence[Question], which: str) -> None:
    """Figures by category; intervals over whole entities, of which every category has enough."""
    groups = of_category(questions)
    counts = {category: len(rows) for category, rows in groups.items()}
    by_entity = {category: clusters([questions[i] for i in rows], ENTITY) for category, rows in groups.items()}
    layers = next(iter(models.values())).lens["rank"].shape[1]
    begin = "" if which == "logit" else f"{which}_"
    title = f"{which} lens" + ("" if which == "logit" or len(models) == 1 else ", trained on the base, read on both models")
    for name, words, zero in _READ:
        values = {model: getattr(each, LENSES[which])[name] for model, each in models.items()}
        lines = {category: {model: each[rows].mean(0) for model, each in values.items()}
                 for category, rows in groups.items()}
        intervals = {category: {model: ends(each[rows], by_entity[category]) for model, each in values.items()}
                     for category, rows in groups.items()}
        run.figure(f"{begin}lens_{name}", lens_by_category(
            lines, intervals=intervals, counts=counts, ylabel=words, zero=zero, clusters=_ENTITIES,
            title=title), values)
    first = {model: each.first_layer(tuned_lens=which == "tuned") for model, each in models.items()}
    run.figure(f"{begin}lens_won", answers_won({category: {model: each[rows] for model, each in first.items()}
                                                for category, rows in groups.items()}, layers, title=title), first)
    if len(models) == 2:
        base, tuned = (getattr(each, LENSES[which])["difference"] for each in models.values())
        change = {category: (tuned - base)[rows] for category, rows in groups.items()}
        run.figure(f"{begin}lens_change", _whole(lens_difference(
            {category: each.mean(0) for category, each in change.items()},
            intervals={category: ends(each, by_entity[category]) for category, each in change.items()},
            ylabel="change of the answer's lead over its foil,\ntuned − base (nats)", covers=_ENTITIES, title=title)),
            {"change": tuned - base})


def _pool(words: str, questions: Sequence[Question]) -> str:
    """Which questions a mean is over, by category: verdicts on training are about held-out rows alone."""
    groups = of_category(questions)
    if len(groups) == 1:
        return f"{words} ({next(iter(groups))})"
    each = ", ".join(f"{category} {len(rows)}" for category, rows in groups.items())
    return textwrap.fill(f"{words} together: {each}", 100) + (
        f"\n(verdicts on training are about {HELD_OUT} alone)" if HELD_OUT in groups else "")


def _whole(ax: Any) -> Figure:
    assert isinstance(ax.figure, Figure)
    return ax.figure
