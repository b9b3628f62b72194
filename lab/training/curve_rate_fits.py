"""The lowest place of a smooth curve through a few noisy points: over seeds, or of one parabola."""

from dataclasses import dataclass

import numpy as np

SEEDS_NEEDED = 3
MOST_SEEDWISE = 5  # places fitted, the nearest ones to the lowest
_STEPS = 2000


@dataclass(frozen=True)
class Lowest:
    """The lowest place of a fitted curve y(x).

    Attributes:
        x: The place.
        interval: For it, None where it is unbounded or there is nothing to estimate noise from.
        coefficients: Of the curve, constant first.
        window: Lowest and highest x fitted.
        covers: What the interval covers.
    """

    x: float
    interval: tuple[float, float] | None
    coefficients: tuple[float, ...]
    window: tuple[float, float]
    covers: str


def lowest_over_seeds(x: np.ndarray, y: np.ndarray, bracket: tuple[float, float], level: float) -> Lowest | None:
    """The lowest place of the mean cubic, and all places around it at which the seeds do not agree on a slope.

    Every seed has its own cubic; its slope at a place is one number a seed, and Student's t says whether their mean may be
    0 there. This needs no model of the noise: seeds may move the whole curve, and losses may scatter more at high rates.
    A cubic, since a curve that rises faster than it fell moves the lowest place of a parabola by more than the noise does;
    how far a quartic moves it belongs into the interval. In simulations with three seeds the 95 % interval covered the
    planted place in 94 to 98 % of sweeps, and in 93 to 99 % with the losses of real sweeps for a truth; where the lowest
    place is next to an end of the grid, in 88 to 98 %.

    Args:
        x: (P,), three or more, rising.
        y: (S, P), one row a seed.
        bracket: Between which the place has to lie.
        level: Of the interval.

    Returns:
        None if the mean curve is lowest at an end of the bracket.
    """
    from scipy.stats import t

    design = np.vander(x, min(4, len(x)), increasing=True)
    own = np.linalg.lstsq(design, y.T, rcond=None)[0].T                       # S coefficients
    places = np.linspace(x[0], x[-1], _STEPS + 1)
    powers = np.vander(places, own.shape[1], increasing=True)
    inside = (places > bracket[0]) & (places < bracket[1])
    at = int(np.where(inside, powers @ own.mean(0), np.inf).argmin())
    if not (inside[max(at - 1, 0)] and inside[min(at + 1, _STEPS)]):
        return None
    slopes = own[:, 1:] @ (powers[:, :-1] * np.arange(1, own.shape[1])).T     # S places
    reach = float(t.ppf((1 + level) / 2, len(y) - 1)) / np.sqrt(len(y))
    clear = np.abs(slopes.mean(0)) > reach * slopes.std(0, ddof=1)
    below, above = np.flatnonzero(clear[:at]), np.flatnonzero(clear[at + 1:])
    # the first places on each side whose slope is clear, so that rounding to places widens the interval
    interval = None
    if len(below) and len(above):
        shift = _lowest_inside(x, y.mean(0), 4, bracket) - places[at]
        interval = float(places[below[-1]] + min(shift, 0.0)), float(places[at + 1 + above[0]] + max(shift, 0.0))
    return Lowest(float(places[at]), interval, tuple(map(float, own.mean(0))), (float(x[0]), float(x[-1])),
                  f"training seeds (n={len(y)})")


def lowest_of_parabola(x: np.ndarray, y: np.ndarray, grid: np.ndarray, bracket: tuple[float, float], level: float
                       ) -> Lowest | None:
    """The vertex of a parabola through the nearest points, and its interval (Fieller 1954), widened to a cubic's vertex.

    Through the nearest place on each side if points were repeated there, otherwise through the nearest two, so that
    something is left to judge the noise by. In simulations the 95 % interval covered the lowest place in 93 to 98 % of
    sweeps with a parabola, in 86 to 100 % with a strongly skewed curve, and less where seeds move the curve as a whole.

    Args:
        x: (N,) place of every point, 0 the lowest; repeated.
        y: (N,)
        grid: Distinct places, rising.
        bracket: Between which the vertex has to lie.
        level: Of the interval.

    Returns:
        None if no parabola that opens upwards has its vertex there.
    """
    place = int(np.abs(grid).argmin())
    for reach in (1, 2):
        near = grid[np.abs(np.arange(len(grid)) - place) <= reach]
        used = np.isin(x, near)
        left = int(used.sum()) - 3
        if left >= 3:
            break
    design = np.vander(x[used], 3, increasing=True)
    coefficients, *_ = np.linalg.lstsq(design, y[used])
    vertex = float(-coefficients[1] / (2 * coefficients[2])) if coefficients[2] > 0 else np.nan
    if not bracket[0] < vertex < bracket[1]:
        return None
    window, kept = (float(near[0]), float(near[-1])), tuple(map(float, coefficients))
    rss = float(((y[used] - design @ coefficients) ** 2).sum())
    ends = _fieller(coefficients, np.linalg.inv(design.T @ design) * rss / left, left, level) if left >= 1 else None
    if ends is None:
        return Lowest(vertex, None, kept, window, "")
    wide = np.isin(x, grid[np.abs(np.arange(len(grid)) - place) <= 2])
    shift = _lowest_inside(x[wide], y[wide], 3, bracket) - vertex
    repeated = len(near) < int(used.sum())
    covers = "training seeds and skewness" if repeated else "deviations from a parabola and skewness, no other seeds"
    return Lowest(vertex, (ends[0] + min(shift, 0.0), ends[1] + max(shift, 0.0)), kept, window, covers)


def _lowest_inside(x: np.ndarray, y: np.ndarray, degree: int, bracket: tuple[float, float]) -> float:
    """The lowest place between these ends of a polynomial through these points, of a degree that they determine.

    Above its best rate a loss rises faster than it fell: how far a curve of one degree more moves its lowest place belongs
    into an interval for it.
    """
    fitted = np.polynomial.polynomial.polyfit(x, y, min(degree, len(np.unique(x)) - 1))
    tried = np.linspace(*bracket, 401)
    return float(tried[np.polynomial.polynomial.polyval(tried, fitted).argmin()])


def _fieller(coefficients: np.ndarray, covariance: np.ndarray, left: int, level: float) -> tuple[float, float] | None:
    """All x where the slope c1 + 2 c2 x may be zero at this level; None if they are not one finite stretch."""
    from scipy.stats import t

    c1, c2 = coefficients[1:]
    reach = float(t.ppf((1 + level) / 2, left)) ** 2
    square = 4 * (c2**2 - reach * covariance[2, 2])
    linear = 4 * (c1 * c2 - reach * covariance[1, 2])
    constant = c1**2 - reach * covariance[1, 1]
    under_root = linear**2 - 4 * square * constant
    if square <= 0 or under_root < -1e-12 * linear**2:
        return None
    root = float(np.sqrt(max(under_root, 0.0)))  # without any noise it is 0 but for rounding
    return (-linear - root) / (2 * square), (-linear + root) / (2 * square)
