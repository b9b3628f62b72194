"""Rank correlation over few trainings, by itself and with a third quantity held fixed, honest about how few they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.evaluation.intervals import Estimate

FEWEST = 8  # of fewer trainings neither the bootstrap nor a permutation says anything
DRAWS = 2000
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Correlation:
    """A rank correlation.

    Attributes:
        estimate: With its percentile bootstrap interval over trainings.
        p: Two-sided, of permutations.
        count: Trainings.
    """

    estimate: Estimate
    p: float
    count: int


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, *, given: np.ndarray | None = None
             ) -> float:
    """Returns Spearman's rank correlation, or the partial one with a third quantity held fixed; nan where one is constant.

    The partial one correlates what is left of both ranks after a straight line in the third's ranks is taken out.

    Args:
        x: [N].
        y: [N].
        given: [N], the quantity held fixed.
    """
    return _correlation(*_residuals(np.asarray(x), np.asarray(y), given))


def correlate(x: np.ndarray, y: np.ndarray, *, given: np.ndarray | None = None, seed: int = 0) -> Correlation | None:
    """Returns the rank correlation with its interval and p, or None where there are too few trainings or no variation.

    Permutations exchange what is left of x's ranks (Freedman and Lane, 1983); the observed order is one of them.

    Args:
        x: [N].
        y: [N].
        given: [N], the quantity held fixed.
        seed: Of resamples and permutations.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < FEWEST or not np.isfinite(value := spearman(x, y, given=given)):
        return None
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        rows = generator.integers(0, len(x), len(x))
        drawn.append(spearman(x[rows], y[rows], given=None if given is None else given[rows]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    own, other = _residuals(x, y, given)
    own, other = _standard(own), _standard(other)
    mixed = generator.permuted(np.tile(own, (PERMUTATIONS, 1)), axis=1) @ other
    p = (1 + int((np.abs(mixed) >= abs(own @ other) - 1e-9).sum())) / (PERMUTATIONS + 1)
    return Correlation(Estimate(value, float(low), float(high), f"trainings (n={len(x)})"), p, len(x))


def residual_ranks(values: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Returns what is left of the ranks after a straight line in the ranks of a quantity held fixed; [N], mean 0.

    Args:
        values: [N].
        given: [N]; none to take out the mean alone.
    """
    from scipy.stats import rankdata

    ranks = rankdata(values) - (len(values) + 1) / 2
    if given is None:
        return ranks
    fixed = rankdata(given) - (len(values) + 1) / 2
    spread = fixed @ fixed
    return ranks - fixed * (fixed @ ranks / spread) if spread else ranks


def _residuals(x: np.ndarray, y: np.ndarray, given: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    return residual_ranks(x, given), residual_ranks(y, given)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    sizes = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y / sizes) if sizes > 1e-9 * len(x) else float("nan")


def _standard(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)
