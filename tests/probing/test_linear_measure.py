"""A task is read on its splits, with controls, cues and null, and one too small for them is refused by name."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lab.errors import DataError
from lab.probing import linear_measure

pytestmark = pytest.mark.usefixtures("one_thread")
TYPES, CONTEXTS = np.repeat(np.arange(40), 6), np.tile(np.arange(6), 40)
LABELS = TYPES % 2


def task(**changes) -> SimpleNamespace:
    given = {"name": "odd", "called": "odd", "whole": False, "label": LABELS, "classes": ("even", "odd"),
             "type": TYPES, "group": TYPES, "context": CONTEXTS, "position": CONTEXTS, "template": LABELS,
             "token": TYPES, "follows": ()}
    return SimpleNamespace(**given | changes)


def features() -> torch.Tensor:
    rng = np.random.default_rng(1)
    found = rng.normal(size=(2, len(TYPES), 8))
    found[1, :, 3] += 4 * LABELS
    return torch.tensor(found, dtype=torch.float32)


def test_what_is_planted_is_read_beyond_controls_and_null_and_nothing_elsewhere():
    shared, disjoint = linear_measure.shared_part(task(), controls=3, seed=0), linear_measure.disjoint_part(task(), seed=0)
    seen, _ = linear_measure.read(features(), shared)
    assert seen.control.shape == (2, 3, len(shared.split.test)) and shared.labels.shape == (4, len(TYPES))
    assert seen.hits[1].mean() > 0.9 > 0.75 > seen.control[1].mean()
    new, probes = linear_measure.read(features(), disjoint)
    against = linear_measure.against_null(new, disjoint, draws=99, seed=0)
    assert against.p[1] == 0.01 and against.inside[0]
    assert new.held_out_bits[1] > 0.6 > 0.1 > new.held_out_bits[0] and new.bits[1].mean() > 0.6
    # bits within training are of held-out folds, so that choosing a place by them tells of new rows
    assert new.held_out_bits[1] == pytest.approx(new.bits[1].mean(), abs=0.3)
    assert (linear_measure.moved(probes, features(), disjoint) == new.hits).all()
    turned = features()
    turned[1, :, 3] *= -1
    assert linear_measure.moved(probes, turned, disjoint)[1].mean() < 0.55


def test_bits_are_gained_over_the_training_rows_own_frequencies():
    rare = (TYPES % 4 == 0).astype(int)
    part = linear_measure.disjoint_part(task(label=rare), seed=0)
    found, probes = linear_measure.read(features(), part)
    share = np.array([0.75, 0.25])
    said = probes.log_probabilities(features()[:, part.split.test])[:, 0, np.arange(len(part.split.test)), part.tested[0]]
    np.testing.assert_allclose(found.bits, (said - np.log(share)[part.tested[0]]) / np.log(2), atol=0.05)
    surprise = -np.log2(share[rare[part.split.train]]).mean()
    np.testing.assert_allclose(found.held_out_bits, surprise - probes.held_out_nats[:, 0] / np.log(2), atol=0.03)


def test_labels_that_follow_position_in_groups_of_unlike_sizes_stay_inside_their_band():
    inside = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(2, 6, 60)
        group, place = np.repeat(np.arange(60), sizes), np.concatenate([np.arange(size) for size in sizes])
        shuffled = task(label=np.minimum(place, 2), type=group, group=group, context=group, classes=range(3))
        noise = torch.tensor(rng.normal(size=(1, 60, 6))[:, group] + rng.normal(size=(1, len(group), 6))).float()
        part = linear_measure.disjoint_part(shuffled, seed=seed)
        inside += linear_measure.against_null(linear_measure.read(noise, part)[0], part, draws=99, seed=seed).inside[0]
    assert inside >= 93


@pytest.mark.parametrize("texts", ["many", "its own"])
def test_words_that_recur_in_texts_with_their_label_stay_inside_their_band(texts):
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        word = np.repeat(np.arange(40), 8) if texts == "its own" else rng.integers(0, 24, 480)
        text = np.arange(320) if texts == "its own" else np.repeat(np.arange(80), 6)
        known = task(label=rng.permutation(np.arange(40) % 2)[word], type=word, group=text, context=text)
        noise = torch.tensor(rng.normal(size=(1, 40, 12))[:, word] + 0.3 * rng.normal(size=(1, len(word), 12))).float()
        part = linear_measure.disjoint_part(known, seed=seed)
        assert (part.crossed is None) == (texts == "its own")
        tested = word[part.split.test]
        assert len(np.unique(part.groups)) <= len(np.unique(tested))  # no more evidence than words
        inside += linear_measure.against_null(linear_measure.read(noise, part)[0], part, draws=99, seed=seed).inside[0]
    assert inside >= 56


def test_cues_read_what_follows_from_them():
    part = linear_measure.disjoint_part(task(), seed=0)
    assert linear_measure.cues(task(), part) is None
    assert linear_measure.cues(task(follows=("template",)), part).hits.mean() == 1
    assert linear_measure.cues(task(follows=("position",)), part).hits.mean() < 0.8


def test_a_wide_probe_is_scored_like_a_linear_one():
    part = linear_measure.shared_part(task(), controls=2, seed=0)
    found = linear_measure.wide(features(), part, hidden=32, seed=0)
    assert found.hits.shape == (2, len(part.split.test)) and found.control.shape[1] == 2 and found.hits[1].mean() > 0.85


@pytest.mark.parametrize("make, words", [
    (lambda: linear_measure.shared_part(task(context=CONTEXTS * 0), controls=2, seed=0), "odd: 1 contexts: a split"),
    (lambda: linear_measure.disjoint_part(task(type=TYPES * 0), seed=0), "odd: 1 types: a split that keeps them apart"),
    (lambda: linear_measure.disjoint_part(task(**{name: getattr(task(), name)[:48] for name in (
        "label", "type", "group", "context")}), seed=0),
     "odd: a split of its 48 rows leaves 12 test rows; needed are two classes.*: give count=120 or more"),
    (lambda: linear_measure.disjoint_part(task(type=TYPES // 5, group=TYPES // 5), seed=0),
     "odd: a split of its [0-9]+ rows leaves test rows of [23] groups"),
    (lambda: linear_measure.disjoint_part(task(label=(TYPES == 39).astype(int)), seed=0), "training rows of one class")])
def test_a_task_too_small_for_a_split_is_refused_by_name(make, words):
    with pytest.raises(DataError, match=words):
        make()
