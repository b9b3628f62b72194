"""Probes find a planted direction, choose their penalty on held-out rows, and are right in the features' own units."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lab.probing.linear_controls import control_labels
from lab.probing.linear_fit import PENALTIES, fit
from lab.probing.linear_null import null
from lab.probing.linear_scores import bits, hits, marginals, resampled, selectivity
from lab.probing.linear_splits import disjoint_types, folds, shared_types
from lab.probing.linear_wide import wide_predictions

pytestmark = pytest.mark.usefixtures("one_thread")
TYPES, CONTEXTS = np.repeat(np.arange(80), 6), np.tile(np.arange(6), 80)
TRUE = (np.arange(80) % 2)[TYPES]


def rows(width: int, planted: float, *, own: float = 1.0, noise: float = 0.5) -> torch.Tensor:
    """Features [2, N, D]: every type has a direction of its own; in the second place the label has one too."""
    rng = np.random.default_rng(0)
    found = own * rng.normal(size=(2, 80, width))[:, TYPES] + noise * rng.normal(size=(2, len(TYPES), width))
    found[1] += planted * np.outer(2 * TRUE - 1, rng.normal(size=width))
    return torch.tensor(100 + found * np.logspace(-1, 1, width), dtype=torch.float32)


def generalised(features: torch.Tensor, labels: np.ndarray, seed: int = 0):
    split = disjoint_types(TYPES, TYPES, labels, seed=seed)
    probes = fit(features[:, split.train], labels[None, split.train], 2, folds(split.units[split.train], seed=seed))
    said = probes.log_probabilities(features[:, split.test])[:, 0]
    return said, labels[split.test], TYPES[split.test], probes


def test_a_planted_direction_is_found_on_types_never_seen_and_chance_elsewhere():
    said, labels, groups, probes = generalised(rows(24, 1.0), TRUE)
    found = null(said.argmax(-1), labels, groups)
    assert found.accuracy[1] > 0.95 and found.p[1] == found.adjusted_p[1] == 0.001 and not found.inside[1]
    assert found.inside[0] and found.adjusted_p[0] > 0.05
    gained = bits(said, labels, marginals(TRUE, 2)).mean(-1)
    assert gained[1] > 0.7 and gained[0] < 0.1
    assert probes.penalty[1] < probes.penalty[0]  # noise is best said by the frequencies alone


def test_the_planted_direction_itself_is_recovered():
    rng = np.random.default_rng(0)
    rng.normal(size=(2, 80, 24)), rng.normal(size=(2, len(TYPES), 24))
    direction = rng.normal(size=24)
    probes = fit(rows(24, 0.3, own=0.0, noise=1.0), TRUE[None], 2, folds(TYPES, seed=0))
    # with equal noise everywhere the best direction is the planted one, here seen through each feature's own scale
    weight = (probes.weight[1, 0, 1] - probes.weight[1, 0, 0]) / probes.scale[1] * torch.tensor(np.logspace(-1, 1, 24))
    assert float(torch.nn.functional.cosine_similarity(weight, torch.tensor(direction), dim=0)) > 0.9


def test_coefficients_are_those_of_scikit_learn_on_standardised_rows():
    features, labels = rows(10, 0.2), (TYPES % 3)
    probes = fit(features, labels[None], 3, folds(TYPES, seed=0))
    for place in range(2):
        given = StandardScaler().fit_transform(features[place].double().numpy())
        penalty = float(probes.penalty[place, 0]) * (given ** 2).sum(1).mean()
        other = LogisticRegression(C=1 / (penalty * len(given)), tol=1e-9, max_iter=3000).fit(given, labels)
        np.testing.assert_allclose(probes.weight[place, 0], other.coef_, atol=1e-3)
        np.testing.assert_allclose(probes.log_probabilities(features)[place, 0], other.predict_log_proba(given), atol=5e-3)


def test_the_penalty_is_the_best_on_held_out_folds():
    features, labels = rows(10, 0.3), TRUE
    part = folds(TYPES, seed=0)
    probes = fit(features, labels[None], 2, part)
    for place in range(2):
        given = StandardScaler().fit_transform(features[place].double().numpy())
        length, nats = (given ** 2).sum(1).mean(), []
        for penalty in PENALTIES:
            total = 0.0
            for one in range(3):
                kept = part != one
                strength = 2 / (penalty * length * kept.sum())  # two classes: see test_linear_solver
                other = LogisticRegression(C=strength, tol=1e-9, max_iter=3000).fit(given[kept], labels[kept])
                total -= other.predict_log_proba(given[~kept])[np.arange((~kept).sum()), labels[~kept]].sum()
            nats.append(total / len(given))
        assert float(probes.penalty[place, 0]) == pytest.approx(PENALTIES[int(np.argmin(nats))])
        assert float(probes.held_out_nats[place, 0]) == pytest.approx(min(nats), abs=2e-3)


def test_a_place_and_a_label_set_are_fitted_as_if_alone():
    features = rows(10, 0.3)
    labels, part = np.stack([TRUE, TYPES % 2 ^ (CONTEXTS > 2)]), folds(TYPES, seed=0)
    both, one = fit(features, labels, 2, part), fit(features[1:], labels[1:], 2, part)
    torch.testing.assert_close(both.weight[1, 1], one.weight[0, 0], atol=1e-4, rtol=0)


def test_a_constant_feature_and_rows_wider_than_many_change_nothing():
    features = rows(10, 1.0)
    wider = torch.cat([features, torch.full((2, len(TYPES), 600), 3.7)], -1)
    said, asked = (generalised(each, TRUE)[0] for each in (features, wider))
    np.testing.assert_allclose(said, asked, atol=1e-3)


def test_selectivity_separates_a_linear_probe_from_an_over_large_one():
    # 80 types in 12 dimensions: no plane parts 80 random labels, 256 hidden units do
    features = rows(12, 1.5, noise=0.15)
    split = shared_types(TYPES, CONTEXTS, seed=0)
    labels = np.concatenate([TRUE[None], control_labels(TYPES, TRUE, draws=3, seed=0)])
    part = folds(split.units[split.train], seed=0)
    linear = fit(features[:, split.train], labels[:, split.train], 2, part).log_probabilities(features[:, split.test])
    wide = wide_predictions(features, labels, 2, split.train, split.test, part, hidden=256)
    weights = resampled(TYPES[split.test])
    found = {}
    for name, said in (("linear", linear), ("wide", wide)):
        right = hits(said, labels[:, split.test])
        assert right[1, 0].mean() > 0.95, name  # on the task they are alike
        found[name] = selectivity(right[:, 0], right[:, 1:], weights)
    assert found["wide"].high[1] < found["linear"].low[1] and found["wide"].value[1] < 0.1 < found["linear"].value[1]


def test_on_shuffled_labels_the_accuracy_lies_inside_the_band_of_permutations():
    features, rng, inside = rows(10, 0.0), np.random.default_rng(0), 0
    for trial in range(200):
        labels = rng.permutation(np.arange(80) % 2)[TYPES]
        said, tested, groups, _ = generalised(features[:1], labels, seed=trial)
        inside += null(said.argmax(-1), tested, groups, draws=199, seed=trial).inside[0]
    assert inside / 200 >= 0.93
