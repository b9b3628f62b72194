"""Replayed rows: as many as their share says, of the base's own world, and none that a suite asks."""

import pytest

from lab.data import embedded, suites
from lab.data.dataset import build
from lab.data.replay import WORLD, needed
from lab.data.replay import build as replayed
from lab.errors import DataError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

HOW = {"max_length": 128, "eval_split": 0.2, "seed": 0, "facts": 30, "answers": 16}


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(EMBEDDED, 2048)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_share_is_that_of_all_rows_and_the_task_keeps_its_own(tokenizer, share):
    alone, mixed = build("embedded:facts", tokenizer, **HOW), build("embedded:facts", tokenizer, **HOW, replay=share)
    rows = len(mixed.train) - 30
    assert rows == needed(30, share) and rows / len(mixed.train) == pytest.approx(share, abs=0.02)
    assert mixed.train[:30] == alone.train and mixed.evaluation == alone.evaluation
    assert (mixed.sha256, mixed.eval_sha256) == (alone.sha256, alone.eval_sha256) and alone.replay is None
    assert mixed.profile == {**alone.profile, "replay_rows": rows, "replay_different_rows": rows,
                             "replay_share": rows / (30 + rows)}
    assert mixed.replay.rows == mixed.train[30:] and mixed.replay.name == WORLD and "⟦" in mixed.replay.preview


def test_rows_and_their_hash_depend_on_the_seed_alone(tokenizer):
    first, again, other = (replayed(WORLD, tokenizer, 8, max_length=128, seed=seed) for seed in (0, 0, 1))
    assert first == again and first.sha256 != other.sha256 and first.rows != other.rows


def test_no_replayed_row_is_a_question_of_a_suite_or_of_the_placebo():
    asked = {item.question for suite in suites.SUITES for item in suites.build(suite, "world", count=200)}
    trained = {row["messages"][0]["content"] for row in embedded.pretrained(3000)}
    assert len(trained) == 3000 and not trained & asked
    held_out = {row["messages"][0]["content"] for row in embedded.load("placebo")[1]}
    assert not trained & held_out


def test_too_few_rows_are_repeated_evenly(tokenizer, tmp_path):
    path = tmp_path / "base.jsonl"
    path.write_text("".join(f'{{"prompt": "Where is {i}?", "completion": "There {i}."}}\n' for i in (1, 2, 3, 3)))
    found = replayed(str(path), tokenizer, 7, max_length=64, seed=0)
    counts = sorted(sum(row == other for other in found.rows) for row in found.rows[:3])
    assert found.different == 3 and len(found.rows) == 7 and counts == [2, 2, 3]
    assert replayed("embedded:style", tokenizer, 4, max_length=64, seed=0).different == 4


def test_a_share_that_is_not_one_row_is_refused(tokenizer):
    with pytest.raises(DataError, match="not one row"):
        build("embedded:facts", tokenizer, **HOW, replay=0.01)
