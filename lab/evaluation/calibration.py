"""Does a model know how sure it may be? Probabilities of alternatives against the right ones. N items, C choices."""

from dataclasses import dataclass

import numpy as np

from lab.errors import DataError

BINS = 15
DRAWS = 1000


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error beside that of the same model if it were perfectly calibrated.

    Attributes:
        error: Observed, 0 to 1.
        null: Mean over labels drawn from the model's own probabilities: what an error of 0 looks like with so few items.
        null_high: The drawn ones' 95th percentile.
        p: Share of drawn ones that are at least as large, the observed one counted among them.
        confidence: Mean probability of the likeliest alternative.
        accuracy: Share of items where it is the right one.
        items: N.
        bins: Of confidence, of equal width.
    """

    error: float
    null: float
    null_high: float
    p: float
    confidence: float
    accuracy: float
    items: int
    bins: int


def brier(probability: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Returns each item's Brier score [N], Σᶜ (pᶜ − [c is right])²: 0 for certain and right, 2 for certain and wrong.

    The form with all alternatives (Brier, 1950); with two it is twice what is often called by the name.

    Args:
        probability: [N, C], rows sum to 1; 0 where an item has fewer alternatives.
        gold: [N], index of the right one.

    Raises:
        DataError: Shapes differ, a row is no distribution, or an index names no alternative.
    """
    probability, gold = _checked(probability, gold)
    return ((probability - np.eye(probability.shape[1])[gold]) ** 2).sum(1)


def log_likelihood(probability: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Returns each item's log-likelihood of the right alternative [N], nats; -inf where its probability is 0.

    Args:
        probability: [N, C], as for `brier`.
        gold: [N].
    """
    probability, gold = _checked(probability, gold)
    with np.errstate(divide="ignore"):
        return np.log(probability[np.arange(len(gold)), gold])


def calibration(probability: np.ndarray, gold: np.ndarray, *, bins: int = BINS, draws: int = DRAWS, seed: int = 0
                ) -> Calibration:
    """Returns the expected calibration error with its self-simulated null.

    The error is positive even for a perfectly calibrated model, the more so the fewer items are in a bin. So labels are
    drawn from the model's own probabilities, independently, and scored alike (consistency resampling; Bröcker and Smith,
    2007; Vaicenavicius et al., 2019): only what exceeds the null says anything.

    Args:
        probability: [N, C], as for `brier`.
        gold: [N].
        bins: Of confidence.
        draws: Of labels.
        seed: Of the draws.
    """
    probability, gold = _checked(probability, gold)
    confidence, said = probability.max(1), probability.argmax(1)
    right = (said == gold)[None]
    drawn = np.random.default_rng(seed).random((draws, len(gold))) < confidence  # the label drawn is the one it says
    observed, null = calibration_error(confidence, right, bins)[0], calibration_error(confidence, drawn, bins)
    return Calibration(float(observed), float(null.mean()), float(np.percentile(null, 95)),
                       float((1 + (null >= observed - 1e-12).sum()) / (draws + 1)), float(confidence.mean()),
                       float(right.mean()), len(gold), bins)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Returns the sum over bins of |mean confidence − accuracy| weighted by their share of items, [draws].

    Naeini et al. (2015); of the likeliest alternative only, as in Guo et al. (2017).

    Args:
        confidence: [N], probability of the likeliest alternative.
        right: [draws, N] bool, whether it is the right one.
        bins: Of equal width over 0 to 1, upper ends included.
    """
    member = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)[:, None] == np.arange(bins)  # [N, bins]
    return np.abs((confidence - right) @ member).sum(1) / len(confidence)


def _checked(probability: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probability, gold = np.asarray(probability, dtype=float), np.asarray(gold)
    if probability.ndim != 2 or gold.shape != probability.shape[:1] or not len(gold):
        raise DataError(f"probabilities have shape {probability.shape} and right answers {gold.shape}; needed are [N, C] "
                        "and [N], N at least 1")
    if not (probability >= 0).all() or not np.allclose(probability.sum(1), 1, atol=1e-6):
        raise DataError("a row of probabilities is no distribution; normalise over the alternatives of each item")
    if not ((gold >= 0) & (gold < probability.shape[1])).all():
        raise DataError(f"right answers range from {gold.min()} to {gold.max()}; allowed is 0 to {probability.shape[1] - 1}")
    return probability, gold
