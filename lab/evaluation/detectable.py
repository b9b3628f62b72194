"""The smallest loss that a paired test would see."""

import math

from scipy import stats


def detectable(discordance: float, items: float, freedom: float = math.inf, *, alpha: float = 0.05, power: float = 0.8
               ) -> float:
    """Returns the smallest loss in points that the test would detect with this power (Connor, 1987, equation 3).

    It assumes that as large a share of items flips as was observed, or the loss itself if that is more, and solves
    loss · √items = t(1 − alpha/2) √share + t(power) √(share − loss²), which is within a tenth of McNemar's exact test.

    Args:
        discordance: Share of items that flipped, either way.
        items: How many, divided by the design effect where they are no independent evidence.
        freedom: Degrees of freedom of t.
        alpha: Level of the two-sided test.
        power: Chance of seeing it.
    """
    first, second = (float(stats.t.ppf(q, freedom)) for q in (1 - alpha / 2, power))
    low, high = 0.0, 1.0
    for _ in range(50):
        loss = (low + high) / 2
        share = max(discordance, loss)
        seen = loss * math.sqrt(items) >= first * math.sqrt(share) + second * math.sqrt(max(share - loss**2, 0.0))
        low, high = (low, loss) if seen else (loss, high)
    return 100 * high
