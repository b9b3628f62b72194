"""What an ablated adapter is asked to predict: what it was trained for, and what the base was good at."""

import json
from typing import Any

from lab.data.chat import render_each
from lab.data.dataset import Dataset, build
from lab.data.english import PASSAGES
from lab.errors import OptionError
from lab.models.loading import Base
from lab.studies.attention_prompts import knows_the_world
from lab.studies.attention_trained import PLACEBO, Trained
from lab.tracking.lookup import find
from lab.tracking.run import Run
from lab.training.finetune import evenly

AUTO, ENGLISH = "auto", "english"
HELD_OUT, BASE_TEXT = "held-out rows", "the base's text"
_LONGEST = 512  # tokens of a row, where no training says otherwise

Rows = list[dict[str, Any]]


def read(config: Any, base: Base, tokenizer: Any, trained: Trained) -> dict[str, Rows]:
    """Returns rows with labels by what they are: held-out rows, where it is known which, and the base's text.

    Args:
        config: Of the study: `dataset`, `base_text` and `rows`.
        base: The base.
        tokenizer: The adapter's.
        trained: The training whose rows `dataset=auto` stands for.

    Raises:
        OptionError: A dataset is asked for by a word that means nothing there.
        DataError: A dataset cannot be read.
    """
    if config.dataset == ENGLISH:
        raise OptionError(f"dataset={ENGLISH}: held-out rows are of a dataset as in finetune; type base_text={ENGLISH}, or "
                          f"dataset={AUTO}")
    how = training_of(trained)
    found = {}
    if config.dataset != AUTO:
        found[HELD_OUT] = evenly(_build(config.dataset, tokenizer, {}).evaluation, config.rows)
    elif how:
        found[HELD_OUT] = evenly(_build(how["dataset"], tokenizer, how).evaluation, config.rows)
    named = (PLACEBO if knows_the_world(base) else ENGLISH) if config.base_text == AUTO else config.base_text
    rows = _english(tokenizer) if named == ENGLISH else _build(named, tokenizer, {}).evaluation
    found[BASE_TEXT] = evenly(rows, config.rows)
    return found


def record(run: Run, texts: dict[str, Rows]) -> None:
    """Records how much of each is read."""
    for name, rows in texts.items():
        key = name.replace(" ", "_").replace("'", "").replace("-", "_")
        run.params({f"{key}.rows": len(rows), f"{key}.tokens": sum(len(row["input_ids"]) for row in rows)})


def training_of(trained: Trained) -> dict[str, Any]:
    """Returns how a run, or the one that an ablated adapter came from, was trained; empty where that is not known."""
    config, run_id = trained.config, trained.capsule.run_id
    seen: set[str] = set()
    while not config and run_id not in seen:
        seen.add(run_id)
        tags = find(run_id).data.tags
        text, source = tags.get("lab.config", ""), tags.get("lab.source_run_id", "")
        config = json.loads(text) if text.startswith("{") else {}
        config = config if "steps" in config else {}
        if not config and source and "," not in source:
            run_id = source
    return config


def _build(name: str, tokenizer: Any, how: dict[str, Any]) -> Dataset:
    return build(name, tokenizer, max_length=how.get("max_length", _LONGEST), eval_split=how.get("eval_split", 0.1),
                 seed=how.get("data_seed", 0), facts=how.get("facts", 3000), answers=how.get("answers", 1024))


def _english(tokenizer: Any) -> Rows:
    rendered = render_each(tokenizer, [{"text": text} for text in PASSAGES.values()], _LONGEST)
    return [{"input_ids": row.input_ids, "labels": row.labels, "trained_bytes": row.trained_bytes} for row in rendered]
