"""A model asked everything: it answers, its alternatives are ranked in the forms it answers in, and texts are read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.data.suites.item import SuiteItem, Text
from lab.evaluation import harness, tasks
from lab.evaluation.frames import Frame, discover
from lab.evaluation.scores import Scores

TEXT = "text"
FEWEST = 48  # questions of each suite that are answered at least, to see in which form


def ask(model: Any, tokenizer: Any, items: Mapping[str, Sequence[SuiteItem]], texts: Sequence[Text], *, chat: bool,
        batch_size: int = 32, answer: bool = True, named: Mapping[str, list[Any]] | None = None, most: int | None = None,
        seed: int = 0) -> Scores:
    """Returns what a model scores on the lab's suites and on named tasks of the harness.

    Args:
        model: A causal language model, with or without an adapter.
        tokenizer: Its tokenizer.
        items: Questions by suite.
        texts: Documents, or none.
        chat: Whether questions go through the chat template.
        batch_size: Rows in a forward pass.
        answer: Whether all questions are answered greedily; else `FEWEST` of each suite, whose answers are not kept.
        named: From `lab.evaluation.harness.named`.
        most: Items of each named task.
        seed: Of which items of a named task.
    """
    asked = {name: rows if answer else rows[:FEWEST] for name, rows in items.items()}
    configs = [tasks.greedy(name, rows, chat=chat) for name, rows in asked.items()]
    answered = _score(model, tokenizer, configs, chat, batch_size)
    frames = {name: discover([item.choices for item in rows], answered.greedy[name].said) for name, rows in asked.items()}
    configs = [tasks.ranked(name, rows, chat=chat, frames=frames[name]) for name, rows in items.items()]
    every = {**harness.own([*configs, *([tasks.rolling(TEXT, texts)] if texts else [])]), **(named or {})}
    found = harness.score(model, tokenizer, every, chat=chat, batch_size=batch_size, items=most, seed=seed)
    return replace(found, greedy={**(answered.greedy if answer else {}), **found.greedy}, frames=frames)


def _score(model: Any, tokenizer: Any, configs: list[dict[str, Any]], chat: bool, batch_size: int) -> Scores:
    if not configs:
        return Scores({}, {}, {})
    return harness.score(model, tokenizer, harness.own(configs), chat=chat, batch_size=batch_size)


def said(frames: Sequence[Frame]) -> str:
    """Returns frames in words: `…`, `It is ….`"""
    return ", ".join(f"`{before}…{after}`" for before, after in frames)
