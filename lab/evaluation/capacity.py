"""How much a model learned of facts whose information content is known exactly."""

import math

import numpy as np


def learned_bits(nll: np.ndarray, answers: int) -> float:
    """Returns max(0, facts · log2(answers) − the answers' summed negative log-likelihood), in bits.

    Each answer is drawn independently and uniformly from `answers` alternatives, so a model that knows nothing else
    than the alternatives pays log2(answers) bits a fact and has learned 0. The likelihood is over the full vocabulary
    and includes the end-of-turn token, so the figure is a lower bound.

    Args:
        nll: [facts], nats, one answer each.
        answers: How many alternatives each answer was drawn from.
    """
    return max(0.0, len(nll) * math.log2(answers) - float(np.sum(nll)) / math.log(2))
