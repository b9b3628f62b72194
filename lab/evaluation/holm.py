"""One error for several tests."""

from collections.abc import Mapping


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Returns p-values adjusted for all tests together, in the order they came (Holm, 1979).

    The k-th smallest of m is multiplied by m − k + 1 and never falls below a smaller one's. Calling every test whose
    adjusted p is at most 0.05 calls any true null in at most 5 % of cases, however the tests hang together.

    Args:
        p: One per test, by its name.

    Raises:
        ValueError: A p-value is no number from 0 to 1.
    """
    for name, value in p.items():
        if not 0 <= value <= 1:
            raise ValueError(f"p of {name} is {value}; allowed is a number from 0 to 1")
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        highest = min(1.0, max(highest, p[name] * (len(p) - rank)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p}
