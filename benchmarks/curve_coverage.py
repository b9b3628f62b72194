"""Prints how often the 95 % intervals of `fit_floor` cover a planted floor and exponent, how wide they are, and how
often `compare_laws` finds the planted law.

Usage: python benchmarks/curve_coverage.py [curves per row, default 200]
"""

import sys

import numpy as np

from lab.training.curve_comparison import compare_laws
from lab.training.curve_fits import WIDEST_SHARE, fit_floor

LAST_STEP, FLOOR = 300, 0.5


def correlated(rho: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """AR(1) noise of standard deviation 1."""
    fresh = rng.standard_normal(count + 100)
    for i in range(1, len(fresh)):
        fresh[i] = rho * fresh[i - 1] + np.sqrt(1 - rho**2) * fresh[i]
    return fresh[100:]


def row(points: int, sd: float, rho: float, exponent: float, curves: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng(0)
    steps = np.linspace(LAST_STEP / points, LAST_STEP, points)
    amplitude = 0.3 * LAST_STEP**exponent  # 0.3 nats above the floor at the end
    truth = FLOOR + amplitude * steps**-exponent
    covered = np.zeros(2)
    widths, identified = [], 0
    for seed in range(curves):
        fit = fit_floor(steps, truth + sd * correlated(rho, points, rng), seed=seed, draws=200)
        assert fit.floor_interval is not None and fit.shape_interval is not None
        low, high = fit.floor_interval
        covered += low <= FLOOR <= high, fit.shape_interval[0] <= exponent <= fit.shape_interval[1]
        widths.append(high - low)
        identified += fit.floor_identified
    floor, shape = covered / curves
    return (f"{points:6d} {sd:6.3f} {rho:4.1f} {exponent:8.1f} {floor:11.3f} {shape:14.3f} "
            f"{np.median(widths):12.3f} {identified / curves:16.2f}")


def verdicts(points: int, sd: float, rho: float, curves: int) -> str:
    """One line of the second table: how often each law is preferred, for either truth."""
    steps = np.linspace(LAST_STEP / points, LAST_STEP, points)
    cells = []
    for truth in (FLOOR + 3 * steps**-0.4, FLOOR + 2.5 * np.exp(-steps / 80)):
        rng = np.random.default_rng(0)
        better = [compare_laws(steps, truth + sd * correlated(rho, points, rng), seed=seed, draws=200).better
                  for seed in range(curves)]
        cells += [better.count(name) / curves for name in ("power law", "exponential", "undecided")]
    return f"{points:6d} {sd:6.3f} {rho:4.1f}   " + " ".join(f"{cell:11.2f}" for cell in cells)


SETTINGS = ((8, 0.03), (10, 0.03), (20, 0.03), (40, 0.03), (20, 0.005))

if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"floor {FLOOR} nats, last loss 0.8 nats; identified: interval at most {WIDEST_SHARE:.0%} of the last loss")
    print("points     sd  rho exponent floor cover exponent cover median width share identified")
    for exponent_ in (0.4, 1.0):
        for points_, sd_ in SETTINGS:
            for rho_ in (0.0, 0.5, 0.8):
                print(row(points_, sd_, rho_, exponent_, number), flush=True)
    print("                    true power law:                      true exponential:")
    print("points     sd  rho     power law exponential   undecided   power law exponential   undecided")
    for points_, sd_ in SETTINGS:
        for rho_ in (0.0, 0.5, 0.8):
            print(verdicts(points_, sd_, rho_, number), flush=True)
