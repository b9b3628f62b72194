"""The figures of a comparison of attention, each with the arrays behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.data.prompts import Prompt
from lab.figures.attention_grids import base_tuned_difference, head_grid
from lab.figures.attention_layers import change_by_category, change_by_layer
from lab.figures.attention_null import change_against_null, null_maximum, ratio_grid
from lab.figures.attention_ranks import change_by_rank
from lab.figures.attention_spread import distributions
from lab.figures.heat import roots
from lab.figures.layout import panels
from lab.studies.attention_changes import Changes, mean_over
from lab.studies.attention_intervals import over_prompts
from lab.studies.attention_tables import by_category
from lab.studies.attention_trained import Trained
from lab.tracking.run import Run

MARKED = "changed beyond the null"
ALONE = "beyond random directions\n(each head alone, 5 % by chance)"
SAID = {"direct": "direct (by the layer's own weights)", "inherited": "inherited (through its input)",
        "divergence": "divergence"}


def draw_change(run: Run, found: Changes, read: Sequence[Prompt], folder: str = "") -> None:
    """Draws how much each head, layer and category changed, and what random directions give.

    Args:
        run: Gets figures `change`, `layers` and `categories`.
        found: Of one adapter or model.
        read: The prompts.
        folder: Where they go, with a slash behind it, if there are several adapters.
    """
    _change(run, found, folder)
    _layers(run, found, folder)
    _categories(run, found, read, folder)


def draw_statistics(run: Run, found: Changes) -> None:
    """Draws every statistic of base, tuned and their difference by head, and how they are distributed over heads."""
    defined = [name for name, values in found.base.items() if _told(values, found.tuned[name])]
    for name in defined:
        before, after, alike = (mean_over(each[name], 0) for each in (found.base, found.tuned, found.uniform))
        marks, null = (found.beyond(name), {"null": found.moved[name]}) if name in found.moved else (None, {})
        figure = base_tuned_difference(before, after, name, uniform=np.broadcast_to(alike[:, None], before.shape),
                                       marks=marks, marked=ALONE)
        run.figure(f"statistics/{name}", figure, {"base": found.base[name], "tuned": found.tuned[name],
                                                  "uniform": found.uniform[name], **null})
    own, changed = ({name: each[name] for name in defined} for each in (found.base, found.tuned))
    same = {name: mean_over(found.uniform[name], 0) for name in defined}
    run.figure("distributions", distributions(own, changed, uniform=same),
               {f"{side}.{name}": each[name] for side, each in (("base", own), ("tuned", changed)) for name in defined}
               | {f"uniform.{name}": values for name, values in same.items()})


def draw_sweep(run: Run, found: Sequence[Changes]) -> None:
    """Draws the mean divergence of several adapters against their rank, beside the null of each."""
    ranked = [one for one in found if one.trained.rank is not None]
    if len(ranked) < 2:
        return
    ranks, seeds = (np.array([getattr(one.trained, name) for one in ranked]) for name in ("rank", "seed"))
    ends = [over_prompts(_per_prompt(one.values["divergence"])) for one in ranked]
    nulls = [_per_prompt(one.null["divergence"]).mean(1) for one in ranked]
    change, intervals = np.array([mean for mean, _, _ in ends]), np.array([(low, high) for _, low, high in ends])
    mean, upper = np.array([null.mean() for null in nulls]), np.array([np.percentile(null, 95) for null in nulls])
    figure, axes = panels(1, width=7.2, height=4.4)
    change_by_rank(ranks, change, axes[0], seeds=seeds, intervals=intervals, null_mean=mean, null_upper=upper,
                   covers=_covers(ranked[0]))
    run.figure("ranks", figure, {"ranks": ranks, "seeds": seeds, "divergence": change, "intervals": intervals,
                                 "null_mean": mean, "null_upper": upper})


def draw_seeds(run: Run, found: Sequence[Changes]) -> None:
    """Draws every head's change relative to its null for each pair of the first seed with another one."""
    tests = [one.test for one in found if one.test is not None]
    if len(tests) < 2:
        return
    figure, axes = panels(len(tests) - 1, columns=3, width=5.4, height=4.6)
    for ax, other, test in zip(axes, found[1:], tests[1:], strict=True):
        change_against_null(test.ratio, tests[0].ratio, ax, unit="change / mean of its null",
                            names=(other.trained.label, found[0].trained.label), diagonal="equal in both")
    run.figure("seeds", figure, {"ratio": np.stack([test.ratio for test in tests]),
                                 "seeds": np.array([one.trained.seed for one in found])})


def draw_placebo(run: Run, found: Changes, placebo: Changes) -> None:
    """Draws the change by layer of an adapter beside that of its placebo, and head against head by multiples of their nulls.

    The nulls are there because a placebo's update is mostly smaller, and so is all that it changes.
    """
    assert found.test is not None and placebo.test is not None
    both = {"this adapter": found, "placebo": placebo}
    figure, axes = panels(2, width=6.4, height=4.6)
    ends = {name: over_prompts(np.nanmean(one.values["divergence"], axis=2)) for name, one in both.items()}
    change_by_layer({name: mean for name, (mean, _, _) in ends.items()}, axes[0], covers=_covers(found),
                    intervals={name: np.stack([low, high], axis=1) for name, (_, low, high) in ends.items()},
                    nulls={name: _null_of_layers(one.null["divergence"]) for name, one in both.items()})
    change_against_null(found.test.ratio, placebo.test.ratio, axes[1], names=("this adapter", "placebo"),
                        unit="change / mean of its null", diagonal="equal in both")
    arrays = {"this_adapter": found, "placebo": placebo}
    run.figure("placebo", figure, {name: one.values["divergence"] for name, one in arrays.items()}
               | {f"{name}.null": one.null["divergence"] for name, one in arrays.items()})


def _change(run: Run, found: Changes, folder: str) -> None:
    test, values = found.test, found.divergence
    figure, axes = panels(1 if test is None else 4, columns=2, width=5.8, height=max(4.2, 2.2 + 0.14 * len(values)))
    head_grid(values, "divergence", axes[0], marks=None if test is None else test.changed, marked=MARKED,
              title="divergence between base and tuned")
    if test is not None:
        ratio_grid(values, test.null_mean, axes[1], marks=test.changed, marked=MARKED)
        change_against_null(values, test.null_mean, axes[2], marks=test.changed, marked=MARKED)
        null_maximum(test.maximum, test.null_maxima, axes[3], threshold=_threshold(found),
                     note=f"any head beyond the null: p = {test.global_p:.3g}",
                     xlabel="most extreme head, standard deviations of ln(change)")
    run.figure(f"{folder}change", figure, {
        **found.values, **{f"null.{name}": values for name, values in found.null.items()}, **_marks(found)})


def _layers(run: Run, found: Changes, folder: str) -> None:
    names: list[str] = [name for name in ("direct", "inherited") if name in found.values] or ["divergence"]
    ends = {name: over_prompts(np.nanmean(found.values[name], axis=2)) for name in names}
    nulls = {name: _null_of_layers(found.null[name]) for name in names if name in found.null}
    figure, axes = panels(1, width=7.2, height=4.4)
    change_by_layer({SAID[name]: mean for name, (mean, _, _) in ends.items()}, axes[0], covers=_covers(found),
                    nulls={SAID[name]: null for name, null in nulls.items()},
                    intervals={SAID[name]: np.stack([low, high], axis=1) for name, (_, low, high) in ends.items()})
    run.figure(f"{folder}layers", figure, {
        f"{name}.{part}": values for name in names for part, values in zip(("mean", "low", "high"), ends[name], strict=True)}
        | {f"{name}.null_{part}": values for name, pair in nulls.items()
           for part, values in zip(("mean", "upper"), pair, strict=True)})


def _categories(run: Run, found: Changes, read: Sequence[Prompt], folder: str) -> None:
    members = by_category(read)
    of = {"divergence": found.values["divergence"]}
    if "divergence" in found.null:
        of["null"] = found.null["divergence"].mean(0)
    shown = {name: np.stack([np.nanmean(each[rows], axis=(0, 2)) for rows in members.values()]) for name, each in of.items()}
    names = [f"{name} ({len(rows)})" for name, rows in members.items()]
    figure, axes = panels(len(shown), width=7.2, height=max(3.0, 1.2 + 0.4 * len(names)))
    for ax, (name, change) in zip(axes, shown.items(), strict=True):
        change_by_category(change, names, ax, norm=roots(*shown.values()), title={
            "divergence": "this model against its base", "null": "random directions of the same size, mean"}[name])
    run.figure(f"{folder}categories", figure, {**shown, "categories": np.array(list(members)),
                                               "prompts": np.array([len(rows) for rows in members.values()])})


def _null_of_layers(null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    of_layers = np.nanmean(null, axis=(1, 3))  # draws L
    return of_layers.mean(0), np.percentile(of_layers, 95, axis=0)


def _threshold(found: Changes) -> float:
    """The smallest most extreme head that would be called."""
    assert found.test is not None
    ordered = np.sort(found.test.null_maxima)
    allowed = round(found.test.level * (len(ordered) + 1)) - 1  # draws that may lie above an adapter that is called
    return float(ordered[len(ordered) - 1 - allowed])


def _per_prompt(values: np.ndarray) -> np.ndarray:
    return np.nanmean(values, axis=(-2, -1))


def _marks(found: Changes) -> dict[str, Any]:
    return {} if found.test is None else {"changed": found.test.changed, "p": found.test.p, "ratio": found.test.ratio}


def _told(*values: np.ndarray) -> bool:
    """Whether a statistic says anything: a model without learned sinks has a learned sink of 0 everywhere."""
    return any(bool(np.nan_to_num(each).any()) for each in values)


def _covers(found: Changes) -> str:
    return f"prompts (n={len(found.values['divergence'])})"


def by_label(found: Sequence[Changes], trained: Sequence[Trained]) -> list[Changes]:
    """Returns the changes of some of the trainings, in their order."""
    return [one for other in trained for one in found if one.trained.name == other.name]
