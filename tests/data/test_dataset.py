"""A dataset as a whole: rows, hashes, profile, preview."""

import hashlib
import json
import os
import subprocess
import sys
import types

import pytest

from lab.data.dataset import build
from lab.errors import DataError

DEFAULTS = {"max_length": 64, "eval_split": 0.25, "seed": 0, "facts": 2, "answers": 4}
ROWS = [{"prompt": f"Who lives in house {i}?", "completion": f"Mira {i}."} for i in range(8)]


@pytest.fixture
def tokenizer(make_tokenizer):
    return make_tokenizer("chatml")


@pytest.fixture
def data(tmp_path):
    """Writes rows to a file and returns its path."""
    def write(rows, name="data.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)
    return write


def spoken(tokenizer, row):
    return tokenizer.decode([label for label in row["labels"] if label != -100])


def test_rows_are_what_a_trainer_takes(tokenizer, data):
    path = data(ROWS)
    dataset = build(path, tokenizer, **DEFAULTS)
    assert (dataset.name, dataset.source) == (path, path)
    assert (len(dataset.train), len(dataset.evaluation)) == (6, 2)
    for row in (*dataset.train, *dataset.evaluation):
        assert set(row) == {"input_ids", "labels", "trained_bytes"}
        assert len(row["input_ids"]) == len(row["labels"])
        assert all(type(value) is int for value in (*row["input_ids"], *row["labels"], row["trained_bytes"]))
        assert row["trained_bytes"] == len("Mira 0.")
    assert sorted(spoken(tokenizer, row) for row in (*dataset.train, *dataset.evaluation)) == \
        [f"Mira {i}.<|im_end|>" for i in range(8)]


def test_the_profile_counts(tokenizer, data):
    long = {"prompt": "Who?", "completion": "Oslo. " * 60, "source": "x"}
    dataset = build(data([*ROWS, ROWS[3], long, ROWS[0]]), tokenizer, **DEFAULTS)
    trained = sum(label != -100 for row in dataset.train for label in row["labels"])
    tokens = sum(len(row["input_ids"]) for row in dataset.train)
    longest = max(len(tokenizer.apply_chat_template([{"role": "user", "content": "Who?"}, {
        "role": "assistant", "content": "Oslo. " * 60}], return_dict=False)), 0)
    assert dataset.profile == {
        "rows": 11, "duplicates_removed": 2, "train_rows": 7, "eval_rows": 2, "train_tokens": tokens,
        "trained_tokens": trained, "trained_token_share": trained / tokens, "longest_row": longest, "truncated": 1,
        "answers_cut": 1, "form": "prompt/completion", "unused_columns": "source"}
    assert max(len(row["input_ids"]) for row in (*dataset.train, *dataset.evaluation)) == 64
    assert "⟦Mira" in dataset.preview and dataset.preview.startswith(
        f"{sum(label != -100 for label in dataset.train[0]['labels'])} of {len(dataset.train[0]['labels'])} tokens")


def test_the_hash_is_of_all_rows_in_order(tokenizer, data):
    dataset = build(data(ROWS), tokenizer, **DEFAULTS)
    lines = [f'{{"messages":[{{"content":"Who lives in house {i}?","role":"user"}},{{"content":"Mira {i}.",'
             f'"role":"assistant"}}],"meta":{{"form":"prompt/completion","row":{i + 1}}}}}\n' for i in range(8)]
    assert dataset.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    held = [line for i, line in enumerate(lines) if f"Mira {i}.<|im_end|>" in
            [spoken(tokenizer, row) for row in dataset.evaluation]]
    assert dataset.eval_sha256 == hashlib.sha256("".join(held).encode()).hexdigest()


def test_every_change_of_the_rows_changes_the_hash(tokenizer, data):
    changed = [*ROWS[:7], {**ROWS[7], "completion": "Mira 8."}]
    hashes = [build(data(rows), tokenizer, **DEFAULTS).sha256
              for rows in (ROWS, ROWS[::-1], ROWS[:-1], [*ROWS, ROWS[0]], changed)]
    assert len(set(hashes)) == 5
    other_place = build(data(ROWS, "copy.jsonl"), tokenizer, **DEFAULTS | {"eval_split": 0.5, "seed": 3})
    assert other_place.sha256 == hashes[0]


def test_the_seed_decides_what_is_held_out(tokenizer, data):
    path = data(ROWS)
    first, again, other = (build(path, tokenizer, **DEFAULTS | {"seed": seed}) for seed in (1, 1, 2))
    assert first.evaluation == again.evaluation and first.eval_sha256 == again.eval_sha256 != other.eval_sha256


def test_errors_name_file_and_row(tokenizer, data):
    long = {"prompt": "Who? " * 60, "completion": "Mira."}
    with pytest.raises(DataError, match=r"data.jsonl row 5: trains nothing after max_length=64 cut it"):
        build(data([*ROWS[:4], long, *ROWS[5:]]), tokenizer, **DEFAULTS)
    with pytest.raises(DataError, match=r"data.jsonl row 2: trains nothing, because it has no assistant turn"):
        build(data([{"messages": [{"role": role, "content": "Hello."}]} for role in ("assistant", "user")]), tokenizer,
              **DEFAULTS)


def test_a_relative_path_is_recorded_whole(tokenizer, data, monkeypatch):
    path = data(ROWS)
    monkeypatch.chdir(os.path.dirname(path))
    assert build("data.jsonl", tokenizer, **DEFAULTS).source == path


def test_an_embedded_set_brings_its_own_evaluation(tokenizer, monkeypatch):
    def conversation(phrasing, i):
        return {"messages": [{"role": "user", "content": f"{phrasing} {i}?"},
                             {"role": "assistant", "content": "Oslo."}],
                "meta": {"fact": i, "bits": 2.0, "answer": "Oslo."}}

    def load(name, *, facts, answers, seed):
        assert (name, answers, seed) == ("facts", 4, 0)
        return ([conversation("Where is", i) for i in range(facts)],
                [conversation("The place of", i) for i in range(facts)])

    monkeypatch.setitem(sys.modules, "lab.data.embedded", types.SimpleNamespace(load=load))
    monkeypatch.setattr("lab.data.embedded", sys.modules["lab.data.embedded"], raising=False)
    dataset = build("embedded:facts", tokenizer, **DEFAULTS)
    assert [(row["fact"], row["bits"]) for row in dataset.train] == [(0, 2.0), (1, 2.0)]
    assert [row["fact"] for row in dataset.evaluation] == [0, 1]
    assert "The place of" in tokenizer.decode(dataset.evaluation[0]["input_ids"])
    assert dataset.source == "embedded:facts" and dataset.profile["rows"] == 4
    assert dataset.profile["duplicates_removed"] == 0 and dataset.profile["form"] == "messages"


def test_columns_that_are_not_read_are_named(tokenizer, data):
    rows = [{**row, "score": 1, "id": str(i)} if i % 2 else row for i, row in enumerate(ROWS)]
    assert build(data(rows), tokenizer, **DEFAULTS).profile["unused_columns"] == "id, score"
    assert build(data(ROWS), tokenizer, **DEFAULTS).profile["unused_columns"] == "none"


def test_reading_rows_loads_no_heavy_library():
    code = ("import sys, lab.data.dataset; print([name for name in ('torch', 'transformers', 'datasets', 'pyarrow', "
            "'pandas', 'mlflow') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
