"""Intervals resample whole clusters: those of one template, of one entity, or of exchanged answers."""

from dataclasses import replace

import numpy as np
import pytest

from lab.data.questions import Question
from lab.studies.probing_intervals import clusters, estimate, over_clusters

BLANK = Question("q", "knowledge", "home", "t", (), "text", [1, 2], ["a", "b"], "x", "y", 3, 4)


def asked(*each):
    return [replace(BLANK, name=f"q {i}", **one) for i, one in enumerate(each)]


def test_entities_hang_together_through_others_and_answers_that_are_exchanged():
    read = asked(*({"entities": (name,), "answer": name, "foil": "?"} for name in "abcdef"),
                 {"entities": ("a", "b"), "answer": "1", "foil": "2"}, {"entities": ("z",), "answer": "2", "foil": "1"})
    of = clusters(read, "entity").of
    assert of[0] == of[1] == of[6] == of[7] and len({*of.tolist()}) == 5
    assert len(clusters(read, "question")) == 8 and "n=8" in clusters(read, "question").covers


def test_where_one_name_is_in_all_only_exchanged_answers_are_one():
    read = asked(*({"entities": ("8",), "answer": f"{i // 2}{i % 2}", "foil": f"{i // 2}{1 - i % 2}"} for i in range(12)))
    found = clusters(read, "entity")
    assert len(found) == 6 and found.of[0] == found.of[1] != found.of[2] and "pairs" in found.covers


def test_templates_are_resampled_where_there_are_enough():
    many = asked(*({"template": f"t{i}", "entities": (f"e{i // 2}",), "answer": str(i)} for i in range(12)))
    assert len(clusters(many, "auto")) == 12 and "templates" in clusters(many, "auto").covers
    few = [replace(question, template=f"t{i % 3}") for i, question in enumerate(many)]
    assert len(clusters(few, "auto")) == 6 and "entities" in clusters(few, "auto").covers
    assert len(clusters(few, "template")) == 3


def test_the_interval_is_that_of_cluster_means():
    rng = np.random.default_rng(0)
    means = rng.normal(size=40)
    read = asked(*({"template": f"t{i // 5}"} for i in range(200)))
    mean, low, high = over_clusters(means.repeat(5)[:, None].repeat(2, 1), clusters(read, "template"))
    assert mean.shape == (2,) and mean[0] == pytest.approx(means.mean())
    half = 1.96 * means.std() / np.sqrt(40)  # of means of whole clusters, not of 200 questions
    assert high[0] - mean[0] == pytest.approx(half, rel=0.1) and mean[0] - low[0] == pytest.approx(half, rel=0.1)


def test_questions_without_a_value_do_not_count_and_few_clusters_have_no_interval():
    read = asked(*({"template": f"t{i}"} for i in range(10)))
    grouped = clusters(read, "template")
    values = np.where(np.arange(10) < 5, 2.0, np.nan)
    found = estimate(values, grouped)
    assert (found.value, found.low, found.high) == (2, 2, 2) and "5 of them with values" in found.covers
    assert estimate(np.where(np.arange(10) < 4, 2.0, np.nan), grouped) is None
    assert estimate(np.full(10, np.nan), grouped) is None
