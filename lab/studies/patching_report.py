"""What a patching study says: figures with their arrays, tables, metrics and words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lab.errors import OptionError
from lab.figures.layout import panels
from lab.figures.patching_maps import patch_maps
from lab.figures.patching_ranking import by_ranking
from lab.probing.decomposition import Decomposition
from lab.probing.patching_effects import CHANGE, SUFFICIENCY, Cell, Measured, measure
from lab.probing.patching_null import beyond_unrelated
from lab.studies import patching_ranking
from lab.studies.attention_intervals import between, over_prompts
from lab.studies.patching_cells import Effects, Plan, error
from lab.studies.patching_contrasts import Chosen
from lab.studies.patching_intervals import mean, shares
from lab.studies.patching_ranking import Ranking, described
from lab.tracking.report import table
from lab.tracking.run import Run

ALPHA = 0.05
MARKED = f"more than unrelated prompts' patches: p < {ALPHA:g}, for all cells of a direction together"
NULLS = {"change": "what the two readings of unrelated prompts differ by is added instead",
         "swap": "the place is overwritten with that of unrelated prompts"}


def check_positions(config: Any, chosen: Chosen) -> None:
    """Raises OptionError if no prompt that is shown has a position asked for."""
    longest = max(len(each.labels) for each in chosen.candidates)
    for position in config.positions or ():
        if position >= longest:
            raise OptionError(f"positions={position}: no prompt has such a position; allowed are 0 to {longest - 1}")


def record(run: Run, config: Any, plan: Plan, chosen: Chosen, found: Effects, ranking: Ranking | None,
           every: list[dict[str, Any]], *, trained: bool) -> None:
    """Keeps metrics, tables, `rows` among them, and the figures over all prompts."""
    total = mean(found.total)
    values = {"probing/patching_whole_effect_mean_nats": total.value, "probing/patching_whole_error_max_nats": error(found)}
    for direction, one in found.of(plan, "places").items():
        values[f"probing/patching_{direction}_cells_beyond_null_share"] = float((_p(one) < ALPHA).mean())
    if ranking is not None:
        for direction, effects in ranking.effects.items():
            values |= {f"probing/patching_{direction}_named_by_{method.replace(' ', '_')}_mean_nats": float(each.mean())
                       for method, each in effects.items()}
        run.table("named", patching_ranking.rows(ranking))
        _draw_ranking(run, ranking, found, trained=trained)
    run.summary(values)
    run.table("places", every)
    run.table("heads", _rows([[cell] for cell in plan.by_head], found.of(plan, "by_head"), found.total, heads=True))
    run.table("joined", _rows(plan.joined, found.of(plan, "joined"), found.total))
    run.table("prompts", chosen.rows)
    for direction, one in found.of(plan, "places").items():
        shape = (len(config.sites), len(plan.layers), len(chosen.roles))
        _draw(run, config, f"places_{direction}", one, shape, chosen.roles, plan, found, sites=config.sites,
              title=_title(direction, trained), xlabel="tokens patched together")
    if plan.by_head:
        shape = (1, len({cell.layers for cell in plan.by_head}), len(plan.heads))
        for direction, one in found.of(plan, "by_head").items():
            _draw(run, config, f"heads_{direction}", one, shape, [str(head) for head in plan.heads], plan, found,
                  sites=("head",), title=_title(direction, trained), xlabel="head, at all tokens",
                  layers=sorted({cell.layers[0] for cell in plan.by_head}))


def draw_tokens(run: Run, config: Any, model: Any, decomposition: Decomposition, chosen: Chosen, *, trained: bool) -> None:
    """Patches some prompts token by token, site and layer, and keeps a figure of each."""
    layers = range(len(decomposition.layers)) if config.layers is None else config.layers
    for number, one in enumerate(chosen.candidates[:config.shown], start=1):
        tokens = [at for at in range(len(one.labels)) if config.positions is None or at in config.positions]
        if not tokens:
            continue
        contrast = replace(one.contrast, roles={str(at): (at,) for at in tokens})
        cells = [[Cell(site, (layer,), str(at))] for site in config.sites for layer in layers for at in tokens]
        clean = {direction: measure(model, decomposition, [contrast], [], direction).clean
                 for direction in ("sufficiency", "necessity")}
        total = float(clean["necessity"][0] - clean["sufficiency"][0])
        for direction in config.directions:
            found = measure(model, decomposition, [contrast], cells, direction, null=config.unrelated)
            shape = (len(config.sites), len(layers), len(tokens))
            own, null = found.effect[0].reshape(shape), found.null[0].reshape(-1, *shape)
            title = f"{_title(direction, trained)}; {one.name}: “{one.says[0].strip()}” against “{one.says[1].strip()}”"
            figure = patch_maps(dict(zip(config.sites, own, strict=True)),
                                dict(zip(config.sites, null.mean(0), strict=True)), [one.labels[at] for at in tokens],
                                layers=list(layers), total=total, title=title, xlabel="token patched",
                                null_title=f"{NULLS[config.unrelated]}, mean of {len(null)}", tokens=True)
            run.figure(f"tokens_{number}_{direction}", figure, {
                "effect": own, "null": null, "total": np.array(total), "positions": np.array(tokens),
                "layers": np.array(layers), "sites": np.array(config.sites)})


def rows(plan: Plan, found: Effects) -> list[dict[str, Any]]:
    """Returns every place with its effects, those that do most beyond the null first."""
    measured = found.of(plan, "places")
    beyond = np.mean([_beyond(one).mean(0) for one in measured.values()], axis=0)
    every = _rows([[cell] for cell in plan.places], measured, found.total)
    return [every[index] for index in np.argsort(-beyond, kind="stable")]


def sections(config: Any, plan: Plan, chosen: Chosen, found: Effects, *, trained: bool) -> list[tuple[str, str]]:
    """Returns what was found in words, and blocks of all layers together."""
    total = mean(found.total)
    left_out = len(chosen.rows) - len(chosen.candidates)
    who = ("The source is the tuned model, the destination its base, on the same prompt" if trained else
           "Source and destination are two prompts of one length, whose subjects differ")
    pair = ("the first token that the tuned model says against the one that the base says"
            if trained and config.contrast == "said" else "the first token of the answer against that of the foil" if trained
            else "the first token of the source's answer against that of the destination's")
    words = (f"{who}; measured is the logit difference of {pair}. Of {len(chosen.rows)} candidates {len(chosen.candidates)} "
             f"were patched; {left_out} were left out, each for the reason in the table `prompts`: chosen are those whose "
             f"unpatched readings answer differently. Patching everything moves the difference by {total.value:.3g} nats "
             f"(95 % interval over prompts {between(total.low, total.high) or 'none, for one'}) and gives the other "
             f"reading to within {error(found):.1g} nats. Null: {NULLS[config.unrelated]} "
             f"({config.draws} of other prompts for each).")
    if config.unrelated != CHANGE:
        words += (" A swap also takes away what the place holds of its own prompt, so for necessity it destroys an answer "
                  "wherever that is; read it beside sufficiency only.")
    if not trained:
        words += (" A patch that only destroys the destination's own answer, and brings no other, already gains up to "
                  "half of the whole; how far that goes is what the null shows.")
    return [("In words", words),
            ("Blocks of all layers together", table(_rows(plan.joined, found.of(plan, "joined"), found.total)))]


def _rows(cells: list[list[Cell]], measured: Mapping[str, Measured], total: np.ndarray, *, heads: bool = False
          ) -> list[dict[str, Any]]:
    p = {direction: _p(one) for direction, one in measured.items()}
    means = {direction: over_prompts(one.effect) for direction, one in measured.items()}
    parts = {direction: shares(one.effect, total) for direction, one in measured.items()}
    found = []
    for index, some in enumerate(cells):
        cell = some[0]
        row: dict[str, Any] = ({"head": f"{cell.layers[0]}.{cell.head}"} if heads else
                               {**described(cell), "layer": cell.layers[0] if len(cell.layers) == 1 else "all"})
        for direction, one in measured.items():
            value, low, high = (float(each[index]) for each in means[direction])
            share, least, most = (float(each[index]) for each in parts[direction])
            row |= {f"{direction} (nats)": value, f"{direction} 95 % interval": between(low, high),
                    f"{direction} (share)": share, f"{direction} share 95 %": between(least, most, ".2g"),
                    f"{direction} of the null (nats)": float(np.nanmean(one.null[..., index])),
                    f"{direction} null: standard deviation": float(np.nanstd(one.null[..., index])),
                    f"{direction} adjusted p": float(p[direction][index])}
        found.append(row)
    return found


def _draw(run: Run, config: Any, name: str, one: Measured, shape: tuple[int, int, int], columns: list[str], plan: Plan,
          found: Effects, *, sites: tuple[str, ...], title: str, xlabel: str, layers: list[int] | None = None) -> None:
    p = _p(one).reshape(shape)
    effect, low, high = (each.reshape(shape) for each in over_prompts(one.effect))
    null = np.nanmean(one.null, axis=(0, 1)).reshape(shape)
    prompts, draws = one.null.shape[:2]
    figure = patch_maps(dict(zip(sites, effect, strict=True)), dict(zip(sites, null, strict=True)), columns,
                        layers=layers or list(plan.layers), total=float(found.total.mean()), xlabel=xlabel,
                        title=f"{title}; mean of {prompts} prompts",
                        null_title=f"{NULLS[config.unrelated]}, mean of {prompts} × {draws}",
                        marks=dict(zip(sites, p < ALPHA, strict=True)), marked=MARKED)
    run.figure(name, figure, {"effect": one.effect.reshape(-1, *shape), "null": one.null.reshape(prompts, draws, *shape),
                              "low": low, "high": high, "p": p, "total": found.total, "sites": np.array(sites),
                              "layers": np.array(layers or plan.layers), "columns": np.array(columns)})


def _draw_ranking(run: Run, ranking: Ranking, found: Effects, *, trained: bool) -> None:
    figure, axes = panels(len(ranking.effects), width=5.4, height=4.2)
    for ax, (direction, effects) in zip(axes, ranking.effects.items(), strict=True):
        by_ranking({method: np.stack(over_prompts(values), 1) for method, values in effects.items()}, ax,
                   total=float(found.total.mean()), covers=f"prompts (n={len(found.total)})", pool=len(ranking.pool),
                   title=f"{_title(direction, trained)},\nplaces named on the other half of the prompts")
    run.figure("named", figure, {f"{direction}.{method}": values for direction, effects in ranking.effects.items()
                                 for method, values in effects.items()} | {"total": found.total} | {
        f"score.{method}": values for method, values in ranking.scores.items()})


def _title(direction: str, trained: bool) -> str:
    one, other = ("tuned", "base") if trained else ("first prompt", "second")
    return (f"Sufficiency: {one} into {other}, what the answer gains" if direction == SUFFICIENCY else
            f"Necessity: {other} into {one}, what the answer loses")


def _beyond(one: Measured) -> np.ndarray:
    return np.nan_to_num(one.effect - np.nanmean(one.null, axis=1))


def _p(one: Measured) -> np.ndarray:
    return beyond_unrelated(one.effect, one.null)
