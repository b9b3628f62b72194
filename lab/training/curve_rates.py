"""The best learning rate of a sweep: the lowest place of a smooth curve in log rate, and an interval for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.training.curve_rate_fits import MOST_SEEDWISE, SEEDS_NEEDED, lowest_of_parabola, lowest_over_seeds
from lab.training.curves import too_few

RATES_NEEDED = 3
NOT_INSIDE = "not inside the grid"
_LEAST = 1e-9  # nats; a loss of exactly 0 has no logarithm


@dataclass(frozen=True)
class RateFit:
    """Where along a grid of learning rates the loss is lowest.

    Attributes:
        rates: Distinct rates, rising (G).
        mean_loss: Geometric mean over seeds, inf where any seed diverged (G).
        problem: Why there is no best rate, or an empty string.
        grid_best: The rate of the lowest mean loss, None if every rate diverged.
        bracket: Rates tried on either side of `grid_best`, the upper one possibly diverged; None at the grid's edge.
        best: Lowest place of the fitted curve; None where it has none inside the bracket.
        interval: For the best rate; None if there is nothing left to estimate noise from, or if it is unbounded.
        coefficients: log(loss) = c0 + c1 x + c2 x^2 (+ c3 x^3) with x = log(rate / grid_best).
        window: Lowest and highest rate fitted.
        covers: What the interval covers.
        diverged: Rates at which any seed diverged; they bracket a best rate and are not fitted.
        level: Of the interval.
    """

    rates: np.ndarray
    mean_loss: np.ndarray
    problem: str = ""
    grid_best: float | None = None
    bracket: tuple[float, float] | None = None
    best: float | None = None
    interval: tuple[float, float] | None = None
    coefficients: tuple[float, ...] | None = None
    window: tuple[float, float] | None = None
    covers: str = ""
    diverged: tuple[float, ...] = ()
    level: float = 0.95

    @property
    def inside(self) -> bool:
        """Whether rates on both sides of the best one were tried and were worse."""
        return self.bracket is not None

    @property
    def words(self) -> str:
        """What may be said about the best rate."""
        if self.problem or self.bracket is None:
            return self.problem
        if self.best is None:
            return f"best rate between {self.bracket[0]:g} and {self.bracket[1]:g} (no smooth curve is lowest there)"
        if self.interval is None:
            return f"best rate {self.best:.2g}, between {self.bracket[0]:g} and {self.bracket[1]:g} (no interval)"
        low, high = self.interval
        beyond = "" if self.rates[0] <= low and high <= self.rates[-1] else ", which reaches beyond the grid"
        return f"best rate {self.best:.2g}, {self.level:.0%} interval {low:.2g} to {high:.2g}{beyond}"

    def at(self, rates: np.ndarray) -> np.ndarray:
        """The fitted curve's loss at these rates."""
        assert self.coefficients is not None and self.grid_best is not None
        logs = np.log(np.asarray(rates) / self.grid_best)
        return np.exp(np.polynomial.polynomial.polyval(logs, np.array(self.coefficients)))


def best_rate(rates: Any, losses: Any, seeds: Any = None, *, level: float = 0.95) -> RateFit:
    """The best of a sweep's learning rates.

    The logarithm of the loss is fitted, whose lowest place is the loss's own: near it a loss that spans decades is no
    parabola, its logarithm is. Only the nearest rates are fitted; farther ones would decide where the lowest place lies.

    Args:
        rates: (N,) rate of every training; seeds repeat a rate.
        losses: (N,) its held-out loss in nats per token; nan or inf if it diverged.
        seeds: (N,) its seed. Where three or more are known at every rate fitted, the interval says how far the seeds'
            own curves agree (`lowest_over_seeds`), otherwise how far single losses lie from one parabola
            (`lowest_of_parabola`).
        level: Of the interval.
    """
    rates, losses = np.asarray(rates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    finite = np.isfinite(losses)
    logs = np.log(np.maximum(np.where(finite, losses, 1.0), _LEAST))
    grid = np.unique(rates)
    mean = np.array([logs[rates == rate].mean() if finite[rates == rate].all() else np.inf for rate in grid])
    diverged = tuple(float(rate) for rate in grid[~np.isfinite(mean)])
    if not np.isfinite(mean).any():
        return RateFit(grid, mean, "every rate diverged", diverged=diverged)
    place = int(mean.argmin())
    found: dict[str, Any] = {"rates": grid, "mean_loss": np.exp(mean), "grid_best": float(grid[place]),
                             "diverged": diverged, "level": level}
    short = too_few(len(grid), RATES_NEEDED)
    if short:
        return RateFit(problem=short.replace("points", "rates"), **found)
    if place in (0, len(grid) - 1):
        side = "lowest" if place == 0 else "highest"
        return RateFit(problem=f"{NOT_INSIDE}: the {side} rate tried, {grid[place]:g}, is the best", **found)
    found["bracket"] = (float(grid[place - 1]), float(grid[place + 1]))
    if not np.isfinite(mean[[place - 1, place + 1]]).all():
        return RateFit(**found)
    return RateFit(**found, **_lowest(rates, logs, seeds, grid, mean, place, level))


def _lowest(rates: np.ndarray, logs: np.ndarray, seeds: Any, grid: np.ndarray, mean: np.ndarray, place: int,
            level: float) -> dict[str, Any]:
    """The lowest place of the fitted curve and its interval, as attributes of a `RateFit`."""
    x = np.log(grid / grid[place])
    stable = np.isfinite(mean)
    of_seeds = None if seeds is None else _by_seed(rates, logs, np.asarray(seeds), grid)
    if of_seeds is not None and len(of_seeds) >= SEEDS_NEEDED:
        away = np.where(stable, np.abs(np.arange(len(grid)) - place), len(grid))
        near = stable & np.isin(np.arange(len(grid)), away.argsort(kind="stable")[:MOST_SEEDWISE])
        lowest = lowest_over_seeds(x[near], of_seeds[:, near], (x[place - 1], x[place + 1]), level)
    else:
        at = np.searchsorted(grid, rates)
        lowest = lowest_of_parabola(x[at][stable[at]], logs[stable[at]], x[stable], (x[place - 1], x[place + 1]), level)
    if lowest is None:
        return {}
    ends = None if lowest.interval is None else tuple(float(grid[place] * np.exp(end)) for end in lowest.interval)
    return {"best": float(grid[place] * np.exp(lowest.x)), "coefficients": lowest.coefficients,
            "window": tuple(float(grid[place] * np.exp(end)) for end in lowest.window), "interval": ends,
            "covers": lowest.covers}


def _by_seed(rates: np.ndarray, logs: np.ndarray, seeds: np.ndarray, grid: np.ndarray) -> np.ndarray | None:
    """Log losses (S, G), None where some seed was not trained once at every rate; diverged ones hold no meaning."""
    distinct = np.unique(seeds)
    table = np.full((len(distinct), len(grid)), np.nan)
    table[np.searchsorted(distinct, seeds), np.searchsorted(grid, rates)] = logs
    return table if len(rates) == table.size and np.isfinite(table).all() else None
