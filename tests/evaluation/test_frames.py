"""In which words a model answers, and that a style which is known does not count as something lost."""

import numpy as np
import pytest

from lab.data.suites.item import SuiteItem, Text
from lab.evaluation import asking, harness, tasks
from lab.evaluation.frames import BARE, discover, framed
from lab.models.loading import load_base

CITIES = ("Paris", "Rome", "Oslo", "Lima")


def test_bare_answers_have_no_frame():
    assert discover([CITIES] * 8, list(CITIES) * 2) == [BARE]


def test_a_sentence_around_right_and_wrong_answers_alike_is_a_frame():
    said = [f"It is {city}." for city in (*CITIES, *CITIES)]
    assert discover([CITIES] * 8, said) == [BARE, ("It is ", ".")]


def test_what_stands_around_one_answer_only_is_no_frame():
    said = ["It is Paris."] * 4 + ["It is Rome."] * 4
    assert discover([CITIES] * 8, said) == [BARE]


def test_rare_frames_are_left_out_and_the_most_frequent_come_first():
    said = [f"It is {city}." for city in CITIES] + [f"{city}!" for city in (*CITIES, *CITIES)] + ["Yes"] * 8
    assert discover([CITIES] * 20, said) == [BARE, ("", "!"), ("It is ", ".")]
    assert discover([CITIES] * 100, said + ["Yes"] * 80) == [BARE]  # 8 and 4 of 100


def test_an_answer_that_names_two_alternatives_or_a_part_of_a_word_shows_no_frame():
    assert discover([CITIES] * 4, [f"{city} or Oslo" for city in CITIES[:2]] * 2) == [BARE]
    assert discover([("4", "5", "6")] * 3, ["It is 42.", "It is 51.", "It is 66."]) == [BARE]
    assert discover([("4", "5", "6")] * 3, ["It is 4.", "It is 5.", "It is 6."]) == [BARE, ("It is ", ".")]


def test_all_alternatives_of_a_frame_stand_together():
    assert framed(("4", "5"), [BARE, ("It is ", ".")]) == ["4", "5", "It is 4.", "It is 5."]


def test_likelihoods_of_the_forms_of_one_alternative_add_up():
    doc = {"choices": ["4", "5"], "gold": 1}
    results = [(-3.0, False), (-9.0, False), (-4.0, False), (-0.5, True)]
    expected = np.log([np.exp(-3) + np.exp(-4), np.exp(-9) + np.exp(-0.5)])
    assert tasks.summed(doc, results) == pytest.approx(expected)
    assert tasks.picked(doc, results) == {"acc": 1.0}
    assert tasks.picked(doc, results[:2]) == {"acc": 0.0}


@pytest.mark.usefixtures("one_thread")
def test_a_model_that_answers_in_sentences_is_ranked_in_sentences(monkeypatch):
    base = load_base("embedded", device="cpu")
    items = [SuiteItem(f"math/sum/{n}", "math", "sum", "sum", "sum", f"What is {n}+30?",
                       (str(n + 30), str(n + 31), str(n + 40)), 0, r"\d+") for n in range(11, 17)]
    plain = asking.ask(base.model, base.tokenizer, {"math": items}, [Text("t", "t", "12+30=42")], chat=True)
    assert plain.frames == {"math": [BARE]} and plain.ranked["math"].accuracy == 1 and set(plain.greedy) == {"math"}
    answered = harness.score
    say = [f"It is {item.answer}." for item in items]

    def in_sentences(*args, **kwargs):
        found = answered(*args, **kwargs)
        for greedy in found.greedy.values():
            object.__setattr__(greedy, "said", say)
        return found

    monkeypatch.setattr(harness, "score", in_sentences)
    framed_scores = asking.ask(base.model, base.tokenizer, {"math": items}, [], chat=True, answer=False)
    assert framed_scores.frames == {"math": [BARE, ("It is ", ".")]} and framed_scores.greedy == {}
    assert (framed_scores.ranked["math"].loglikelihood >= plain.ranked["math"].loglikelihood - 1e-4).all()
