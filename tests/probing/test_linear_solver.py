"""Many logistic regressions at once against scikit-learn one by one, and against the slope of their own loss."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lab.probing.linear_solver import Problems, rotation, solve

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, WIDTH = 90, 12


def problems(classes: int, dtype: torch.dtype = torch.float64, width: int = WIDTH) -> Problems:
    rng = np.random.default_rng(classes)
    rows = torch.tensor(rng.normal(size=(ROWS, width)) * np.linspace(0.1, 3, width), dtype=dtype)
    rows -= rows.mean(0)
    labels = torch.tensor(np.stack([rng.integers(0, classes, ROWS), rng.permutation(np.arange(ROWS) % classes)]))
    weights = torch.ones(2, ROWS, dtype=dtype)
    weights[1, : ROWS // 3] = 0
    number = torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(2))
    penalty = torch.tensor([0.3, 0.01], dtype=dtype)[number[:, 2]]
    return Problems(rows, labels, weights / weights.sum(1, keepdim=True), number[:, 0], number[:, 1], penalty, classes)


def probabilities(rows: torch.Tensor, at: torch.Tensor) -> np.ndarray:
    return (rows @ at[:, :-1].T + at[:, -1]).softmax(1).double().numpy()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_solutions_are_those_of_scikit_learn(classes):
    asked = problems(classes)
    found = solve(asked, tolerance=1e-7)
    for one in range(len(found)):
        kept = (asked.weights[asked.weight_set[one]] > 0).numpy()
        labels = asked.labels[asked.label_set[one]].numpy()[kept]
        # for two classes scikit-learn penalises one difference w of weights, here w / 2 and -w / 2 are: half of that
        strength = 1 / (float(asked.penalty[one]) * kept.sum()) * (2 if len(np.unique(labels)) == 2 else 1)
        other = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(asked.rows.numpy()[kept], labels)
        present = np.unique(labels)
        ours = probabilities(asked.rows, found[one])
        np.testing.assert_allclose(ours[:, present], other.predict_proba(asked.rows.numpy()), atol=2e-5)
        if len(present) == classes > 2:
            np.testing.assert_allclose(found[one, :, :-1].numpy(), other.coef_, atol=2e-4)


def test_the_slope_is_zero_at_the_solution():
    asked = problems(4)
    at = solve(asked, tolerance=1e-9).requires_grad_()
    loss = torch.zeros((), dtype=torch.float64)
    for one in range(len(at)):
        logits = asked.rows @ at[one, :, :-1].T + at[one, :, -1]
        nats = -logits.log_softmax(1).gather(1, asked.labels[asked.label_set[one]][:, None])[:, 0]
        loss = loss + (nats * asked.weights[asked.weight_set[one]]).sum()
        loss = loss + asked.penalty[one] / 2 * (at[one, :, :-1] ** 2).sum()
    loss.backward()
    assert float(at.grad.abs().max()) < 1e-7


def test_what_is_solved_beside_a_problem_does_not_change_it():
    asked = problems(3)
    alone = Problems(asked.rows, asked.labels, asked.weights, asked.label_set[5:6], asked.weight_set[5:6],
                     asked.penalty[5:6], 3)
    torch.testing.assert_close(solve(alone, tolerance=1e-8)[0], solve(asked, tolerance=1e-8)[5], atol=1e-7, rtol=0)


def test_single_precision_agrees_to_its_rounding():
    exact, rough = solve(problems(3), tolerance=1e-7), solve(problems(3, torch.float32), tolerance=1e-4)
    torch.testing.assert_close(rough.double(), exact, atol=5e-3, rtol=0)


def test_a_class_without_rows_is_never_said():
    asked = problems(3)
    labels = asked.labels.clone()
    labels[labels == 2] = 1
    at = solve(Problems(asked.rows, labels, asked.weights, asked.label_set, asked.weight_set, asked.penalty, 3))
    assert max(probabilities(asked.rows, one)[:, 2].max() for one in at) < 1e-4


@pytest.mark.parametrize("width", [WIDTH, 2 * ROWS])
def test_rotated_rows_are_uncorrelated_and_keep_every_distance(width):
    rows = problems(2, width=width).rows
    turn = rotation(rows)
    turned = rows @ turn
    assert turned.shape[1] <= min(ROWS, width)
    torch.testing.assert_close(turned @ turned.T, rows @ rows.T)
    products = turned.T @ turned
    assert float((products - torch.diag(torch.diag(products))).abs().max()) < 1e-8 * float(products.max())
    torch.testing.assert_close(turn.T @ turn, torch.eye(turn.shape[1], dtype=torch.float64), atol=1e-6, rtol=0)


def test_rows_that_cannot_be_solved_are_an_error(monkeypatch):
    monkeypatch.setattr("lab.probing.linear_solver.STEPS", 1)
    with pytest.raises(ArithmeticError, match="8 of 8 logistic regressions are not solved after 1 steps; a penalty of 0.01"):
        solve(problems(3), tolerance=1e-9)
