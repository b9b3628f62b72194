"""A fine-tuning set, ready to train on: tokenised, masked, split, hashed and described."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.data import files
from lab.data import replay as replaying
from lab.data.chat import Rendered, preview, render_each
from lab.data.conversation import Conversation, digest
from lab.data.split import split, without_duplicates

EMBEDDED = "embedded:"


@dataclass(frozen=True)
class Dataset:
    """Rows to train on and rows to evaluate on, and what there is to know about them.

    Attributes:
        name: As it was asked for.
        source: Where the rows came from: `embedded:<set>`, an absolute path or a Hub id.
        sha256: Of all rows as loaded, duplicates included; independent of file format and folder.
        eval_sha256: Of the evaluation rows.
        train: Rows with `input_ids`, `labels` (-100 where not trained), `trained_bytes`, and `fact` and `bits` where
            the set is generated.
        evaluation: The same.
        profile: Numbers to show before the first step. Of all rows as loaded: `rows`, `duplicates_removed`. Of the
            rows to train on: `train_rows`, `train_tokens`, `trained_tokens`, `trained_token_share`. Of both parts:
            `eval_rows`, `longest_row` (tokens, before any cut), `truncated`, `answers_cut`. And `form` and
            `unused_columns`.
        preview: The first row to train on, its trained tokens marked.
        replay: Rows of another source that follow those of the task in `train`, or None. They count in no number above;
            `profile` has `replay_rows`, `replay_different_rows` and `replay_share` (of all rows) beside them.
    """

    name: str
    source: str
    sha256: str
    eval_sha256: str
    train: list[dict[str, Any]] = field(repr=False)
    evaluation: list[dict[str, Any]] = field(repr=False)
    profile: dict[str, Any]
    preview: str = field(repr=False)
    replay: replaying.Replay | None = None


def build(name_or_source: str, tokenizer: Any, *, max_length: int, eval_split: float, seed: int, facts: int,
          answers: int, replay: float = 0.0, replay_data: str = replaying.WORLD) -> Dataset:
    """Returns a dataset as the model of `tokenizer` trains on it.

    Args:
        name_or_source: `embedded:facts`, `embedded:style`, `embedded:cipher`, `embedded:placebo`; or what `files.read`
            takes.
        tokenizer: The model's.
        max_length: Tokens after which a row is cut.
        eval_split: Share of the rows held out; an embedded set brings evaluation rows of its own.
        seed: Of the split, and of an embedded set.
        facts: Facts in `embedded:facts`.
        answers: Alternatives for each of their answers.
        replay: Share of the rows to train on that are of `replay_data`, below 1; those of the task stay as many.
        replay_data: See `lab.data.replay.build`.

    Raises:
        DataError: The data is missing or malformed, a row trains nothing, or so small a share is not one row.
        OptionError: `eval_split` is out of range.
    """
    if name_or_source.startswith(EMBEDDED):
        from lab.data import embedded

        name = name_or_source.removeprefix(EMBEDDED)
        train, evaluation = embedded.load(name, facts=facts, answers=answers, seed=seed)
        loaded = kept = [*train, *evaluation]
    else:
        loaded = files.read(name_or_source)
        kept = without_duplicates(loaded)
        train, evaluation = split(kept, eval_split, seed, name_or_source)
    rendered = list(render_each(tokenizer, train, max_length, name_or_source))
    held_out = list(render_each(tokenizer, evaluation, max_length, name_or_source))
    replayed = replaying.build(replay_data, tokenizer, replaying.needed(len(train), replay), max_length=max_length,
                               seed=seed) if replay else None
    rows = _rows(train, rendered)
    return Dataset(
        name=name_or_source, source=origin(name_or_source), sha256=digest(loaded), eval_sha256=digest(evaluation),
        train=rows + (replayed.rows if replayed else []), evaluation=_rows(evaluation, held_out),
        profile={"rows": len(loaded), "duplicates_removed": len(loaded) - len(kept),
                 **_profile(rendered, held_out), **_columns(loaded), **_replayed(replayed, len(rows))},
        preview=preview(rendered[0], tokenizer), replay=replayed)


def _replayed(replay: replaying.Replay | None, task: int) -> dict[str, Any]:
    if replay is None:
        return {}
    return {"replay_rows": len(replay.rows), "replay_different_rows": replay.different,
            "replay_share": len(replay.rows) / (task + len(replay.rows))}


def origin(name_or_source: str) -> str:
    """Returns where rows came from: an absolute path where there is such a file, else the name itself."""
    path = Path(name_or_source).expanduser()
    return str(path.absolute()) if path.exists() else name_or_source


def _rows(conversations: Sequence[Conversation], rendered: Sequence[Rendered]) -> list[dict[str, Any]]:
    rows = []
    for conversation, row in zip(conversations, rendered, strict=True):
        known = {key: conversation["meta"][key] for key in ("fact", "bits") if key in conversation.get("meta", {})}
        rows.append({"input_ids": row.input_ids, "labels": row.labels, "trained_bytes": row.trained_bytes, **known})
    return rows


def _profile(train: Sequence[Rendered], evaluation: Sequence[Rendered]) -> dict[str, Any]:
    both = [*train, *evaluation]
    tokens = sum(len(row.input_ids) for row in train)
    trained = sum(sum(row.trained) for row in train)
    return {"train_rows": len(train), "eval_rows": len(evaluation), "train_tokens": tokens, "trained_tokens": trained,
            "trained_token_share": trained / tokens, "longest_row": max(row.length for row in both),
            "truncated": sum(row.truncated for row in both), "answers_cut": sum(row.answer_cut for row in both)}


def _columns(conversations: Sequence[Conversation]) -> dict[str, Any]:
    metas = [conversation.get("meta", {}) for conversation in conversations]
    unused = sorted({column for meta in metas for column in meta.get("unused", ())})
    return {"form": metas[0].get("form", "messages"), "unused_columns": ", ".join(unused) or "none"}
