"""Is a fact linearly readable before it wins in the lens? The same candidates, people and threshold for both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from lab.data.labelled import Labelled
from lab.data.labels_attribute import CLASSES, KINDS
from lab.data.labels_tasks import build
from lab.errors import OptionError
from lab.evaluation.intervals import Estimate
from lab.figures.residual_lines import by_layer
from lab.figures.theme import MUTED, legend
from lab.models.batch import inputs
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.first_layer import lasting
from lab.probing.linear_measure import disjoint_part
from lab.probing.linear_measure import read as read_linearly
from lab.probing.linear_scores import majority, resampled
from lab.probing.sites import POST_FFN
from lab.studies.attention_rows import by_length
from lab.studies.linear_probe_intervals import shares
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.run import Run

AUTO, NONE = "auto", "none"
PLACES = {"last": "readable_before_it_wins", "name": "readable_at_the_name_before_it_wins"}  # where the probe reads: verdict
_AT = {"last": "where the answer comes next", "name": "at the name"}
ROWS = 900
UNIT = "layers from probe to lens"
ONE_LAYER = 0.5  # layers differ by whole ones, so that above half of one is at least one
_TOGETHER = "0: the same layer"


@dataclass(frozen=True)
class Readable:
    """Probe and lens on the same n test rows, choosing among the same candidates.

    Attributes:
        task: What was asked.
        candidates: What both choose among: values whose first tokens differ.
        probe: By place of `PLACES`, [L, n], 1 where the probe that reads there is right.
        lens: [L, n], 1 where the lens gives the right candidate's first token more than any other candidate's.
        groups: [n], people.
        majority: Accuracy of always saying the most frequent candidate of the training part.
        trained: Rows that the probe was fitted on.
    """

    task: Labelled
    candidates: tuple[str, ...]
    probe: dict[str, np.ndarray]
    lens: np.ndarray
    groups: np.ndarray
    majority: float
    trained: int


def attribute(config: Any, *, knows: bool) -> str | None:
    """Returns the attribute that probe and lens are asked for, or None.

    Args:
        config: Of the study.
        knows: Whether the model was made for the micro-world.

    Raises:
        OptionError: There is no such attribute, or the model cannot know it.
    """
    if config.readable == NONE or config.readable == AUTO and not knows:
        return None
    kind = "home" if config.readable == AUTO else config.readable
    check_name(kind)
    if not knows:
        raise OptionError(f"readable={kind} asks about people of the micro-world, whom only models know that read with the "
                          f"embedded model's tokenizer; type readable={NONE}")
    return kind


def check_name(kind: str) -> None:
    """Refuses an attribute that there is not.

    Raises:
        OptionError: It names those there are.
    """
    if kind not in (AUTO, NONE, *KINDS):
        raise OptionError(f"readable={kind}: there is no such attribute of people; allowed are {AUTO}, {NONE}, "
                          f"{', '.join(KINDS)}")


def hypotheses(kind: str, threshold: float, *, of_base: bool) -> list[Hypothesis]:
    """Returns what is claimed of an attribute; `of_base` where there is a tuned model too."""
    of = "Base: a" if of_base else "A"
    return [Hypothesis(
        name, f"{of} person's {kind} is linearly readable {_AT[place]} a layer or more before it wins in the lens.",
        f"layer from which on the lens picks the right one of {CLASSES} candidates for at least {threshold:.0%} of people "
        "minus that of a linear probe fitted on others (never: one behind the last), same candidates and "
        f"rows: supported if its interval lies above {ONE_LAYER}, refuted if below", _TOGETHER)
        for place, name in PLACES.items()]


def measure(model: Any, tokenizer: Any, decomposition: Decomposition, final: Final, kind: str, *, seed: int) -> Readable:
    """Returns how well probes and lens tell an attribute of people, layer by layer.

    Args:
        model: The one that is asked, in evaluation mode; of a PEFT model the active adapter.
        tokenizer: Its tokenizer.
        decomposition: Of the model or its base.
        final: Likewise.
        kind: Of `attribute`.
        seed: Of people, split and folds.

    Raises:
        DataError: Too few people are left to fit and to test.
    """
    task, named = (build(f"attribute:{kind}@{place}", tokenizer, count=ROWS, seed=seed) for place in PLACES)
    assert [p.input_ids for p in task.prompts] == [p.input_ids for p in named.prompts]
    first = first_tokens(tokenizer, task)
    told_apart = [label for label in range(len(first)) if first.count(first[label]) == 1]
    kept = np.flatnonzero(np.isin(task.label, told_apart))
    places = np.stack([task.position, named.position], 1)[kept]
    task = _only(task, kept, told_apart)
    ids = torch.tensor([first[label] for label in told_apart])
    features, scores = _read(model, task, places, decomposition, final, ids)
    part = disjoint_part(task, seed=seed)
    test = part.split.test
    lens = (scores[:, test].argmax(-1).numpy() == task.label[test]).astype(float)
    return Readable(task, task.classes, {place: read_linearly(features[i], part)[0].hits for i, place in enumerate(PLACES)},
                    lens, part.groups, majority(task.label[part.split.train], task.label[test]), len(part.split.train))


def first_tokens(tokenizer: Any, task: Labelled) -> list[int]:
    """Returns the token with which each class begins where the answer is next.

    Raises:
        OptionError: The tokenizer makes other tokens of the prompt once an answer follows.
    """
    prompt = task.prompts[0]
    text = prompt.text if prompt.text[-1].isspace() else f"{prompt.text} "
    found = []
    for value in task.classes:
        ids = tokenizer(text + value, add_special_tokens=False)["input_ids"]
        if ids[:len(prompt.input_ids)] != prompt.input_ids or len(ids) == len(prompt.input_ids):
            raise OptionError(f"readable: this tokenizer does not begin {value!r} with a token of its own after "
                              f"{prompt.text[-20:]!r}, so a lens cannot be asked for it; type readable={NONE}")
        found.append(ids[len(prompt.input_ids)])
    return found


def first_layers(accuracy: np.ndarray, threshold: float) -> np.ndarray:
    """Returns the layers [n] from which on accuracies [L, n] are at the threshold or above; L where none is."""
    return np.nan_to_num(lasting(threshold <= accuracy.T), nan=len(accuracy))


def verdicts(found: Readable, threshold: float) -> list[Verdict]:
    """Returns whether probes read it at least a layer before the lens."""
    return [_verdict(name, found.probe[place], found, threshold) for place, name in PLACES.items()]


def _verdict(name: str, probe: np.ndarray, found: Readable, threshold: float) -> Verdict:
    layers, weights = len(probe), resampled(found.groups)
    sides = {"the probe": probe, "the lens": found.lens}
    observed = [int(first_layers(side.mean(1)[:, None], threshold)[0]) for side in sides.values()]
    best = [accuracy.mean(1).max() for accuracy in sides.values()]
    if observed[1] == layers:
        return undecided(name, unit=UNIT, null=_TOGETHER, detail=f"the lens reaches {threshold:.0%} at no layer (best "
                                                                 f"{best[1]:.0%}): the model does not know it")
    drawn = [first_layers(side @ weights.T, threshold) for side in sides.values()]  # one that never does: behind the last
    low, high = np.percentile(drawn[1] - drawn[0], [2.5, 97.5])
    covers = f"people asked about (n={len(np.unique(found.groups))})"
    probed = f"from layer {observed[0]} on" if observed[0] < layers else f"at no layer (best {best[0]:.0%})"
    return exceeds(name, Estimate(float(observed[1] - observed[0]), float(low), float(high), covers), threshold=ONE_LAYER,
                   unit=UNIT, null=_TOGETHER,
                   detail=f"the probe {probed}, the lens from layer {observed[1]} on; most frequent of "
                          f"{len(found.candidates)} candidates {found.majority:.0%}; fitted once, on {found.trained} rows")


def record(run: Run, found: Readable, threshold: float) -> None:
    """Keeps the accuracies by layer as figure, arrays, table and metrics."""
    sides = {**{f"probe_{place}": hits for place, hits in found.probe.items()}, "lens": found.lens}
    words = {"probe_last": "linear probe at the last token", "probe_name": "linear probe at the name",
             "lens": "logit lens at the last token"}
    each = {name: shares(hits, found.groups) for name, hits in sides.items()}
    ax = by_layer({words[name]: side.value for name, side in each.items()}, ylabel="accuracy on people the probe never saw",
                  intervals={words[name]: np.stack([side.low, side.high], -1) for name, side in each.items()},
                  xlabel="after layer", covers="people", keys=False)
    for value, style, label in ((threshold, "--", f"threshold of all: {threshold:.0%}"),
                                (found.majority, ":", f"always the most frequent: {found.majority:.0%}")):
        ax.axhline(value, color=MUTED, linestyle=style, linewidth=1.1, label=label)
    ax.set_ylim(0, 1.02)
    ax.set_title(f"{found.task.name.partition('@')[0]}: which of {len(found.candidates)}?", loc="left")
    legend(ax)
    assert isinstance(ax.figure, Figure)
    run.figure("readable", ax.figure, {**sides, "people": found.groups})
    run.table("readable", [{"layer": layer, **{f"{name} {end}": float(getattr(side, end)[layer])
                                               for name, side in each.items() for end in ("value", "low", "high")}}
                           for layer in range(len(found.lens))])
    reached = {name: int(first_layers(hits.mean(1)[:, None], threshold)[0]) for name, hits in sides.items()}
    run.summary({f"probing/readable_{name}_first_layer": float(at) for name, at in reached.items() if at < len(found.lens)}
                | {f"probing/readable_{name}_best_share": float(side.value.max()) for name, side in each.items()})


def _read(model: Any, task: Labelled, places: np.ndarray, decomposition: Decomposition, final: Final,
          candidates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Streams [places, L, N, D] at two tokens of every row; at the first, the lens's logits of the candidates [L, N, C]."""
    stream: list[torch.Tensor] = [torch.empty(0)] * len(task)
    said: list[torch.Tensor] = [torch.empty(0)] * len(task)
    asked = [task.prompts[p] for p in task.prompt]  # one row a prompt
    for indices, ids in by_length(asked):
        with torch.no_grad():
            kept = capture(model, inputs(model, ids), decomposition, sites=(POST_FFN,),
                           positions=torch.from_numpy(places[indices]))
            values = kept.stack(POST_FFN)  # [B, L, places, D]
            logits = torch.stack([final.logits(values[:, layer, :1])[:, 0, candidates.to(values.device)]
                                  for layer in range(values.shape[1])], 1)
        for row, index in enumerate(indices):
            stream[index], said[index] = values[row].float().cpu(), logits[row].float().cpu()
    return torch.stack(stream, 2).transpose(0, 1), torch.stack(said, 1)


def _only(task: Labelled, rows: np.ndarray, labels: Sequence[int]) -> Labelled:
    number = {label: i for i, label in enumerate(labels)}
    columns = {name: getattr(task, name)[rows] for name in ("prompt", "position", "type", "group", "context", "template")}
    return replace(task, classes=tuple(task.classes[label] for label in labels),
                   label=np.array([number[label] for label in task.label[rows]]), **columns)
