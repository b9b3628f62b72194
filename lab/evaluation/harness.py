"""Models scored by the Language Model Evaluation Harness (EleutherAI, `lm-eval`), every item's score kept."""

import contextlib
import difflib
import io
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import numpy as np

from lab.errors import DataError, OptionError
from lab.evaluation.scores import Greedy, Ranked, Scores, TextScores
from lab.evaluation.tasks import summed

RESERVED = ("math", "reasoning", "code", "knowledge", "text")  # suites of the lab, which come before the harness's names
FEWSHOT_SEED = 1234  # the harness's own default


def own(configs: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Returns harness tasks by the suite that they belong to, from the dictionaries of `lab.evaluation.tasks`."""
    from lm_eval.api.task import ConfigurableTask

    found: dict[str, list[Any]] = {}
    with _quiet():
        for config in configs:
            suite = config["task"].removeprefix("lab_").removesuffix("_greedy")
            found.setdefault(suite, []).append(ConfigurableTask(config=dict(config)))
    return found


def named(names: Sequence[str]) -> dict[str, list[Any]]:
    """Returns the harness's own tasks by the names asked for; a group such as `mmlu` has several.

    Args:
        names: Tasks, groups or tags of the harness.

    Raises:
        OptionError: There is no such task, with near names; or it is not scored by ranking, answering or likelihood.
        DataError: Its data is not on this machine and cannot be fetched.
    """
    if not names:
        return {}
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    for name in names:
        if name not in manager.all_tasks:
            near = difflib.get_close_matches(name, [*RESERVED, *manager.all_tasks], n=4, cutoff=0.6)
            meant = f"did you mean {' or '.join(near)}?" if near else "`lm-eval ls tasks` lists those of the harness."
            raise OptionError(f"tasks={name} is unknown; {meant} Allowed are {', '.join(RESERVED)} and every task of the "
                              "harness")
    return {name: _loaded(manager, name) for name in names}


def score(model: Any, tokenizer: Any, tasks: dict[str, list[Any]], *, chat: bool, batch_size: int = 32,
          items: int | None = None, seed: int = 0) -> Scores:
    """Returns what a model scores, with the weights and the number format that it has.

    The harness scores alternatives by their summed log-likelihood, in float32. The last digits depend on how requests
    are batched, so two models are only compared on the same tasks with the same batch size.

    Args:
        model: A causal language model in evaluation mode, with or without an adapter.
        tokenizer: Its tokenizer.
        tasks: By suite, from `own` and `named`; may be scored again.
        chat: Whether prompts go through the tokenizer's chat template.
        batch_size: Rows in a forward pass.
        items: At most so many of each named suite, drawn by `seed`; the lab's own suites are taken whole.
        seed: See `items`.
    """
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    flat = {task.config.task: task for each in tasks.values() for task in each}
    drawn = _drawn(tasks, items, seed)
    was_training = model.training
    model.eval()
    try:
        with _quiet():
            for task in flat.values():
                task.set_fewshot_seed(seed=FEWSHOT_SEED)
            engine = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, softmax_dtype="float32")
            found = evaluate(engine, {"tasks": flat, "groups": {}, "group_map": {}},
                             samples=drawn, bootstrap_iters=0, apply_chat_template=chat, fewshot_as_multiturn=chat)
    finally:
        model.train(was_training)
    return read(found["samples"], tasks)  # type: ignore[index]


def read(samples: dict[str, list[dict[str, Any]]], tasks: dict[str, list[Any]]) -> Scores:
    """Returns the harness's logged samples as scores by suite.

    Args:
        samples: By the harness's name of the task, from an evaluation with `log_samples=True`.
        tasks: By suite, as they were evaluated.
    """
    ranked: dict[str, Ranked] = {}
    greedy: dict[str, Greedy] = {}
    text: dict[str, TextScores] = {}
    for suite, each in tasks.items():
        by_type: dict[str, list[tuple[Any, dict[str, Any]]]] = {}
        for task in each:
            rows = sorted(samples[task.config.task], key=lambda row: row["doc_id"])
            by_type.setdefault(task.OUTPUT_TYPE, []).extend((task, row) for row in rows)
        for kind, pairs in by_type.items():
            if kind == "multiple_choice":
                ranked[suite] = _ranked(pairs)
            elif kind == "loglikelihood_rolling":
                text[suite] = _text(pairs)
            else:
                greedy[suite] = _greedy(pairs)
    return Scores(ranked, greedy, text)


def _drawn(tasks: dict[str, list[Any]], items: int | None, seed: int) -> dict[str, list[int]] | None:
    """Which documents of a named suite are scored, or None for all of everything."""
    if items is None:
        return None
    found: dict[str, list[int]] = {}
    for suite, each in tasks.items():
        if suite in RESERVED:
            continue
        places = [(task.config.task, number) for task in each for number in range(len(task.eval_docs))]
        chosen = places if len(places) <= items else sorted(Random(f"{suite} {seed}").sample(places, items))
        for task in each:
            found[task.config.task] = [number for name, number in chosen if name == task.config.task]
    return found or None


def _loaded(manager: Any, name: str) -> list[Any]:
    with _quiet():
        try:
            tasks = list(manager.load([name])["tasks"].values())
        except Exception as error:  # datasets raises whatever its readers and its connection raise
            raise DataError(
                f"tasks={name}: its data is not on this machine and could not be fetched ({_first_line(error)}); fetch it "
                f"once where the Hub can be reached, or leave {name} out") from error
    for task in tasks:
        metrics = set(task._metric_fn_list)
        usable = task.OUTPUT_TYPE in ("multiple_choice", "loglikelihood_rolling") or (
            task.OUTPUT_TYPE == "loglikelihood" and "acc" in metrics) or (
            task.OUTPUT_TYPE == "generate_until" and "exact_match" in metrics)
        if not usable or task.multiple_target:
            raise OptionError(f"tasks={name}: {task.config.task} is scored by {', '.join(sorted(map(str, metrics)))}, which "
                              "says of no single item whether it was right; name tasks that rank alternatives, want an "
                              "exact answer, or measure the likelihood of text")
    return tasks


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _ranked(rows: list[tuple[Any, dict[str, Any]]]) -> Ranked:
    nats = [summed(row["doc"], row["filtered_resps"]) if _is_own(task) else [each for each, _ in row["filtered_resps"]]
            for task, row in rows]
    loglikelihood = np.full((len(rows), max(map(len, nats))), -np.inf)
    for n, each in enumerate(nats):
        loglikelihood[n, :len(each)] = each
    found = Ranked(*_names(rows), np.array([_gold(task, row["doc"]) for task, row in rows]), loglikelihood)
    assert [bool(row["acc"]) for _, row in rows] == found.correct.tolist(), "the harness ranks as we do"
    return found


def _gold(task: Any, doc: dict[str, Any]) -> int:
    """Which alternative is right: an index, or its text; where alternatives stand in the prompt, what the text names."""
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    return gold if isinstance(gold, int) else task.doc_to_choice(doc).index(gold)


def _greedy(rows: list[tuple[Any, dict[str, Any]]]) -> Greedy:
    import re

    names, _, _ = _names(rows)
    if rows[0][0].OUTPUT_TYPE == "loglikelihood":  # says only whether the right continuation was the likeliest
        exact = np.array([bool(row["acc"]) for _, row in rows])
        return Greedy(names, ["" for _ in rows], exact, np.zeros(len(rows), dtype=bool))
    texts = [str(row["filtered_resps"][0]).strip() for _, row in rows]
    exact = np.array([bool(row["exact_match"]) for _, row in rows])
    forms = [row["doc"].get("form") for _, row in rows]
    misformatted = [form is not None and not re.fullmatch(form, text) for form, text in zip(forms, texts, strict=True)]
    return Greedy(names, texts, exact, np.array(misformatted))


def _text(rows: list[tuple[Any, dict[str, Any]]]) -> TextScores:
    names, kinds, _ = _names(rows)
    texts = [task.doc_to_target(row["doc"]) for task, row in rows]
    return TextScores(names, kinds, np.array([-float(row["filtered_resps"][0]) for _, row in rows]),
                      np.array([len(text.encode()) for text in texts]))


def _names(rows: list[tuple[Any, dict[str, Any]]]) -> tuple[list[str], list[str], list[str]]:
    """Names, kinds and clusters; a named task's items are of one kind each task, and independent within it."""
    names = [row["doc"].get("name") if _is_own(task) else f"{task.config.task}/{row['doc_id']}" for task, row in rows]
    kinds = [row["doc"]["kind"] if _is_own(task) else task.config.task for task, row in rows]
    clusters = [row["doc"].get("cluster", name) if _is_own(task) else name
                for name, (task, row) in zip(names, rows, strict=True)]
    return names, kinds, clusters


def _is_own(task: Any) -> bool:
    return str(task.config.task).startswith("lab_")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Holds back what the harness and Transformers say about every task and batch; errors pass."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "lm-eval", "transformers", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # progress bars are for a person; in a log every refresh is a line
    hidden = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    try:
        with hidden:
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
