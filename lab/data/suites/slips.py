"""Numbers that somebody says who slipped while reckoning."""

ENOUGH = 6


def near(value: int, *others: int) -> tuple[str, ...]:
    """Numbers mistaken for `value`: a unit or a ten off, both at once, digits exchanged, and `others`.

    Those of as many digits as the value has, as far as there are enough of them; none is negative.

    Args:
        value: The right one, not negative.
        others: Results of other mistakes, such as those of another operation or of a forgotten carry.
    """
    grid = [value + i + j for j in (0, -10, 10) for i in (0, -1, 1)]
    wider = [value + i for i in (3, -3, 4, -4)] if value < 10 else []
    wider += [value + 2, value - 2, value + 20, value - 20]
    digits = str(value)
    exchanged = [int(digits[:-2] + digits[-1] + digits[-2])] if value >= 10 and digits[-2] != digits[-1] else []
    slips = [slip for slip in dict.fromkeys([*grid, *exchanged, *others, *wider]) if slip != value and slip >= 0]
    alike = [slip for slip in slips if len(str(slip)) == len(digits)]
    return tuple(map(str, alike if len(alike) >= ENOUGH else slips))
