"""Which of many heads changed more than under random directions, at one error for all heads together."""

import math
from dataclasses import dataclass

import numpy as np

from lab.errors import ModelUnsupported, OptionError

ALPHA = 0.05
MINIMUM_DRAWS = 39  # the smallest p is then 1/40: each tail at 2.5 %, both together at 5 %
DEFAULT_DRAWS = 59  # the two largest of 60 are called, 3.3 %: more power, and p < 0.05 still leaves room below 5 %
RESOLUTION = 1e-7  # nats; what rounding alone makes of two equal rows in float32


@dataclass(frozen=True)
class FamilyWise:
    """One adapter against draws from the null, head by head.

    Attributes:
        p: [L, H], adjusted for all heads: share of all adapters, draws and observed, whose most changed head is at least
            as extreme as this head is in the observed one.
        less_p: [L, H], the same for heads that changed less than under random directions.
        pointwise_p: [L, H], of each head against its own draws alone; a twentieth of all heads is below 0.05 by chance.
        changed: [L, H], where p < alpha.
        less_changed: [L, H], where less_p < alpha; an error of its own, beside that of `changed`.
        global_p: That any head changed more, the smallest p.
        maximum: The observed adapter's standardised value in its most extreme head; -inf if no head can be compared.
        null_maxima: [draws], the same of every draw.
        null_mean: [L, H] nats.
        null_high: [L, H] nats, the draws' 95th percentile.
        ratio: [L, H], observed over the null's mean; 1 where both are below the resolution.
        level: The share of comparisons in which any head is called if the adapter is itself a draw (ties make it less).
    """

    p: np.ndarray
    less_p: np.ndarray
    pointwise_p: np.ndarray
    changed: np.ndarray
    less_changed: np.ndarray
    global_p: float
    maximum: float
    null_maxima: np.ndarray
    null_mean: np.ndarray
    null_high: np.ndarray
    ratio: np.ndarray
    level: float


def family_wise(observed: np.ndarray, null: np.ndarray, *, alpha: float = ALPHA, resolution: float = RESOLUTION
                ) -> FamilyWise:
    """Returns the max-statistic test over all heads (Westfall and Young, 1993, section 2.5, single step).

    Per head the logarithm of the change, averaged over prompts, is standardised by the mean and the standard deviation
    over the draws *and* the observed adapter, so that no sensitive head decides the maximum. The observed adapter enters
    like any draw: if it is one, all draws + 1 maxima are exchangeable and the error is exactly `level`, whatever the
    distribution and however heads hang together. Had the null alone set the scale, the observed adapter would be the only
    one that did not help to set its own, and would be called too often.

    The error holds when no head changed beyond the null. A call of one head where others did change rests on the
    assumption that the unchanged heads are distributed as in the draws, though they may inherit change from below.

    Args:
        observed: [prompts, L, H] or already averaged [L, H], not negative.
        null: [draws, prompts, L, H] or [draws, L, H], the same prompts.
        alpha: A head is called where p < alpha; not at equality, so that 39 draws call one rank of 40, 2.5 %.
        resolution: Changes below it count as it: what rounding makes is no change, and 0 has no logarithm. A head in
            which all adapters stay below it cannot be compared; its p is 1.

    Raises:
        OptionError: There are fewer draws than 39.
        ModelUnsupported: A change is not finite.
    """
    one, draws = _averaged(observed, null)
    pool = np.concatenate([one[None], draws])  # [draws + 1, L, H]
    standardised, comparable = _standardised(np.log(np.maximum(pool, resolution)))
    p, maxima = _adjusted(standardised, comparable)
    less_p, _ = _adjusted(-standardised, comparable)
    mean, below = draws.mean(0), alpha - 1e-9
    return FamilyWise(
        p=p, less_p=less_p, pointwise_p=np.where(comparable, (standardised >= standardised[0]).mean(0), 1.0),
        changed=p < below, less_changed=less_p < below, global_p=float(p.min()),
        maximum=float(maxima[0]), null_maxima=maxima[1:], null_mean=mean, null_high=np.percentile(draws, 95, axis=0),
        ratio=np.maximum(one, resolution) / np.maximum(mean, resolution), level=level(len(draws), alpha))


def level(draws: int, alpha: float = ALPHA) -> float:
    """Returns the exact error of calling where p < alpha: with 39 draws 1/40, with 59 2/60, with 99 4/100.

    Args:
        draws: From the null.
        alpha: See `family_wise`.
    """
    return (math.ceil(alpha * (draws + 1) - 1e-9) - 1) / (draws + 1)


def _averaged(observed: np.ndarray, null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    one, draws = np.asarray(observed, dtype=float), np.asarray(null, dtype=float)
    if draws.shape[1:] != one.shape or one.ndim not in (2, 3):
        raise ValueError(f"null draws have shape {draws.shape}, the observed change {one.shape}; allowed are "
                         "[draws, prompts, L, H] with [prompts, L, H], or both without prompts")
    if len(draws) < MINIMUM_DRAWS:
        raise OptionError(f"{len(draws)} draws from the null; at least {MINIMUM_DRAWS} are needed, which give p-values "
                          f"down to 1/{MINIMUM_DRAWS + 1}; type draws={DEFAULT_DRAWS}")
    for name, values in (("observed change", one), ("change under the null", draws)):
        if not np.isfinite(values).all():
            layer, head = np.argwhere(~np.isfinite(values))[0][-2:]
            raise ModelUnsupported(f"the {name} of layer {layer} head {head} is not finite, as when attention overflows; "
                                   "type dtype=float32 or dtype=bfloat16")
    return (one.mean(0), draws.mean(1)) if one.ndim == 3 else (one, draws)


def _standardised(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each head's values over all adapters at mean 0 and standard deviation 1, and where that is possible [L, H]."""
    spread = logs.std(0)
    comparable = spread > 1e-12
    return (logs - logs.mean(0)) / np.where(comparable, spread, 1.0), comparable


def _adjusted(standardised: np.ndarray, comparable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p [L, H] of the first adapter, and every adapter's maximum [draws + 1]."""
    maxima = np.where(comparable, standardised, -np.inf).max((1, 2))
    reached = (maxima[:, None, None] >= standardised[0]).mean(0)
    return np.where(comparable, reached, 1.0), maxima
