"""One training as arrays: its step metrics, the rows of its batches and its held-out losses."""

import numpy as np

from lab.training.finetune import Trained


class History:
    """The step metrics of one training as arrays, for its figure."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}

    def add(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.points.setdefault(name, []).append((step, value))

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns `<metric>/steps` and `<metric>/values` of every metric."""
        found = {}
        for name, pairs in self.points.items():
            found[f"{name}/steps"] = np.array([step for step, _ in pairs])
            found[f"{name}/values"] = np.array([value for _, value in pairs])
        return found


def as_rows(batches: list[list[int]]) -> np.ndarray:
    """Returns the rows that each step trained on, [steps, rows], -1 where a batch was smaller."""
    rows = np.full((len(batches), max(map(len, batches), default=0)), -1, dtype=np.int32)
    for step, batch in enumerate(batches):
        rows[step, :len(batch)] = batch
    return rows


def evaluations(trained: Trained) -> dict[str, np.ndarray]:
    """Losses of the single held-out rows behind the curve: steps [C], nats [C, rows], trained tokens [rows]."""
    finite = [each for each in trained.evaluations if np.isfinite(each.nll).all()]
    return {"held_out.steps": np.array([each.step for each in finite]), "held_out.nll": np.array([e.nll for e in finite]),
            "held_out.tokens": trained.base.tokens if not finite else finite[0].tokens}
