"""Documents of random tokens, repeated: only copying what followed the same token before predicts them.

They are made of tokens, not of text, which would not tokenise back to them. A transformer that reads them grows
induction heads (Olsson et al., 2022, arXiv:2209.11895). Nothing announces one: it begins at once, so that what is
learned holds for a prompt that is nothing but such a sequence, and behind other documents in a packed row.
"""

import math
from collections.abc import Sequence
from random import Random
from statistics import fmean

from tokenizers import Tokenizer

RANDOM_SHARE = 0.08  # of documents; about 33 % of tokens, because they are long
LENGTHS = range(16, 129)
REPEATS = (2, 3)


def ordinary_tokens(tokenizer: Tokenizer) -> list[int]:
    """Every token that is not special, in the order of their numbers."""
    special = tokenizer.get_added_tokens_decoder()
    return [token for token in range(tokenizer.get_vocab_size()) if token not in special]


def random_document(rng: Random, ordinary: Sequence[int]) -> list[int]:
    """Ordinary tokens drawn independently, two or three times over, without an end token."""
    return rng.choices(ordinary, k=rng.choice(LENGTHS)) * rng.choice(REPEATS)


def random_nats(ordinary: int) -> float:
    """Entropy of a random document in nats: of its length, of its repeats, and of its first copy.

    Two draws that make the same tokens (a sequence that repeats within itself) are rarer than 1e-20.

    Args:
        ordinary: How many ordinary tokens there are.
    """
    return math.log(len(LENGTHS)) + math.log(len(REPEATS)) + fmean(LENGTHS) * math.log(ordinary)


def random_length() -> float:
    """Mean tokens of a random document, its end token included."""
    return fmean(LENGTHS) * fmean(REPEATS) + 1
