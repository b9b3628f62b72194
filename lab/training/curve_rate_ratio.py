"""How many times one best rate is another, with an interval."""

from dataclasses import dataclass
from math import exp, hypot, log

from lab.training.curve_rates import RateFit


@dataclass(frozen=True)
class RateRatio:
    """A ratio of best rates.

    Attributes:
        value: The ratio.
        low: Lower end of its interval.
        high: Upper end.
        covers: What the interval covers.
    """

    value: float
    low: float
    high: float
    covers: str

    @property
    def width(self) -> float:
        """How many times the lower end the upper one is."""
        return self.high / self.low


def ratio(over: RateFit, under: RateFit) -> RateRatio | None:
    """Returns how many times the second best rate the first one is; None where one of them has no interval.

    The distance of each end from its value is recovered from each rate's own interval, as variances add (Donner and Zou,
    2012): ends combined outright would be too wide. Rates of trainings with the same seeds vary together if at all,
    which leaves it wider than it need be.
    """
    if over.best is None or under.best is None or over.interval is None or under.interval is None:
        return None
    value = log(over.best / under.best)
    below = hypot(log(over.best / over.interval[0]), log(under.interval[1] / under.best))
    above = hypot(log(over.interval[1] / over.best), log(under.best / under.interval[0]))
    covers = over.covers if over.covers == under.covers else f"{over.covers}; {under.covers}"
    return RateRatio(exp(value), exp(value - below), exp(value + above), covers)
