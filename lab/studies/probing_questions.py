"""Which questions a study of the residual stream reads: a run's own held-out rows, the micro-world, English, or a file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from lab.data import questions as data
from lab.data.disjoint import on_side
from lab.data.prompt_sources import ENGLISH, WORLD
from lab.data.questions import Question
from lab.errors import OptionError
from lab.models.loading import Base
from lab.studies.attention_prompts import AUTO, HELD_OUT, knows_the_world
from lab.tracking.rows import table
from lab.tracking.run import Run

__all__ = ["HELD_OUT", "knows_the_world", "of_category", "of_sources", "read", "record"]


def _any(item: Any) -> bool:
    return True


def read(config: Any, base: Base, tokenizer: Any, run_id: str | None) -> list[Question]:
    """Returns the questions of a study's `prompts`, `count`, `chat`, `prompt`, `answer`, `foil` and `seed`.

    With a tuned lens, those of the micro-world are about people, operands and words that the lens is not trained on.

    Args:
        config: Of the study.
        base: The model that reads them; no prompt is longer than its positions.
        tokenizer: The one that the prompts go through.
        run_id: Training run whose held-out rows `held_out` stands for, or None.

    Raises:
        OptionError: A source is unknown or too long, or the run keeps no held-out rows.
        DataError: See `lab.data.questions.read`, or no question came.
    """
    natural = WORLD if knows_the_world(base) else ENGLISH
    return of_sources(config, base, tokenizer, run_id, auto=(HELD_OUT, natural), count=config.count,
                      keep=on_side("evaluation") if config.lens == "tuned" else _any)


def of_sources(config: Any, base: Base, tokenizer: Any, run_id: str | None, *, auto: Sequence[str], count: int,
               keep: Callable[[Any], bool] = _any) -> list[Question]:
    """Returns the questions of a study's `prompts`, `chat`, `prompt`, `answer`, `foil` and `seed`.

    Args:
        config: Of the study.
        base: The model that reads them; no prompt is longer than its positions.
        tokenizer: The one that the prompts go through.
        run_id: Training run whose held-out rows `held_out` stands for, or None.
        auto: What `auto` stands for; held-out rows among others are left out where there are none.
        count: Of each category; of held-out rows all there are.
        keep: Which items of the micro-world may be asked about.

    Raises:
        OptionError, DataError: As `read`.
    """
    named = list(dict.fromkeys(source for each in config.prompts for source in (auto if each == AUTO else [each])))
    if run_id is None and HELD_OUT in config.prompts:
        raise OptionError(f"prompts={HELD_OUT} are rows that a training run held out, and no run is given; type run_id=<a "
                          f"training run> beside it, or prompts={AUTO}")
    others = [source for source in named if source != HELD_OUT]
    found = []
    if HELD_OUT in named and run_id is not None:
        found = _held_out(tokenizer, run_id, config.seed, needed=HELD_OUT in config.prompts or not others)
    longest = getattr(base.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if others:
        found += data.read(tokenizer, others, count=count, seed=config.seed, chat=config.chat, longest=longest,
                           prompt=config.prompt, answer=config.answer, foil=config.foil, also=(AUTO, HELD_OUT), keep=keep)
    return found


def record(run: Run, read: Sequence[Question]) -> None:
    """Records the questions as an input of the run."""
    content = hashlib.sha256(json.dumps([[q.name, q.input_ids, q.answer_id, q.foil_id] for q in read]).encode()).hexdigest()
    run.dataset("questions", f"sha256:{content}", ", ".join(of_category(read)), "evaluation", len(read),
                {"tokens": sum(len(question.input_ids) for question in read)})


def of_category(read: Sequence[Question]) -> dict[str, list[int]]:
    """Returns the indices of each category's questions, categories in their order."""
    found: dict[str, list[int]] = {}
    for index, question in enumerate(read):
        found.setdefault(question.category, []).append(index)
    return found


def _held_out(tokenizer: Any, run_id: str, seed: int, *, needed: bool) -> list[Question]:
    rows = table(run_id, "samples")
    if not rows and needed:
        raise OptionError(f"prompts={HELD_OUT}: run {run_id} keeps no held-out rows (it was not trained here); type "
                          f"prompts={WORLD} or {ENGLISH}, or any other source")
    return data.from_rows(tokenizer, rows, category=HELD_OUT, seed=seed) if rows else []
