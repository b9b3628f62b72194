"""Random tokens said twice: what an induction head continues, and nothing else can."""

from typing import Any

import numpy as np

from lab.errors import OptionError


def ordinary_tokens(tokenizer: Any) -> np.ndarray:
    """Returns the ids, ascending, of all tokens that are neither special nor added to the trained vocabulary.

    Args:
        tokenizer: The model's.
    """
    left_out = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    return np.array(sorted(set(tokenizer.get_vocab().values()) - left_out), dtype=np.int64)


def repeated_random(vocabulary: np.ndarray, length: int, count: int, seed: int) -> np.ndarray:
    """Returns prompts [s, s], [count, 2 * length], where s are different tokens, each set of them equally likely.

    No token is in s twice, so that every token of the second copy has exactly one earlier occurrence, `length` before.
    The induction score of Olsson et al. 2022 (arXiv 2209.11895) reads such prompts. A row depends on the seed and its
    number, not on `count`.

    Args:
        vocabulary: Token ids to draw from, as `ordinary_tokens` returns them.
        length: Tokens of s.
        count: Prompts.
        seed: Of the draws, not negative.

    Raises:
        OptionError: A number is out of range.
    """
    if not 1 <= length <= len(vocabulary):
        raise OptionError(f"length={length}: allowed are 1 to {len(vocabulary)} tokens, as many as the vocabulary has "
                          "to repeat without a token twice")
    if count < 1:
        raise OptionError(f"count={count}: allowed is 1 or more; type count=1")
    halves = [np.random.default_rng([seed, row]).choice(vocabulary, length, replace=False) for row in range(count)]
    return np.concatenate([halves, halves], axis=1)                                       # count 2·length
