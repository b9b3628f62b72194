"""Adapters against their base: from loaded model to report."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.attention.routing import routes
from lab.data.prompts import Prompt
from lab.models.tuned import open_several
from lab.studies import attention_figures as figures
from lab.studies import attention_prompts, attention_report, attention_shown, attention_tables, attention_verdicts
from lab.studies.attention_changes import Changes, changes
from lab.studies.attention_hypotheses import hypotheses
from lab.studies.attention_trained import PLACEBO, Trained, alike_but_for_seed, by_rank, differences, placebo_command
from lab.studies.closing import close
from lab.studies.opening import reference
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run


def compare_adapters(run: Run, config: Any, trained: Sequence[Trained], placebo: Trained | None, *, question: str) -> None:
    """Compares adapters with their base and closes the run.

    Args:
        run: Open, its sources recorded.
        config: Of `attention_compare`.
        trained: The adapters; the first is the one that verdicts are about.
        placebo: To compare with.
        question: For the report.
    """
    every = [*trained, *([placebo] if placebo else [])]
    opened = open_several([reference(one.capsule) for one in every], device=config.device, dtype=config.dtype,
                          base=config.model)
    read = attention_prompts.read(config, opened.base, opened.tokenizer, [one.capsule.run_id for one in trained])
    attention_shown.check(config, opened.model, read, models=2)
    seeds, ranks = alike_but_for_seed(trained), by_rank(trained)
    run.state(hypotheses(
        prompts=len(read), placebo=placebo is not None, seeds=len(seeds),
        ranks=sorted(next(iter(ranks.values()))) if ranks else ()), config.predict)
    run.params(attention_report.facts(opened.base, read))
    attention_prompts.record(run, read)
    routed = routes(opened.model)
    found = changes(opened.model, every, read, draws=config.draws, recent=config.recent, seed=config.seed, routed=routed)
    control = found.pop() if placebo else None
    verdicts = attention_verdicts.verdicts(_evidence(found, control, seeds, ranks))
    _record(run, found, control, read)
    sections = _sections(found, control, read, routed)
    if len(found) == 1:
        sections += _shown(run, config, found[0], read, opened.model, routed)
    rows = (attention_report.head_rows(found[0])[:10] if len(found) == 1 else
            [attention_report.summary_row(one) for one in found])
    close(run, verdicts, Report(
        question=question, table=rows, limits=attention_report.limits(len(found), len(seeds)), sections=sections,
        sources=[one.capsule.run_id for one in every], next=_next(config, trained, placebo), prediction=config.predict))


def _evidence(found: Sequence[Changes], control: Changes | None, seeds: Sequence[Trained],
              ranks: dict[int, dict[int, Trained]]) -> attention_verdicts.Evidence:
    by_name = {one.trained.name: one for one in found}
    return attention_verdicts.Evidence(
        divergence=_attending(found[0], found[0].values["divergence"]), change=_change(found[0]),
        placebo=None if control is None else _change(control),
        seeds=[_change(by_name[one.name]) for one in seeds],
        ranks=[{rank: _attending(found[0], by_name[one.name].values["divergence"]) for rank, one in of_seed.items()}
               for of_seed in ranks.values()])


def _change(found: Changes) -> attention_verdicts.Change:
    own, null = ({name: _attending(found, each[name]) for name in ("divergence", "direct")}
                 for each in (found.values, found.null))
    return attention_verdicts.Change(own["divergence"], null["divergence"], own["direct"], null["direct"])


def _attending(found: Changes, values: np.ndarray) -> np.ndarray:
    """Without the layers that have no softmax attention, of which there is nothing to say."""
    return values[..., found.layers, :]


def _record(run: Run, found: Sequence[Changes], control: Changes | None, read: Sequence[Prompt]) -> None:
    run.summary(attention_report.summary(found[0], control))
    for one in found:
        folder = f"{one.trained.folder}/" if len(found) > 1 else ""
        figures.draw_change(run, one, read, folder)
        run.table(f"{folder}heads", attention_tables.heads(one))
        run.table(f"{folder}layers", attention_tables.layers(one))
        run.table(f"{folder}categories", attention_tables.categories(one, read))
        run.table(f"{folder}prompts", attention_tables.prompts(one, read))
    if len(found) > 1:
        run.table("adapters", [attention_report.summary_row(one) for one in found])
        figures.draw_sweep(run, found)
        figures.draw_seeds(run, figures.by_label(found, alike_but_for_seed([one.trained for one in found])))
    else:
        figures.draw_statistics(run, found[0])
    if control is not None:
        figures.draw_placebo(run, found[0], control)
        run.table("placebo_heads", attention_tables.heads(control))


def _sections(found: Sequence[Changes], control: Changes | None, read: Sequence[Prompt], routed: bool
              ) -> list[tuple[str, str]]:
    words = [attention_report.in_words(found[0], several=len(found) > 1)]  # of the others the table says it
    if not routed:
        words.append(f"{attention_report.NOT_ROUTED} There is no change of head outputs.")
    if control is not None:
        apart = differences(found[0].trained, control.trained)
        words.append(f"{attention_report.in_words(control, several=True)} It was "
                     + ("trained like this run in all but its data." if not apart else
                        f"not trained like this run: {'; '.join(apart)}. What it shows is therefore no pure control.")
                     + " What a placebo changes beyond its null is what training changes that has nothing to learn.")
    elif any(one.test is not None and one.test.changed.any() for one in found):
        words.append("Whether that is what was learned, or what any training does, only a placebo says: the same training "
                     f"on dataset={PLACEBO}, and then this comparison with placebo=<its run id>.")
    sections = [("In words", "\n\n".join(words))]
    if len(found) == 1:
        sections += [("By layer", table(attention_report.layer_rows(found[0]))),
                     ("By category of prompts", table(attention_tables.categories(found[0], read)))]
    return sections


def _shown(run: Run, config: Any, found: Changes, read: Sequence[Prompt], model: Any, routed: bool) -> list[tuple[str, str]]:
    named = attention_shown.named(config, model)
    heads = attention_tables.order(found)[:config.shown] if named is None else named
    if not heads:
        return []
    tokens = attention_shown.token_range(config.tokens)
    divergence = found.values["divergence"]
    chosen = attention_shown.choose(read, np.mean([divergence[:, layer, head] for layer, head in heads], axis=0), tokens)
    shown = [read[i] for i in chosen]
    taken = [attention_shown.whole_maps(model, prompt, heads, tokens, adapter=found.trained.name, routed=routed)
             for prompt in shown]
    attention_shown.show(run, shown, taken, heads, facts={
        "divergence (nats)": divergence[chosen], "of random directions (nats)": found.null["divergence"].mean(0)[chosen]},
                         title=f"Attention before and after training: run {found.trained.capsule.run_id}")
    which = "asked for" if named is not None else "that exceed their null most"
    return [("Maps", attention_shown.words(heads, shown, which))]


def _next(config: Any, trained: Sequence[Trained], placebo: Trained | None) -> list[str]:
    runs = tuple(config.run_id)
    commands = []
    if len(trained) > 1:
        commands.append(next_command("attention_compare", run_id=trained[0].capsule.run_id))
    train = placebo_command(trained[0]) if placebo is None else None
    if train is not None:
        commands += [train, next_command("attention_compare", run_id=runs, placebo="RUN_ID_OF_THE_PLACEBO@last")]
    return [*commands, next_command("attention", run_id=trained[0].capsule.run_id), next_command("ask", run_ids=runs)]
