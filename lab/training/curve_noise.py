"""The noise around a fitted loss curve: how large and how correlated it may be, and new draws of it.

Points of one curve are not independent: the same weights, a little further. Twenty points under a fit of three
numbers hide most of that (the fit follows slow noise, and what is left looks white and small), which is why ordinary
95 % intervals of a loss floor cover only 70 to 80 %. So the AR(1) correlation of neighbours is not estimated once
but weighed: each value gets its restricted likelihood, which allows for what the fit absorbed (Patterson and Thompson
1971), times a prior 1/(1 - rho) that leans towards correlation, and every bootstrap series takes its own. The
series are moving-block bootstraps of innovations: residuals are whitened, blocks of them resampled, and coloured
again ("post-blackening", Davison and Hinkley 1997, section 8.2).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RHO = np.linspace(0.0, 0.95, 39)
_WARM_UP = 30


@dataclass(frozen=True)
class Noise:
    """What is known of the noise: for each correlation in `RHO` (K) its weight and the standard deviation with it."""

    weights: np.ndarray
    sds: np.ndarray

    @property
    def rho(self) -> float:
        """Mean AR(1) correlation between neighbouring points."""
        return float(self.weights @ RHO)

    @property
    def sd(self) -> float:
        """Mean standard deviation."""
        return float(self.weights @ self.sds)


@lru_cache(maxsize=32)
def _inverses(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inverse and log determinant of every AR(1) correlation matrix, (K, N, N) and (K,), in closed form."""
    inverse = np.zeros((len(RHO), count, count))
    at = np.arange(count)
    inverse[:, at, at] = (1 + RHO**2)[:, None]
    inverse[:, [0, -1], [0, -1]] = 1.0
    inverse[:, at[1:], at[:-1]] = inverse[:, at[:-1], at[1:]] = -RHO[:, None]
    fresh = 1 - RHO**2
    return inverse / fresh[:, None, None], (count - 1) * np.log(fresh)


def weigh_noise(residuals: np.ndarray, tangents: np.ndarray) -> Noise:
    """The AR(1) noises that could have left these residuals, weighed.

    Args:
        residuals: (N,) measured minus fitted.
        tangents: (N, P) directions in which the fit could move, P below N - 1.
    """
    count, free = len(residuals), len(residuals) - tangents.shape[1]
    if not np.any(residuals):
        return Noise(np.where(RHO == 0, 1.0, 0.0), np.zeros(len(RHO)))
    tangents, _ = np.linalg.qr(tangents)
    inverse, log_determinant = _inverses(count)
    information = tangents.T @ inverse @ tangents  # (K, P, P)
    moved = np.linalg.solve(information, (tangents.T @ inverse @ residuals)[..., None])[..., 0]  # (K, P)
    left = residuals - moved @ tangents.T  # (K, N)
    energy = np.einsum("kn,knm,km->k", left, inverse, left)
    log_weight = -0.5 * (log_determinant + np.linalg.slogdet(information)[1] + free * np.log(energy)) - np.log(1 - RHO)
    weights = np.exp(log_weight - log_weight.max())
    return Noise(weights / weights.sum(), np.sqrt(energy / free))


def block_length(count: int) -> int:
    """Points per block: the cube root of the series' length, at least 2."""
    return max(2, round(count ** (1 / 3)))


def draw_noise(residuals: np.ndarray, noise: Noise, draws: int, rng: np.random.Generator) -> np.ndarray:
    """New noise like that seen, (draws, N).

    Args:
        residuals: (N,) the residuals whose innovations the blocks come from.
        noise: Their size and correlation, from `weigh_noise`.
        draws: Series to make.
        rng: Source of the draws.
    """
    count, length = len(residuals), block_length(len(residuals))
    innovations = residuals[None, 1:] - RHO[:, None] * residuals[None, :-1]  # (K, N - 1)
    innovations -= innovations.mean(axis=1, keepdims=True)
    spread = innovations.std(axis=1, keepdims=True)
    if not spread.all():
        return np.zeros((draws, count))
    pick = rng.choice(len(RHO), draws, p=noise.weights)
    total = count + _WARM_UP
    starts = rng.integers(0, count - length, (draws, -(-total // length)))
    places = (starts[:, :, None] + np.arange(length)).reshape(draws, -1)[:, :total]
    blocks = (innovations / spread)[pick[:, None], places]
    rho, series = RHO[pick], np.empty_like(blocks)
    series[:, 0] = blocks[:, 0]
    fresh = np.sqrt(1 - rho**2)
    for i in range(1, total):
        series[:, i] = rho * series[:, i - 1] + fresh * blocks[:, i]
    return noise.sds[pick, None] * series[:, _WARM_UP:]
