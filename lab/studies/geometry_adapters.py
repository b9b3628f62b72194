"""Adapters from run ids to their shape: from loaded model to report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.adapters.ablation import Ablation
from lab.errors import OptionError
from lab.models.tuned import Several, open_several
from lab.studies import geometry_figures as figures
from lab.studies import geometry_kept, geometry_losses, geometry_measured, geometry_report, geometry_texts
from lab.studies.attention_trained import Trained, by_rank
from lab.studies.closing import close
from lab.studies.geometry_hypotheses import MINIMUM_LAYERS, hypotheses
from lab.studies.geometry_losses import Ablated
from lab.studies.geometry_measured import Measured
from lab.studies.geometry_pairs import Overlaps, choose, overlaps
from lab.studies.geometry_texts import BASE_TEXT, HELD_OUT
from lab.studies.geometry_verdicts import Evidence, Shape, verdicts
from lab.studies.opening import facts, reference
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run


def study_adapters(run: Run, config: Any, trained: Sequence[Trained], asked: Sequence[Ablation], *, question: str) -> None:
    """Measures the updates of adapters, one of them without parts of it, and closes the run.

    Args:
        run: Open, its sources recorded.
        config: Of `adapter_geometry`.
        trained: The adapters.
        asked: What is taken away from the only one.
        question: For the report.

    Raises:
        OptionError: Something is taken away from several, or cannot be; or a module has too few directions.
        ModelUnsupported: An adapter is more than products of factors.
    """
    if asked and len(trained) > 1:
        raise OptionError(f"ablate={','.join(one.text for one in asked)} with {len(trained)} adapters: parts are taken away "
                          f"from one; type run_id={trained[0].capsule.run_id}")
    opened = open_several([reference(one.capsule) for one in trained], device=config.device, dtype=config.dtype,
                          base=config.model)
    geometry_measured.check(opened.model, trained, config.k)
    geometry_losses.check(opened.model, trained[0], asked)
    texts = geometry_texts.read(config, opened.base, opened.tokenizer, trained[0]) if asked else {}
    pairs, ranks = choose(trained), by_rank(trained)
    stated = hypotheses(
        layers=len(_layers(opened, trained)), ranks=[one.rank or 1 for one in trained], seeds=len(ranks),
        pairs=sum(pair.kind == "seeds" for pair in pairs), ablations=asked, held_out=HELD_OUT in texts,
        base_text=BASE_TEXT in texts)
    run.state(stated, config.predict)
    run.params(facts(opened.base))
    geometry_texts.record(run, texts)
    found = geometry_measured.measured(opened.model, trained, k=config.k, draws=config.draws, seed=config.seed)
    shared = [overlaps(opened.model, pair, draws=config.draws, seed=config.seed) for pair in pairs]
    rows = [geometry_report.summary_row(one, config.epsilon) for one in found]
    _record(run, config, found, shared, rows)
    kept: dict[str, str] = {}  # run ids by what was taken away
    ablated = _ablate(run, config, opened, trained[0], asked, texts, kept) if asked else None
    evidence = Evidence(
        shapes=[shape(one, config.epsilon) for one in found], **_overlap(shared),
        by_seed=_by_seed(found, ranks), losses=_differences(ablated, asked))
    close(run, verdicts(stated, evidence), Report(
        question=question, table=_table(rows, ablated), limits=geometry_report.limits(found, shared, ablated is not None),
        sections=_sections(config, found, rows, shared, ablated, kept), sources=[one.capsule.run_id for one in trained],
        next=_next(trained, asked, kept, intruders=rows[0]["intruders per module"] > 0), prediction=config.predict))


def shape(found: Measured, epsilon: float) -> Shape:
    """Returns what verdicts are read from, of the layers that the update changes."""
    at = np.array([epsilon])
    norm = found.grid(lambda one: one.norm)
    layers = np.isfinite(norm).any(1)
    grids = {
        "effective_rank": found.grid(lambda one: one.spectral["effective_rank"]),
        "null_effective_rank": found.grid(lambda one: one.null_spectral["effective_rank"]),
        "intruders": found.intruders(at)[..., 0], "null_intruders": found.null_intruders(at)[..., 0],
        "along": found.grid(lambda one: one.along), "null_along": found.grid(lambda one: one.null_along),
        "strength": found.grid(lambda one: one.strength), "norm": norm,
        "weight_norm": found.grid(lambda one: one.weight_norm)}
    depth = np.flatnonzero(layers) / max(1, len(layers) - 1)
    return Shape(**{name: each[layers] for name, each in grids.items()}, depth=depth, rank=found.trained.rank,
                 seed=found.trained.seed)


def _layers(opened: Several, trained: Sequence[Trained]) -> set[int]:
    from lab.adapters.modules import modules
    from lab.adapters.places import places

    each = [{layer for layer, _ in places(list(modules(opened.model, one.name)))[0].values()} for one in trained]
    return each[0] if all(one == each[0] for one in each) else set()


def _overlap(shared: Sequence[Overlaps]) -> dict[str, Any]:
    seeds = [one for one in shared if one.pair.kind == "seeds"]
    if not seeds:
        return {}

    def both(values: Any) -> np.ndarray:
        every = (values["reads"][..., 0, 0] + values["writes"][..., 0, 0]) / 2
        return every[np.isfinite(seeds[0].values["reads"][..., 0, 0]).any(1)]

    return {"overlap": np.array([both(one.values) for one in seeds]),
            "null_overlap": np.array([both(one.null) for one in seeds])}


def _by_seed(found: Sequence[Measured], ranks: dict[int, dict[int, Trained]]) -> dict[int, dict[int, np.ndarray]]:
    by_name = {one.trained.name: one.grid(lambda each: each.spectral["effective_rank"]) for one in found}
    return {seed: {rank: by_name[one.name] for rank, one in of_seed.items()} for seed, of_seed in ranks.items()}


def _record(run: Run, config: Any, found: Sequence[Measured], shared: Sequence[Overlaps], rows: Sequence[dict[str, Any]]
            ) -> None:
    run.summary(geometry_report.metrics(rows[0], shared))
    for one in found:
        folder = f"{one.trained.folder}/" if len(found) > 1 else ""
        figures.draw_one(run, one, k=config.k, epsilon=config.epsilon, folder=folder)
        run.table(f"{folder}modules", geometry_report.module_rows(one, config.epsilon))
    figures.draw_intruder_curves(run, found, k=config.k, epsilon=config.epsilon)
    if len(found) > 1:
        run.table("trainings", rows)
        figures.draw_ranks(run, rows, found)
    if shared:
        run.table("overlaps", geometry_report.overlap_rows(shared))
        figures.draw_overlaps(run, shared)


def _ablate(run: Run, config: Any, opened: Several, trained: Trained, asked: Sequence[Ablation], texts: dict[str, Any],
            kept: dict[str, str]) -> Ablated:
    def each(one: Ablation, folder: Path, found: Ablated) -> None:
        if config.keep:
            kept[one.text] = geometry_kept.keep(config, trained, one, folder, found)

    found = geometry_losses.measure(opened.model, opened.tokenizer, trained, asked, texts, k=config.k,
                                    threshold=config.epsilon, each=each)
    run.table("ablations", geometry_report.ablation_rows(found))
    figures.draw_ablations(run, found)
    return found


def _differences(found: Ablated | None, asked: Sequence[Ablation]) -> dict[str, Any]:
    """Losses of ablations beside those of their controls, by hypothesis."""
    losses: dict[str, Any] = {}
    for one in asked if found else ():
        assert found is not None
        size = f"{found.norms[one.text]:.0%} of the norm"
        for text, name, sign in ((HELD_OUT, "costs_more_than_shrinking", 1), (BASE_TEXT, "keeps_more_of_the_base", -1)):
            if text in found.losses:
                of = found.losses[text]
                arms = (of.ablated[one.text], of.shrunk[one.text])[::sign]
                nothing = found.nothing.get(one.text)
                losses[f"{one.name}_{name}"] = (None, nothing) if nothing else (of.difference(*arms), size)
    return losses


def _table(rows: Sequence[dict[str, Any]], ablated: Ablated | None) -> list[dict[str, Any]]:
    return geometry_report.ablation_rows(ablated) if ablated else list(rows)


def _sections(config: Any, found: Sequence[Measured], rows: Sequence[dict[str, Any]], shared: Sequence[Overlaps],
              ablated: Ablated | None, kept: Mapping[str, str]) -> list[tuple[str, str]]:
    words = [geometry_report.in_words(one, row, config.k, config.epsilon)
             for one, row in zip(found[:3], rows, strict=False)]
    diverged = [one.trained for one in found if one.trained.diverged is not None]
    if diverged:
        which = ", ".join(one.label or one.capsule.run_id for one in diverged)
        words.append(f"**Diverged in training: {which}**; what is measured are the weights that were kept.")
    sections = [("In words", "\n\n".join(words))]
    if ablated:
        sections.append(("Shape", table(rows)))
        if kept:
            sections.append(("Kept", "\n".join(
                f"- `{run_id}`: {geometry_report.said(ablated, text)} (`{text}`)" for text, run_id in kept.items())))
    if shared:
        sections.append(("Overlap of subspaces, means over modules", table(geometry_report.overlap_rows(shared))))
    if len(found) == 1:
        sections.append(("By module", table(geometry_report.module_rows(found[0], config.epsilon))))
    if len(_few(found)) < MINIMUM_LAYERS:
        sections.append(("No verdicts on modules", f"The update changes fewer than {MINIMUM_LAYERS} layers; over so few no "
                         "interval can be drawn."))
    return sections


def _few(found: Sequence[Measured]) -> np.ndarray:
    return np.flatnonzero(np.isfinite(found[0].grid(lambda one: one.norm)).any(1))


def _next(trained: Sequence[Trained], asked: Sequence[Ablation], kept: Mapping[str, str], *, intruders: bool
          ) -> list[str]:
    """Commands; parts are suggested that the first adapter has."""
    first = trained[0].capsule.run_id
    several = (trained[0].rank or 0) > 1  # of a single direction none can be dropped
    parts = [*(("drop:1", "keep:1") if several else ("scale:0.5",)), *(("intruders:0.5",) if intruders else ())]
    commands = []
    if kept:
        commands.append(next_command("ask", run_ids=(first, *kept.values())))
    elif not asked:
        commands.append(next_command("adapter_geometry", run_id=first, ablate=",".join(parts)))
    else:
        commands.append(next_command("adapter_geometry", run_id=first, ablate=asked[0].text, keep=True))
    return [*commands, next_command("attention_compare", run_id=first)]
