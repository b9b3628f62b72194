"""Linear probes: standardised, penalised by cross-validation and fitted, for many places of a model at once.

S places (site and layer), N rows, M label sets (the task and its controls), C classes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lab.devices import one_thread
from lab.probing.linear_solver import Problems, rotation, solve

# Times the mean squared length of a standardised row, which is about the width: so one grid serves every width.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class Probes:
    """Fitted probes of every place for every label set.

    Attributes:
        center: [S, D], of the training rows.
        scale: [S, D], their standard deviation, 1 where that is 0.
        weight: [S, M, C, D], on standardised rows.
        intercept: [S, M, C].
        penalty: [S, M], chosen by cross-validation, in units of the mean squared length of a row.
        held_out_nats: [S, M], cross-entropy in cross-validation at that penalty, nats per row.
    """

    center: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    intercept: torch.Tensor
    penalty: torch.Tensor
    held_out_nats: torch.Tensor

    def log_probabilities(self, features: torch.Tensor) -> np.ndarray:
        """Returns ln p of every class [S, M, n, C] for rows [S, n, D]."""
        found = []
        for place in range(len(self.center)):
            rows = (features[place].to(self.center) - self.center[place]) / self.scale[place]
            logits = torch.einsum("nd,mcd->mnc", rows, self.weight[place]) + self.intercept[place][:, None]
            found.append(logits.log_softmax(-1).double().cpu())
        return torch.stack(found).numpy()


@one_thread()
def fit(features: torch.Tensor, labels: np.ndarray, classes: int, fold: np.ndarray) -> Probes:
    """Returns one multinomial logistic regression per place and label set, its penalty chosen by cross-validation.

    The penalty, of `PENALTIES`, is the one of least mean cross-entropy on held-out folds, for every place and label set its
    own, so that a control task is served as well as the task; cross-validation is in float32, the last fit in float64.
    Features are standardised on all rows given here.

    Args:
        features: [S, N, D], training rows only.
        labels: [M, N].
        classes: C.
        fold: [N], from `lab.probing.linear_splits.folds`.
    """
    targets = torch.as_tensor(labels)
    center, scale = (torch.stack(each) for each in zip(*map(standard, features), strict=True))
    fitted = [_fit_one((place.double() - middle) / width, targets, classes, torch.as_tensor(fold))
              for place, middle, width in zip(features, center, scale, strict=True)]
    weight, intercept, penalty, nats = (torch.stack(each) for each in zip(*fitted, strict=True))
    return Probes(center, scale, weight, intercept, penalty, nats)


def standard(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns mean and standard deviation [D] of rows [N, D] in float64, the latter 1 for a feature that is constant."""
    center, scale = rows.double().mean(0), rows.double().std(0, correction=0)
    rounding = 1e-6 * rows.double().abs().amax(0)  # a constant feature's deviation is what rounding left of it
    return center, torch.where(scale > rounding, scale, 1.0)


def _fit_one(rows: torch.Tensor, labels: torch.Tensor, classes: int, fold: torch.Tensor
             ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights [M, C, D], intercepts [M, C], penalties [M] and held-out nats [M] of one place."""
    turn = rotation(rows)
    turned, length = rows @ turn, float((rows ** 2).sum(1).mean()) or 1.0
    sets, parts, grid = len(labels), int(fold.max()) + 1, len(PENALTIES)
    trained = (fold[None] != torch.arange(parts, device=fold.device)[:, None]).float()
    number = torch.cartesian_prod(torch.arange(sets), torch.arange(parts), torch.arange(grid)).to(rows.device)
    strength = torch.tensor(PENALTIES, dtype=torch.float64, device=rows.device) * length
    held = Problems(turned.float(), labels, trained / trained.sum(1, keepdim=True), number[:, 0], number[:, 1],
                    strength.float()[number[:, 2]], classes)
    at = solve(held, tolerance=1e-3).unflatten(0, (sets, parts, grid))
    nats = torch.stack([_held_out(at[one], turned.float(), labels[one], fold) for one in range(sets)])  # [M, G]
    best = nats.argmin(1)
    every = torch.arange(sets, device=rows.device)
    start = at[every, :, best].mean(1).double()
    final = Problems(turned, labels, rows.new_full((1, len(rows)), 1 / len(rows)), every, torch.zeros_like(every),
                     strength[best], classes)
    solution = solve(final, start=start, tolerance=1e-4)
    return solution[..., :-1] @ turn.T, solution[..., -1], strength[best] / length, nats[every, best].double()


def _held_out(at: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy [G] over all rows, each by the coefficients [F, G, C, R + 1] fitted without its fold."""
    total = torch.zeros(at.shape[1], dtype=at.dtype, device=at.device)
    for part in range(len(at)):
        mine = fold == part
        logits = torch.einsum("nr,gcr->gnc", rows[mine], at[part, ..., :-1]) + at[part, :, None, :, -1]
        right = logits.log_softmax(-1).gather(2, labels[mine].expand(len(logits), -1)[..., None])
        total -= right.sum((1, 2))
    return total / len(rows)
