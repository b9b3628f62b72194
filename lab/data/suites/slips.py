"""Numbers that somebody says who slipped while reckoning."""

ENOUGH = 6


def near(value: int, *others: int, step: int = 10) -> tuple[str, ...]:
    """Numbers mistaken for `value`: a unit or a ten off, both at once, digits exchanged, and `others`.

    Those of as many digits as the value has, as far as there are enough of them; none is negative unless the value is.

    Args:
        value: The right one.
        others: Results of other mistakes, such as those of another operation or of a forgotten carry.
        step: What a "ten" is, where the value is counted in other steps.
    """
    unit = max(1, step // 10)
    grid = [value + i * unit + j * step for j in (0, -1, 1) for i in (0, -1, 1)]
    wider = [value + i * unit for i in (3, -3, 4, -4)] if abs(value) < step else []
    wider += [value + 2 * unit, value - 2 * unit, value + 2 * step, value - 2 * step]
    digits = str(abs(value))
    exchanged = [int(digits[:-2] + digits[-1] + digits[-2])] if value >= 10 and digits[-2] != digits[-1] else []
    slips = [slip for slip in dict.fromkeys([*grid, *exchanged, *others, *wider]) if slip != value]
    slips = [slip for slip in slips if slip >= 0 or value < 0]
    alike = [slip for slip in slips if len(str(slip)) == len(str(value))]
    return tuple(map(str, alike if len(alike) >= ENOUGH else slips))
