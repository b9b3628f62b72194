"""Which questions a study of the residual stream reads: a run's own held-out rows, the micro-world, English, or a file."""

import hashlib
import json
from collections.abc import Sequence
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

__all__ = ["HELD_OUT", "knows_the_world", "of_category", "read", "record"]


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
    named = list(dict.fromkeys(source for each in config.prompts
                               for source in ([HELD_OUT, natural] if each == AUTO else [each])))
    if run_id is None and HELD_OUT in config.prompts:
        raise OptionError(f"prompts={HELD_OUT} are rows that a training run held out, and no run is given; type run_id=<a "
                          f"training run> beside it, or prompts={AUTO}")
    others = [source for source in named if source != HELD_OUT]
    found = _held_out(config, tokenizer, run_id) if HELD_OUT in named and run_id is not None else []
    longest = getattr(base.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if others:
        found += data.read(tokenizer, others, count=config.count, seed=config.seed, chat=config.chat, longest=longest,
                           prompt=config.prompt, answer=config.answer, foil=config.foil, also=(AUTO, HELD_OUT),
                           keep=on_side("evaluation") if config.lens == "tuned" else lambda item: True)
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


def _held_out(config: Any, tokenizer: Any, run_id: str) -> list[Question]:
    rows = table(run_id, "samples")
    if not rows:
        if HELD_OUT in config.prompts:
            raise OptionError(f"prompts={HELD_OUT}: run {run_id} keeps no held-out rows (it was not trained here); type "
                              f"prompts={AUTO}, or any other source")
        return []
    return data.from_rows(tokenizer, rows, category=HELD_OUT, count=None, seed=config.seed)
