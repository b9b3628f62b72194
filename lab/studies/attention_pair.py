"""A whole fine-tuned model against its base: one after the other, never both in memory."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lab.attention.compare import Compared
from lab.attention.maps import Maps
from lab.attention.pairs import against, record
from lab.attention.routing import attention_layers, routes
from lab.data.prompts import Prompt
from lab.models.tuned import open_base, open_run
from lab.studies import attention_figures as figures
from lab.studies import attention_prompts, attention_shown, attention_tables, attention_verdicts
from lab.studies.attention_changes import Changes
from lab.studies.attention_hypotheses import hypotheses
from lab.studies.attention_report import LIMITS, ONE_SEED, facts, head_rows, in_words, layer_rows, summary
from lab.studies.attention_rows import TOKENS_AT_ONCE, by_length, changes_of, in_order
from lab.studies.attention_trained import Trained
from lab.studies.closing import close
from lab.studies.opening import free, reference
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

WITHOUT_NULL = [
    "A whole model has no null here: its update is no sum of a few directions that could be turned. So nothing says whether "
    "a change is more than any update of this size would make, and the verdicts that need it are not stated.",
    "Direct and inherited change go one way here: direct is the change by tuned weights on the base's input, inherited what "
    "the tuned model's input adds to that.",
]


def compare_whole(run: Run, config: Any, trained: Trained, *, question: str) -> None:
    """Compares a whole model with its base and closes the run.

    Args:
        run: Open, its source recorded.
        config: Of `attention_compare`.
        trained: What kept the model.
        question: For the report.
    """
    base = open_base(trained.capsule, base=config.model, device=config.device, dtype=config.dtype)
    read = attention_prompts.read(config, base, base.tokenizer, [trained.capsule.run_id])
    attention_shown.check(config, base.model, read, models=2)
    run.state(hypotheses(prompts=len(read), null=False), config.predict)
    run.params(facts(base, read))
    attention_prompts.record(run, read)
    routed, named = routes(base.model), attention_shown.named(config, base.model)
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        batches = list(by_length(read, TOKENS_AT_ONCE))
        for number, (_, ids) in enumerate(batches):
            record(base.model, ids, None, Path(folder, str(number)), recent=config.recent, routed=routed)
        del base
        free()
        tuned = open_run(reference(trained.capsule), device=config.device, dtype=config.dtype).model
        found = _found(trained, tuned, [(indices, against(tuned, Path(folder, str(number)), ids, routed=routed))
                                        for number, (indices, ids) in enumerate(batches)])
    run.summary(summary(found))
    figures.draw_change(run, found, read)
    figures.draw_statistics(run, found)
    for name, rows in (("heads", attention_tables.heads(found)), ("layers", attention_tables.layers(found)),
                       ("categories", attention_tables.categories(found, read)),
                       ("prompts", attention_tables.prompts(found, read))):
        run.table(name, rows)
    heads = attention_tables.order(found)[:config.shown] if named is None else named
    sections = [("In words", in_words(found, several=False)), ("By layer", table(layer_rows(found))),
                ("By category of prompts", table(attention_tables.categories(found, read)))]
    if heads:
        sections.append(_maps(run, config, trained, found, read, heads, tuned, routed))
    own = trained.capsule.run_id
    close(run, attention_verdicts.verdicts(attention_verdicts.Evidence(
        divergence=found.values["divergence"][..., found.layers, :])), Report(
        question=question, table=head_rows(found)[:10], limits=WITHOUT_NULL + LIMITS[:1] + LIMITS[-1:] + ONE_SEED,
        sections=sections,
        sources=[own], prediction=config.predict,
        next=[next_command("attention", run_id=own), next_command("ask", run_ids=own)]))


def _found(trained: Trained, tuned: Any, parts: Sequence[tuple[np.ndarray, Compared]]) -> Changes:
    values = {name: each[0] for name, each in in_order([(i, changes_of(c)) for i, c in parts], axis=1).items()}
    own = {name: each[0] for name, each in in_order([(i, c.tuned) for i, c in parts], axis=1).items()}
    return Changes(trained, in_order([(i, c.base) for i, c in parts]), own, in_order([(i, c.uniform) for i, c in parts]),
                   values, {}, {}, None, attention_layers(tuned))


def _maps(run: Run, config: Any, trained: Trained, found: Changes, read: Sequence[Prompt],
          heads: Sequence[tuple[int, int]], tuned: Any, routed: bool) -> tuple[str, str]:
    """Takes the tuned model's maps, puts it away, and takes the base's, loaded once more."""
    tokens = attention_shown.token_range(config.tokens)
    divergence = found.values["divergence"]
    chosen = attention_shown.choose(read, np.mean([divergence[:, layer, head] for layer, head in heads], axis=0), tokens)
    shown = [read[i] for i in chosen]
    after = [attention_shown.whole_maps(tuned, prompt, heads, tokens, routed=routed) for prompt in shown]
    del tuned
    free()
    base = open_base(trained.capsule, base=config.model, device=config.device, dtype=config.dtype).model
    before = [attention_shown.whole_maps(base, prompt, heads, tokens, routed=routed) for prompt in shown]
    attention_shown.show(run, shown, [_both(one, other) for one, other in zip(before, after, strict=True)], heads,
                         facts={"divergence (nats)": divergence[chosen]},
                         title=f"Attention before and after training: run {found.trained.capsule.run_id}")
    return "Maps", attention_shown.words(heads, shown, "asked for" if config.layers or config.heads else "that change most")


def _both(base: Maps, tuned: Maps) -> Maps:
    return Maps(base.request, ("base", "tuned"),
                {layer: torch.cat([each, tuned.weights[layer]]) for layer, each in base.weights.items()},
                {layer: torch.cat([each, tuned.sinks[layer]]) for layer, each in base.sinks.items()})
