"""The smallest loss that a paired test would see."""

import math

import numpy as np
from scipy import stats

ALPHA, POWER = 0.05, 0.8
FEWEST_CLUSTERS = 6  # with five, all alike have the chance 2 · 0.5^5 = 0.0625 and nothing is significant


def detectable(discordance: float, items: float, freedom: float = math.inf) -> float:
    """Returns the smallest loss in points that is significant at 0.05 with power 0.8.

    It assumes that as large a share of items flips as was observed, or the loss itself if that is more, all other flips
    going both ways alike. The power is that of McNemar's exact test over all counts of flips (Connor, 1987, has the
    approximation). Clustered items count as items / design effect, and are made fewer again by what Student's t with the
    clusters' degrees of freedom costs; in simulation the sign-flip of eight or more clusters then has a power of 0.7 to
    0.82 where items of a cluster are in fact independent, and more the more they hang together.

    Args:
        discordance: Share of items that flipped, either way.
        items: How many, divided by the design effect.
        freedom: Degrees of freedom of t.
    """
    normal, student = (float(of.ppf(1 - ALPHA / 2)) + float(of.ppf(POWER)) for of in (stats.norm, stats.t(freedom)))
    count = max(1, round(items * (normal / student) ** 2))
    low, high = 0.0, 1.0
    for _ in range(20):
        loss = (low + high) / 2
        low, high = (low, loss) if power(loss, max(discordance, loss), count) >= POWER else (loss, high)
    return 100 * high


def power(loss: float, discordance: float, items: int) -> float:
    """Returns how likely McNemar's exact test is significant at 0.05.

    Args:
        loss: Share of items lost, less those gained.
        discordance: Share of items that flip, either way; at least the loss.
        items: Independent ones.
    """
    flips = np.arange(items + 1)
    chance = stats.binom.pmf(flips, items, discordance)
    flips, chance = flips[chance > 1e-9], chance[chance > 1e-9]
    most = stats.binom.isf(ALPHA / 2, flips, 0.5)  # more lost ones than so many are significant
    each = (1 + loss / discordance) / 2
    return float((chance * (stats.binom.sf(most, flips, each) + stats.binom.cdf(flips - most - 1, flips, each))).sum())
