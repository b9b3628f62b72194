"""Tables of the residual stream: by layer, part, head, category and question; and the metrics of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.data.questions import Question
from lab.studies.attention_intervals import between
from lab.studies.probing_figures import Models, components, with_difference
from lab.studies.probing_intervals import ENTITY, Clusters, clusters, over_clusters
from lab.studies.probing_measure import Measured
from lab.studies.probing_questions import of_category
from lab.studies.probing_verdicts import depth_share, feed_forward_share, part_difference

_OF_LAYER = (("stream (rms)", lambda m: m.lengths[:, 1:]), ("attention / stream", lambda m: m.sizes["attention"]),
             ("feed-forward / stream", lambda m: m.sizes["feed-forward"]),
             ("attention cosine", lambda m: m.cosines["attention"]),
             ("feed-forward cosine", lambda m: m.cosines["feed-forward"]),
             ("attention (nats)", lambda m: m.parts["attention"]),
             ("feed-forward (nats)", lambda m: m.parts["feed_forward"]),
             ("lens: answer − foil (nats)", lambda m: m.lens["difference"]),
             ("lens: answer first (share)", lambda m: (m.lens["rank"] == 1).astype(float)),
             ("lens from the output (bits)", lambda m: m.lens["divergence"]))  # fmt: skip


def layers(models: Models, grouped: Clusters) -> list[dict[str, Any]]:
    """Returns a row a layer and model, the difference too, with intervals."""
    rows = []
    columns = {name: with_difference({model: of(each) for model, each in models.items()}) for name, of in _OF_LAYER}
    told = {name: {model: over_clusters(values, grouped) for model, values in each.items()}
            for name, each in columns.items()}
    for model in next(iter(told.values())):
        for layer in range(next(iter(models.values())).parts["attention"].shape[1]):
            row: dict[str, Any] = {"model": model, "layer": layer}
            for name, each in told.items():
                row |= _told(name, *(float(end[layer]) for end in each[model]))
            rows.append(row)
    return rows


def parts(models: Models, grouped: Clusters) -> list[dict[str, Any]]:
    """Returns a row a part in the order in which they write, and their sum, with what each adds to the logit difference."""
    found = {model: components(each) for model, each in models.items()}
    _, kinds, names = max(found.values(), key=lambda each: len(each[1]))
    values = with_difference({model: np.concatenate([each[0], each[0].sum(1, keepdims=True)], 1)
                              for model, each in found.items()})
    told = {model: over_clusters(each, grouped) for model, each in values.items()}
    rows = []
    for index, (kind, name) in enumerate(zip([*kinds, "sum"], [*names, ""], strict=True)):
        row: dict[str, Any] = {"part": kind if not name.isdigit() else f"{kind} {name}"}
        for model, each in told.items():
            row |= _told(f"{model} (nats)", *(float(end[index]) for end in each))
        rows.append(row)
    return rows


def heads(models: Models, grouped: Clusters) -> list[dict[str, Any]]:
    """Returns a row a head, largest contribution of the last model first; none where heads cannot be told apart."""
    told = {model: over_clusters(values, grouped)
            for model, values in with_difference({name: each.parts["heads"] for name, each in models.items()}).items()}
    grid = list(told.values())[-1][0]
    places = [(int(layer), int(head)) for layer, head in np.argwhere(np.isfinite(grid))]
    rows = []
    for layer, head in sorted(places, key=lambda at: -abs(grid[at])):
        row: dict[str, Any] = {"head": f"{layer}.{head}"}
        for model, each in told.items():
            row |= _told(f"{model} (nats)", *(float(end[layer, head]) for end in each))
        rows.append(row)
    return rows


def categories(models: Models, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Returns a row a category and model: what is answered, by how much, from which layer on; intervals over entities."""
    rows = []
    for category, chosen in of_category(questions).items():
        grouped = clusters([questions[i] for i in chosen], ENTITY)
        for model, each in models.items():
            first, lead = each.first_layer()[chosen], each.parts["total"][chosen]
            row: dict[str, Any] = {"category": category, "questions": len(chosen), "model": model,
                                   "answered (share)": float(each.right[chosen].mean())}
            row |= _told("answer − foil (nats)", *map(float, over_clusters(lead, grouped)))
            row |= _told("first layer", *map(float, over_clusters(first, grouped)))
            row |= _told("attention (nats)", float(each.parts["attention"][chosen].sum(1).mean()))
            row |= _told("feed-forward (nats)", float(each.parts["feed_forward"][chosen].sum(1).mean()))
            rows.append(row)
    return rows


def of_questions(models: Models, questions: Sequence[Question], grouped: Clusters) -> list[dict[str, Any]]:
    """Returns a row a question."""
    rows = []
    for index, question in enumerate(questions):
        row: dict[str, Any] = {"question": question.name, "category": question.category, "template": question.template,
                               "entities": ", ".join(question.entities), "cluster": int(grouped.of[index]),
                               "answer": question.answer, "foil": question.foil, "tokens": len(question.input_ids)}
        for model, each in models.items():
            first = each.first_layer()[index]
            row |= {f"{model}: answered": bool(each.right[index]),
                    f"{model}: first layer": int(first) if np.isfinite(first) else None,
                    f"{model}: answer − foil (nats)": float(each.parts["total"][index]),
                    f"{model}: attention (nats)": float(each.parts["attention"][index].sum()),
                    f"{model}: feed-forward (nats)": float(each.parts["feed_forward"][index].sum())}
        rows.append({**row, "text": question.text})
    return rows


def summary(models: Models, untrained: Measured | None) -> dict[str, float]:
    """Returns the metrics of a run; of two models each by its name."""
    found: dict[str, float] = {}
    for name, each in models.items():
        begin = "" if len(models) == 1 else f"{name}_"
        depth = depth_share(each)
        found |= {f"probing/{begin}stream_growth_ln_per_layer": float(each.growth.mean()),
                  f"probing/{begin}feed_forward_length_share": float(np.nanmean(feed_forward_share(each))),
                  f"probing/{begin}logit_difference_nats": float(each.parts["total"].mean()),
                  f"probing/{begin}attention_attribution_nats": float(each.parts["attention"].sum(1).mean()),
                  f"probing/{begin}feed_forward_attribution_nats": float(each.parts["feed_forward"].sum(1).mean()),
                  f"probing/{begin}feed_forward_minus_attention_nats": float(part_difference(each).mean()),
                  f"probing/{begin}answered_share": float(each.right.mean()),
                  f"probing/{begin}attribution_error_max_nats": float(np.abs(each.parts["left"]).max())}
        if np.isfinite(depth).any():
            found[f"probing/{begin}answer_first_depth_share"] = float(np.nanmean(depth))
    if untrained is not None:
        found["probing/untrained_stream_growth_ln_per_layer"] = float(untrained.growth.mean())
    return {name: value for name, value in found.items() if np.isfinite(value)}


def short(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns rows with only some of their columns."""
    return [{name: row[name] for name in names if name in row} for row in rows]


def _told(name: str, value: float, low: float = np.nan, high: float = np.nan) -> dict[str, Any]:
    if not np.isfinite(value):
        return {name: None}
    return {name: value} | ({f"{name} 95 % interval": told} if (told := between(low, high)) else {})
