"""Multinomial logistic regressions by the hundred on the same rows; N rows, R features, C classes, Q problems."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

MEMORY = 5  # past steps that the curvature is read from
STEPS = 400
HALVINGS = 20
ABSENT = 1e-7  # share that a class without rows is given


@dataclass(frozen=True)
class Problems:
    """Logistic regressions that share their rows and differ in labels, weights of rows and penalty.

    Attributes:
        rows: [N, R], centred; uncorrelated columns, as after `rotation`, make the work short.
        labels: [M, N], classes from 0; several label sets.
        weights: [F, N], of rows; each sums to 1, and a row of weight 0 is not fitted.
        label_set: [Q], of each problem.
        weight_set: [Q].
        penalty: [Q], above 0.
        classes: C.
    """

    rows: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    label_set: torch.Tensor
    weight_set: torch.Tensor
    penalty: torch.Tensor
    classes: int


@dataclass
class _State:
    """What is known of the problems still being solved: place, loss and slope, and the last steps with their changes."""

    at: torch.Tensor  # [Q, C, R + 1]
    loss: torch.Tensor  # [Q]
    slope: torch.Tensor  # [Q, C, R + 1]
    past: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]  # step, change of slope, 1 / their product

    def of(self, kept: torch.Tensor) -> "_State":
        return _State(self.at[kept], self.loss[kept], self.slope[kept],
                      [(step[kept], change[kept], inverse[kept]) for step, change, inverse in self.past])


def solve(problems: Problems, *, start: torch.Tensor | None = None, tolerance: float = 1e-4) -> torch.Tensor:
    """Returns the coefficients [Q, C, R + 1] that minimise each problem's penalised loss, the intercepts last.

        Σ_n w_n · −ln softmax(W x_n + b)[y_n]  +  penalty / 2 · |W|²      (nats; intercepts go unpenalised)

    This is scikit-learn's `LogisticRegression(C=1 / (penalty · N))` for three and more classes. All problems take L-BFGS
    steps (Nocedal and Wright, 2006, algorithm 7.4) at once, so that one product of matrices serves them all; the first
    guess of the curvature is Böhning's bound (1992), ½ x², and solved ones leave. Problems are independent: what else is
    solved beside one does not change it, but for rounding.

    Args:
        problems: What is minimised.
        start: [Q, C, R + 1], where to start; for None at each class's share among the rows.
        tolerance: A problem is solved when the length of its slope, in units of that curvature, is below this; the loss
            is then above its minimum by about its square.

    Raises:
        ArithmeticError: One is not solved after 400 steps.
    """
    rows = torch.cat([problems.rows, problems.rows.new_ones(len(problems.rows), 1)], 1)
    penalty = torch.cat([problems.penalty[:, None].expand(-1, rows.shape[1] - 1),
                         problems.penalty.new_zeros(len(problems.penalty), 1)], 1)[:, None]  # [Q, 1, R + 1]
    curvature = (rows ** 2).mean(0) / 2 + penalty
    linear = _linear(problems, rows)
    solution = _marginals(problems, linear) if start is None else start.clone()
    left = torch.arange(len(solution), device=rows.device)
    measure = _objective(problems, rows, penalty, linear)
    state = _State(solution.clone(), *measure(solution, left), [])
    for _ in range(STEPS):
        kept = ((state.slope ** 2 / curvature[left]).sum((1, 2)) >= tolerance ** 2).nonzero()[:, 0]
        if len(kept) < len(left):
            solution[left] = state.at
            left, state = left[kept], state.of(kept)
        if not len(left):
            return solution
        state = _step(state, curvature[left], left, measure)
    raise ArithmeticError(f"{len(left)} of {len(solution)} logistic regressions are not solved after {STEPS} steps; a "
                          f"penalty of {float(problems.penalty[left].min()):.2g} is too small for these rows")


_Measure = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _objective(problems: Problems, rows: torch.Tensor, penalty: torch.Tensor, linear: torch.Tensor) -> _Measure:
    """Loss [Q] and slope [Q, C, R + 1] at coefficients of the problems with the given numbers."""
    columns = rows.T.contiguous()

    def measure(at: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = problems.weights[problems.weight_set[which]]  # [Q, N]
        logits = (at.flatten(0, 1) @ columns).unflatten(0, at.shape[:2])  # [Q, C, N]
        peak = logits.amax(1, keepdim=True)
        shares = (logits - peak).exp_()
        total = shares.sum(1)  # [Q, N]
        targets = linear[problems.label_set[which], problems.weight_set[which]]
        loss = ((total.log() + peak[:, 0]) * weights).sum(1) - (at * targets).sum((1, 2))
        shares *= (weights / total)[:, None]
        slope = (shares.flatten(0, 1) @ rows).unflatten(0, at.shape[:2]) - targets
        shrink = penalty[which] * at
        return loss + (at * shrink).sum((1, 2)) / 2, slope + shrink

    return measure


def _linear(problems: Problems, rows: torch.Tensor) -> torch.Tensor:
    """Sum of weighted rows by label set, weight set and class [M, F, C, R + 1]: the part of the slope that is constant."""
    hot = torch.nn.functional.one_hot(problems.labels, problems.classes).to(rows.dtype)  # [M, N, C]
    return torch.einsum("mnc,fn,nr->mfcr", hot, problems.weights, rows)


def _marginals(problems: Problems, linear: torch.Tensor) -> torch.Tensor:
    """Coefficients [Q, C, R + 1] of 0 and intercepts that give each class its share."""
    start = torch.zeros_like(linear)[problems.label_set, problems.weight_set]
    # the intercept of a class that has no row would fall forever; its share is now below what the tolerance sees
    start[..., -1] = linear[problems.label_set, problems.weight_set][..., -1].clamp_min(ABSENT).log()
    return start


def _step(state: _State, curvature: torch.Tensor, which: torch.Tensor, measure: _Measure) -> _State:
    """The state one step on, along the direction of L-BFGS, halved where the loss would not fall (Armijo)."""
    direction = -_times_inverse(state, curvature)
    down = (direction * state.slope).sum((1, 2))
    at, loss, slope = state.at + direction, torch.empty_like(state.loss), torch.empty_like(state.slope)
    bad = torch.arange(len(at), device=at.device)
    size = torch.ones_like(down)
    slack = 8 * torch.finfo(at.dtype).eps  # near the minimum, losses differ by less than their rounding
    for _ in range(HALVINGS):
        loss[bad], slope[bad] = measure(at[bad], which[bad])
        enough = state.loss[bad] + 1e-4 * size[bad] * down[bad] + slack * state.loss[bad].abs()
        bad = bad[~(loss[bad] <= enough)]
        if not len(bad):
            break
        size[bad] /= 2
        at[bad] = state.at[bad] + size[bad, None, None] * direction[bad]
    step, change = at - state.at, slope - state.slope
    product = (step * change).sum((1, 2))
    inverse = torch.where(product > 0, 1 / product.clamp_min(torch.finfo(at.dtype).tiny), 0)  # 0: the pair says nothing
    return _State(at, loss, slope, [*state.past[-(MEMORY - 1):], (step, change, inverse)])


def _times_inverse(state: _State, curvature: torch.Tensor) -> torch.Tensor:
    """The slope times the inverse curvature as the past steps show it, the bound scaled where they say nothing."""
    direction, shares = state.slope, []
    for step, change, inverse in reversed(state.past):
        share = inverse * (step * direction).sum((1, 2))
        shares.append(share)
        direction = direction - share[:, None, None] * change
    direction = direction / curvature
    if state.past:
        _, change, inverse = state.past[-1]
        along = inverse * (change ** 2 / curvature).sum((1, 2))
        direction = direction * torch.where(along > 0, 1 / along.clamp_min(1e-30), 1)[:, None, None]
    for (step, change, inverse), share in zip(state.past, reversed(shares), strict=True):
        direction = direction + (share - inverse * (change * direction).sum((1, 2)))[:, None, None] * step
    return direction


def rotation(rows: torch.Tensor) -> torch.Tensor:
    """Returns the directions [D, R] that span the rows [N, D], R at most min(N, D), along which they are uncorrelated.

    A penalty on |W|² knows no directions, and what is orthogonal to all rows gets coefficient 0. So logistic regressions on
    the rows rotated into these directions are the same, with N features at most however wide the model.
    """
    wide = rows.double()
    if len(rows) < rows.shape[1]:
        values, vectors = torch.linalg.eigh(wide @ wide.T)
        kept = values > values[-1] * 1e-10
        return (wide.T @ (vectors[:, kept] / values[kept].sqrt())).to(rows.dtype)
    values, vectors = torch.linalg.eigh(wide.T @ wide)
    return vectors[:, values > values[-1] * 1e-10].to(rows.dtype)


def chosen(problems: Problems, which: torch.Tensor) -> Problems:
    """Returns the problems with these numbers [Q]."""
    return replace(problems, label_set=problems.label_set[which], weight_set=problems.weight_set[which],
                   penalty=problems.penalty[which])
