"""One model's attention, from loaded model to report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lab.attention.routing import routes
from lab.attention.top_keys import top_keys
from lab.data.prompts import Prompt
from lab.errors import OptionError
from lab.figures.attention_grids import statistics_grids
from lab.figures.attention_spread import distribution
from lab.figures.layout import panels
from lab.models.tuned import open_run
from lab.studies import attention_copying, attention_prompts, attention_roles, attention_rows, attention_shown
from lab.studies.attention_intervals import over_prompts
from lab.studies.attention_report import NOT_ROUTED, facts
from lab.studies.attention_roles import Measured
from lab.studies.closing import close
from lab.studies.opening import open_model
from lab.tracking import capsule
from lab.tracking.lookup import resolve
from lab.tracking.report import Report, next_command
from lab.tracking.run import Run

ON_PAGE = {"entropy": "entropy (nats)", "first_token": "first token (share)", "previous_token": "previous token (share)"}
UNITS = {"entropy": "nats", "distance": "tokens"}  # of the others: share


def look(run: Run, config: Any, *, question: str, limits: Sequence[str]) -> None:
    """Measures a model's attention and closes the run.

    Args:
        run: Open.
        config: Of `attention`.
        question: For the report.
        limits: Likewise.
    """
    model, tokenizer, base = _opened(run, config)
    source = None if config.run_id is None else resolve(config.run_id).run_id
    read = attention_prompts.read(config, base, tokenizer, [source] if source else [])
    attention_shown.check(config, model, read, models=1)
    vocabulary = attention_copying.check(config, base.model, tokenizer)
    _check_queries(config, read)
    run.state([*attention_roles.hypotheses(len(read)), *attention_copying.hypotheses()], config.predict)
    run.params(facts(base, read))
    attention_prompts.record(run, read)
    routed = routes(model)
    values, uniform = attention_rows.measured(model, read, recent=config.recent, routed=routed)
    copied = attention_copying.measure(config, model, vocabulary, routed=routed)
    measured = Measured({**values, "induction": copied.scores}, {**uniform, "induction": np.zeros(copied.scores.shape[:2])})
    roles = attention_roles.table(measured)
    _record(run, measured, copied, roles, read)
    sections = [("Statistics", _means(measured, config.recent))]
    shown = _shown(run, config, measured, [*read, attention_copying.as_prompt(copied, tokenizer)], model, routed)
    if config.queries is not None:
        run.table("top_keys", _top_keys(config, model, read, [at for at, _ in shown], routed))
    close(run, [*attention_roles.verdicts(measured), *attention_copying.verdicts(copied)], Report(
        question=question, table=[row for row in roles if row["rank"] <= 3], limits=list(limits),
        sections=sections + _words(shown, routed), sources=[source] if source else [], next=_next(config, source),
        prediction=config.predict))


def _opened(run: Run, config: Any) -> tuple[Any, Any, Any]:
    """Returns the model, its tokenizer and what it stands on; a run's capsule is recorded as the source."""
    if config.run_id is not None:
        tuned = open_run(config.run_id, device=config.device, dtype=config.dtype, base=config.model)
        capsule.use(run, tuned.capsule)
        return tuned.model, tuned.tokenizer, tuned.base
    base = open_model(run, config)
    return base.model, base.tokenizer, base


def _record(run: Run, measured: Measured, copied: attention_copying.Copied, roles: list[dict[str, Any]],
            read: Sequence[Prompt]) -> None:
    run.summary(_summary(measured) | attention_copying.summary(copied))
    run.table("roles", roles)
    run.table("heads", _heads(measured))
    run.table("prompts", [{"prompt": p.name, "category": p.category, "tokens": len(p.input_ids), "text": p.text}
                          for p in read])
    told = {name: values for name, values in measured.values.items()
            if name != "induction" and np.nan_to_num(values).any()}
    grids = {name: over_prompts(values)[0] for name, values in told.items()}
    same = {name: np.broadcast_to(over_prompts(measured.uniform[name])[0][:, None], grid.shape)
            for name, grid in grids.items()}
    arrays = {**told, **{f"uniform.{name}": measured.uniform[name] for name in told}}
    run.figure("statistics", statistics_grids(grids, uniform=same), arrays)
    figure, axes = panels(len(grids), columns=4, width=3.7, height=3.1)
    for ax, (name, grid) in zip(axes, grids.items(), strict=True):
        distribution({"this model": grid}, name, ax, uniform=same[name])
    run.figure("distributions", figure, arrays)
    attention_copying.draw(run, copied)


def _summary(measured: Measured) -> dict[str, float]:
    kept = ("entropy", "entropy_share", "first_token", "distance", "recent", "previous_token")
    found = {f"attention/{name}_mean_{UNITS.get(name, 'share')}".replace("share_mean_share", "mean_share"):
             float(np.nanmean(measured.values[name])) for name in kept}
    return {**found, "attention/sink_heads_share": attention_roles.sink_heads(measured)}


def _means(measured: Measured, recent: int) -> str:
    lines = ["| statistic | unit | mean over heads | 95 % interval over prompts | uniform attention |",
             "|---|---|---|---|---|"]
    for name, values in measured.values.items():
        if name == "induction" or not np.nan_to_num(values).any():
            continue
        mean, low, high = over_prompts(np.nanmean(values, axis=(1, 2)))
        uniform = float(np.nanmean(measured.uniform[name]))
        words = f"{name} (last {recent} keys)" if name == "recent" else name
        lines.append(f"| {words} | {UNITS.get(name, 'share')} | {mean:.3g} | {low:.3g} to {high:.3g} | {uniform:.3g} |")
    return "\n".join(lines)


def _heads(measured: Measured) -> list[dict[str, Any]]:
    ends = {name: over_prompts(values) for name, values in measured.values.items() if np.nan_to_num(values).any()}
    layers, heads = measured.values["entropy"].shape[1:]
    rows = []
    for layer, head in np.ndindex(layers, heads):
        row: dict[str, Any] = {"layer": layer, "head": head}
        for name, (mean, low, high) in ends.items():
            if np.isfinite(mean[layer, head]):
                row |= {name: float(mean[layer, head]),
                        f"{name} 95 % interval": f"{low[layer, head]:.3g} to {high[layer, head]:.3g}"}
        rows.append(row)
    return rows


def _shown(run: Run, config: Any, measured: Measured, read: Sequence[Prompt], model: Any, routed: bool
           ) -> list[tuple[tuple[int, int], str]]:
    """Shows heads whole; returns them with the roles that they were chosen for."""
    named = attention_shown.named(config, model)
    heads = attention_roles.one_of_each(measured, config.shown) if named is None else named
    if not heads:
        return []
    tokens = attention_shown.token_range(config.tokens)
    chosen = attention_shown.choose(read, np.arange(len(read), 0.0, -1.0), tokens)
    shown = [read[i] for i in chosen]
    # what is said beside a map comes from that very prompt
    own, _ = attention_rows.measured(model, shown, recent=config.recent, routed=routed)
    attention_shown.show(run, shown, [attention_shown.whole_maps(model, prompt, heads, tokens, routed=routed)
                                      for prompt in shown],
                         heads, facts={words: own[name] for name, words in ON_PAGE.items()}, title=run.name)
    firsts = {role: attention_roles.best(measured, name)[:1] for role, name in attention_roles.ROLES.items()}
    return [(at, ", ".join(role for role, best in firsts.items() if at in best)) for at in heads]


def _words(shown: Sequence[tuple[tuple[int, int], str]], routed: bool) -> list[tuple[str, str]]:
    words = []
    if shown:
        heads = ", ".join(f"{layer}.{head}" + (f" (best {role})" if role else "") for (layer, head), role in shown)
        words.append(("Maps", f"Heads {heads}, as layer.head. Browse them in `attention.html` among the artifacts; whole "
                              "maps are under `maps/`. Induction shows on the text of random tokens said twice."))
    if not routed:
        words.append(("How it was measured", NOT_ROUTED))
    return words


def _check_queries(config: Any, read: Sequence[Prompt]) -> None:
    longest = max(len(prompt.input_ids) for prompt in read)
    for query in config.queries or ():
        if query >= longest:
            raise OptionError(f"queries={query}: no prompt has such a position; allowed are 0 to {longest - 1}")


def _top_keys(config: Any, model: Any, read: Sequence[Prompt], heads: Sequence[tuple[int, int]], routed: bool
              ) -> list[dict[str, Any]]:
    rows = []
    for prompt in read:
        queries = [query for query in config.queries if query < len(prompt.input_ids)]
        if not queries:
            continue
        found = top_keys(model, torch.tensor([prompt.input_ids]), queries=queries, routed=routed,
                         k=min(config.top_k, len(prompt.input_ids)))
        for layer, head in heads or np.ndindex(found.keys.shape[1:3]):
            for place, query in enumerate(queries):
                pairs = zip(found.keys[0, layer, head, place].tolist(), found.weights[0, layer, head, place].tolist(),
                            strict=True)
                rows += [{"prompt": prompt.name, "layer": layer, "head": head, "query": query,
                          "query token": prompt.tokens[query], "key": key, "key token": prompt.tokens[key], "share": share}
                         for key, share in pairs if key >= 0]
    return rows


def _next(config: Any, source: str | None) -> list[str]:
    if source is not None:
        return [next_command("attention_compare", run_id=source), next_command("ask", run_ids=source)]
    model = {} if config.model in (None, "embedded") else {"model": config.model}
    return [next_command("lora_rank", r=8, **model)]
