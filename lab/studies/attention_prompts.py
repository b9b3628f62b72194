"""Which prompts an attention study reads: the run's own held-out rows, the micro-world, English, or what it is given."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from lab.data import prompts as data
from lab.data.prompt_sources import ENGLISH, WORLD
from lab.data.prompts import Prompt
from lab.data.token_labels import token_labels
from lab.errors import OptionError
from lab.models.loading import Base
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer, tokenizer_sha256
from lab.tracking.rows import table
from lab.tracking.run import Run

AUTO, HELD_OUT = "auto", "held_out"
OWN = 3  # held-out rows for each prompt of another category: they are what was trained for


def read(config: Any, base: Base, tokenizer: Any, run_ids: Sequence[str]) -> list[Prompt]:
    """Returns the prompts of a study's `prompts`, `text`, `column`, `chat`, `count` and `seed`.

    Args:
        config: Of the study.
        base: The model that reads them; no prompt is longer than its positions.
        tokenizer: The one that the prompts go through.
        run_ids: Training runs whose held-out rows `held_out` stands for.

    Raises:
        OptionError: A source is unknown, empty or too long, or no run keeps held-out rows.
        DataError: See `lab.data.prompts.read`.
    """
    given = _sources(config.prompts, base, run_ids)
    others = [source for source in given if source != HELD_OUT]
    longest = getattr(base.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    found = _held_out(tokenizer, run_ids, OWN * config.count, asked=HELD_OUT in config.prompts) if HELD_OUT in given else []
    if others or not found:
        found += data.read(tokenizer, others, text=config.text, column=config.column, chat=config.chat, count=config.count,
                           seed=config.seed, longest=longest, also=(AUTO, HELD_OUT))
    return found


def record(run: Run, read: Sequence[Prompt]) -> None:
    """Records the prompts as an input of the run."""
    content = hashlib.sha256(json.dumps([[prompt.name, prompt.input_ids] for prompt in read]).encode()).hexdigest()
    names = ", ".join(dict.fromkeys(prompt.category for prompt in read))
    run.dataset("prompts", f"sha256:{content}", names, "evaluation", len(read),
                {"tokens": sum(len(prompt.input_ids) for prompt in read)})


def knows_the_world(base: Base) -> bool:
    """Whether a model reads with the embedded model's tokenizer, as only models made for the micro-world do."""
    rows = base.model.get_input_embeddings().weight.shape[0]
    return tokenizer_sha256(load_tokenizer(EMBEDDED, rows)) == base.tokenizer_sha256


def _sources(given: tuple[str, ...], base: Base, run_ids: Sequence[str]) -> list[str]:
    natural = WORLD if knows_the_world(base) else ENGLISH
    named = [source for each in given for source in ([HELD_OUT, natural] if each == AUTO else [each])]
    return list(dict.fromkeys(named if run_ids else (source for source in named if source != HELD_OUT or source in given)))


def _held_out(tokenizer: Any, run_ids: Sequence[str], count: int, *, asked: bool) -> list[Prompt]:
    """Rows that the runs held out, with the answers that were expected; as training wrote them, so none is too long."""
    texts = dict.fromkeys(row["rendered"] + row["expected"] for run_id in run_ids for row in table(run_id, "samples"))
    if asked and not texts:
        raise OptionError(f"prompts={HELD_OUT}: {_nobody(run_ids)} keeps no held-out rows (it was not trained here); type "
                          f"prompts={AUTO}, or any other source")
    found = []
    for number, text in enumerate(list(texts)[:count], start=1):
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        found.append(Prompt(f"{HELD_OUT} {number}", HELD_OUT, text, ids, token_labels(tokenizer, ids)))
    return found


def _nobody(run_ids: Sequence[str]) -> str:
    return f"none of the runs {', '.join(run_ids)}" if len(run_ids) > 1 else f"run {', '.join(run_ids) or '(none given)'}"
