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


def _whitened(series: np.ndarray) -> np.ndarray:
    """Series (N, P) with each correlation taken out: (K, N, P), independent points of equal variance."""
    rho = RHO[:, None, None]
    later = (series[None, 1:] - rho * series[None, :-1]) / np.sqrt(1 - rho**2)
    return np.concatenate([np.broadcast_to(series[:1], (len(RHO), 1, series.shape[1])), later], axis=1)


def weigh_noise(residuals: np.ndarray, tangents: np.ndarray) -> Noise:
    """The AR(1) noises that could have left these residuals, weighed.

    Args:
        residuals: (N,) measured minus fitted.
        tangents: (N, P) directions in which the fit could move, P below N - 1.
    """
    count, free = len(residuals), len(residuals) - tangents.shape[1]
    if not np.any(residuals):
        return Noise(np.where(RHO == 0, 1.0, 0.0), np.zeros(len(RHO)))
    orthonormal, _ = np.linalg.qr(tangents)
    directions, left = _whitened(orthonormal), _whitened(residuals[:, None])[..., 0]  # (K, N, P), (K, N)
    information = directions.transpose(0, 2, 1) @ directions  # (K, P, P)
    along = np.einsum("knp,kn->kp", directions, left)
    moved = np.linalg.solve(information, along[..., None])[..., 0]
    energy = ((left - np.einsum("knp,kp->kn", directions, moved)) ** 2).sum(axis=1)
    energy = np.maximum(energy, 1e-12 * float(residuals @ residuals))  # an exact fit leaves rounding of either sign
    log_determinant = (count - 1) * np.log(1 - RHO**2)
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
