"""Which parts of the world pretraining never sees: a share fixed by hashes, the same for every seed."""

from functools import cache
from hashlib import blake2b

HELD_OUT_SHARE = 0.1


def bucket(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone."""
    digest = blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def withheld(*key: object) -> bool:
    """Whether whatever has this key is kept out of pretraining."""
    return bucket(*key) < HELD_OUT_SHARE


@cache
def pair_withheld(first: int, second: int) -> bool:
    """Whether two operands never meet in pretraining: in no order, under no operation, in no category."""
    return withheld("operands", min(first, second), max(first, second))
