"""Two laws a held-out loss may follow, a power law and an exponential, each with a floor, fitted in closed form.

Both are `floor + amplitude * basis(step, shape)`: linear but for one shape number, so a fit is a search over a fixed
grid of shapes with the two linear numbers solved exactly (variable projection, Golub and Pereyra 1973). The whole
grid is evaluated for many series at once, which is what makes bootstrapping it cheap. Losses are in nats per token,
so floor and amplitude may not be negative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Law:
    """A law's name, formula, grid of shapes and basis; `basis` takes steps relative to the last one.

    Axes: `basis(t, shape)` maps t (N,) and shape (G, 1) to (G, N). `slope` is its derivative by the shape.
    """

    name: str
    formula: str
    shape_name: str
    shapes: np.ndarray
    basis: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray, float], np.ndarray]
    shape_in_steps: bool

    def amplitude_in_steps(self, amplitude: float, shape: float, last_step: float) -> float:
        """The amplitude that goes with steps as counted, from the one of steps relative to the last."""
        return amplitude if self.shape_in_steps else amplitude * last_step**shape


POWER = Law(
    "power law",
    "floor + a * t^(-b)",
    "exponent b",
    np.geomspace(0.02, 5.0, 240),
    lambda t, shape: t ** (-shape),
    lambda t, shape: -np.log(t) * t ** (-shape),
    shape_in_steps=False,
)
EXPONENTIAL = Law(
    "exponential",
    "floor + a * exp(-t / tau)",
    "time constant tau (steps)",
    np.geomspace(0.02, 20.0, 240),
    lambda t, shape: np.exp(-t / shape),
    lambda t, shape: t / shape**2 * np.exp(-t / shape),
    shape_in_steps=True,
)


@dataclass(frozen=True)
class LawFit:
    """Least-squares fit of one law; `amplitude` belongs to steps relative to `last_step`."""

    law: Law
    floor: float
    amplitude: float
    shape: float
    last_step: float
    rss: float

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The fitted loss at these steps, inside or beyond those fitted."""
        relative = np.asarray(steps, dtype=np.float64) / self.last_step
        return self.floor + self.amplitude * self.law.basis(relative, np.array([[self.shape]]))[0]

    def tangents(self, steps: np.ndarray) -> np.ndarray:
        """Directions in which the fit can move, (N, 3): floor, amplitude, shape."""
        relative = np.asarray(steps, dtype=np.float64) / self.last_step
        basis = self.law.basis(relative, np.array([[self.shape]]))[0]
        return np.stack([np.ones(len(relative)), basis, self.law.slope(relative, self.shape)], axis=1)


class Design:
    """A law on the steps of one curve, ready to fit S series of N losses at G shapes at once."""

    def __init__(self, law: Law, steps: np.ndarray, shapes: np.ndarray | None = None) -> None:
        self.law, self.last_step = law, float(steps[-1])
        self.shapes = law.shapes if shapes is None else shapes
        self.basis = law.basis(np.asarray(steps, dtype=np.float64) / self.last_step, self.shapes[:, None])  # (G, N)
        self._mean = self.basis.mean(axis=1)
        centred = self.basis - self._mean[:, None]
        self._spread = np.linalg.norm(centred, axis=1)
        self._centred = centred / self._spread[:, None]
        self._length = np.linalg.norm(self.basis, axis=1)
        self._unit = self.basis / self._length[:, None]

    def linear(self, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best floor, amplitude and residual sum of squares at every shape, each (S, G), neither below zero."""
        mean = losses.mean(axis=1)[:, None]
        total = ((losses - mean) ** 2).sum(axis=1)[:, None]
        along = losses @ self._centred.T  # (S, G)
        amplitude = along / self._spread
        floor = mean - amplitude * self._mean
        rss = total - along**2
        through_zero = losses @ self._unit.T
        below = floor < 0
        rising = amplitude < 0
        amplitude = np.where(below, through_zero / self._length, amplitude)
        rss = np.where(below, (losses**2).sum(axis=1)[:, None] - through_zero**2, rss)
        floor = np.where(below, 0.0, floor)
        return (
            np.where(rising, mean, floor),
            np.where(rising, 0.0, amplitude),
            np.maximum(np.where(rising, total, rss), 0.0),
        )

    def rss_at_floor(self, losses: np.ndarray, floor: float) -> np.ndarray:
        """Residual sum of squares at every shape with the floor held, (S, G)."""
        above = losses - floor
        along = np.maximum(above @ self._unit.T, 0.0)
        return np.maximum((above**2).sum(axis=1)[:, None] - along**2, 0.0)

    def best(self, losses: np.ndarray, floor: float | None = None, shape_index: int | None = None) -> LawFit:
        """The fit of one series (N,) on the grid, with the floor or the shape held where given."""
        row = losses[None]
        if floor is None:
            floors, amplitudes, rss = self.linear(row)
            best = int(rss[0].argmin()) if shape_index is None else shape_index
            found = float(floors[0, best]), float(amplitudes[0, best])
        else:
            rss = self.rss_at_floor(row, floor)
            best = int(rss[0].argmin())
            found = floor, max(float((losses - floor) @ self._unit[best]) / float(self._length[best]), 0.0)
        return LawFit(self.law, *found, float(self.shapes[best]), self.last_step, float(rss[0, best]))


def fit_law(law: Law, steps: np.ndarray, losses: np.ndarray) -> LawFit:
    """The least-squares fit, on the law's grid of shapes then three times on a finer one around the best.

    Args:
        law: `POWER` or `EXPONENTIAL`.
        steps: (N,) rising, all above 0.
        losses: (N,) finite.

    Raises:
        ValueError: A step is not above 0, where a power law has no value.
    """
    if len(steps) == 0 or np.min(steps) <= 0:
        raise ValueError("a decay law needs steps above 0; leave out step 0, the untrained base.")
    shapes = law.shapes
    best = Design(law, steps).best(losses)
    for _ in range(3):
        at = int(np.searchsorted(shapes, best.shape))
        near = shapes[[max(at - 1, 0), min(at + 1, len(shapes) - 1)]]
        shapes = np.linspace(near[0], near[1], 61)
        best = min(best, Design(law, steps, shapes).best(losses), key=lambda fit: fit.rss)
    return best
