"""A probe that is too large on purpose: one hidden layer, to see what selectivity says of it.

S places, N rows, M label sets, C classes.
"""

import numpy as np
import torch

from lab.probing.linear_fit import standard
from lab.randomness import seeded

STEPS = 300
RATE = 3e-3
_DECAYS = (1e-4, 1e-2, 1.0)


def wide_predictions(features: torch.Tensor, labels: np.ndarray, classes: int, train: np.ndarray, test: np.ndarray,
                     fold: np.ndarray, *, hidden: int, seed: int = 0) -> np.ndarray:
    """Returns ln p of every class [S, M, n, C] on test rows by networks of one hidden layer of ReLUs.

    Each is fitted by AdamW on all training rows at once, its weight decay chosen on one held-out fold for each place and
    label set, as the linear probe's penalty is: it is no worse for want of regularisation.

    Args:
        features: [S, N, D].
        labels: [M, N].
        classes: C.
        train: Indices of rows.
        test: Indices of rows, n.
        fold: [len(train)], from `lab.probing.linear_splits.folds`; the first is held out.
        hidden: Width of the hidden layer.
        seed: Of the first weights.
    """
    targets, held = torch.as_tensor(labels), fold == 0
    found = []
    for place in features:
        center, scale = standard(place[train])
        rows = ((place.double() - center) / scale).float()
        nats = []
        for decay in _DECAYS:
            said = _fitted(rows, targets, classes, train[~held], train[held], hidden, [decay] * len(labels), seed)
            right = said.gather(2, targets[:, train[held]][..., None].to(said.device))
            nats.append(-right.mean((1, 2)))
        best = torch.stack(nats).argmin(0)
        found.append(_fitted(rows, targets, classes, train, test, hidden, [_DECAYS[one] for one in best.tolist()], seed))
    return torch.stack(found).double().cpu().numpy()


def _fitted(rows: torch.Tensor, labels: torch.Tensor, classes: int, train: np.ndarray, asked: np.ndarray, hidden: int,
            decays: list[float], seed: int) -> torch.Tensor:
    """ln p [M, n, C] on the asked rows, by one network per label set, all fitted side by side."""
    sets, width = len(labels), rows.shape[1]
    with seeded(seed):  # like PyTorch's own first weights
        bounds = ((width, hidden, width), (1, hidden, width), (hidden, classes, hidden), (1, classes, hidden))
        weights = [((torch.rand(sets, a, b) * 2 - 1) / fan ** 0.5).to(rows.device).requires_grad_() for a, b, fan in bounds]
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    inside, targets = rows[train].expand(sets, -1, -1), labels[:, train].to(rows.device)
    decay = torch.tensor(decays, device=rows.device)[:, None, None]
    for step in range(1, STEPS + 1):
        logits = _logits(inside, weights)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / len(train)
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope, mean, square in zip(weights, slopes, first, second, strict=True):
                mean.lerp_(slope, 0.1)
                square.lerp_(slope ** 2, 0.001)
                update = mean / (1 - 0.9 ** step) / ((square / (1 - 0.999 ** step)).sqrt() + 1e-8)
                weight -= RATE * (update + decay * weight)
    with torch.no_grad():
        return _logits(rows[asked].expand(sets, -1, -1), weights).log_softmax(-1)


def _logits(rows: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.relu(rows @ weights[0] + weights[1]) @ weights[2] + weights[3]
