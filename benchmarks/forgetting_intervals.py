"""How often the interval of lost points contains the truth, and how often suites in which nothing was lost are called.

    python -m benchmarks.forgetting_intervals --out results/forgetting_intervals.json

Independent items: the coverage over all counts of flips, from their probabilities, and in draws. Clustered items: whole
clusters draw their chances of a loss and of a gain from a Dirichlet distribution, so that items of one cluster hang together
by the intra-cluster correlation; beside it what a percentile bootstrap over clusters and Student's t on their sums
cover. False calls: four suites, flips of both ways alike, sign-flip tests adjusted by Holm.
"""

import argparse
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from lab.evaluation.clusters import grouped, sign_flip_counts, standard_error
from lab.evaluation.holm import holm
from lab.evaluation.intervals import of_share
from lab.evaluation.paired import lost_points
from lab.evaluation.paired_interval import flip_interval, score_interval

SEED = 0
Z = float(stats.norm.ppf(0.975))
ITEMS = (200, 800, 2000)
LOSSES = (0.5, 1, 2, 5, 10)  # points
GAINED = (0, 1, 3)  # points, in draws of independent items
SHAPES = {  # items of each cluster: as in the suites, and a dozen or forty templates
    "9, unequal (math)": [22, 25, 36, 113, 117, 120, 121, 121, 125],
    "12, equal": [67] * 8 + [66] * 4,
    "40, unequal": [5] * 10 + [20] * 20 + [35] * 10,
    "600, of one or two": [1] * 400 + [2] * 200,
}
CORRELATIONS = (0.0, 0.05, 0.2)
RATES = ((0.5, 0), (2, 0), (3, 2), (8, 3), (10, 0))  # points lost and gained
RESAMPLES = 1000


@functools.cache
def ends(lost: int, gained: int, items: int) -> tuple[float, float]:
    if lost < gained:
        low, high = ends(gained, lost, items)
        return -high, -low
    return flip_interval(lost, gained, items, Z)


def covers(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] - 1e-12 <= truth <= interval[1] + 1e-12


def over_all_counts(items: int, gains: float, flips: Sequence[float]) -> list[dict[str, float]]:
    """The coverage at each expected number of flips, this share of them gains: of the interval and of Tango's alone."""
    reach = int(max(flips) + 6 * max(flips) ** 0.5 + 6)
    lost, gained = (each.ravel() for each in np.indices((reach, reach)))
    lost, gained = lost[lost + gained <= reach], gained[lost + gained <= reach]
    tango = np.array(score_interval(lost, gained, items, Z))
    ours = np.array([ends(int(a), int(b), items) for a, b in zip(lost, gained, strict=True)]).T
    rows = []
    for expected in flips:
        chances = np.array([expected * (1 - gains), expected * gains, items - expected]) / items
        probability = stats.multinomial.pmf(np.stack([lost, gained, items - lost - gained], 1), items, chances)
        inside = [(low - 1e-12 <= chances[0] - chances[1]) & (chances[0] - chances[1] <= high + 1e-12)
                  for low, high in (ours, tango)]
        rows.append({"flips": expected, "ours": float(probability @ inside[0]), "tango": float(probability @ inside[1])})
    return rows


def exact_coverage() -> list[dict[str, Any]]:
    table, flips = [], [*np.arange(0.1, 5, 0.1), *np.arange(5, 30, 0.25)]
    for items in ITEMS:
        for gains in (0.0, 0.05, 0.1, 0.25, 0.5):
            rows = over_all_counts(items, gains, flips)
            row: dict[str, Any] = {"items": items, "share_of_gains": gains}
            for name in ("ours", "tango"):
                below, above = ([one[name] for one in rows if (one["flips"] < 5 - 1e-9) == few] for few in (True, False))
                row[name] = {"least_below_five_flips": min(below), "least_from_five_flips": min(above),
                             "most_from_five_flips": max(above)}
            table.append(row)
    return table


def draw(sizes: Sequence[int], lost: float, gained: float, correlation: float, draws: int, generator: np.random.Generator
         ) -> tuple[np.ndarray, np.ndarray]:
    """Lost and gained items of each cluster [draws, G]."""
    shares = np.array([lost, gained, 1 - lost - gained])
    rates = np.broadcast_to(shares, (draws, len(sizes), 3))
    if correlation:
        weights = generator.gamma(np.maximum(shares, 1e-300) * (1 / correlation - 1), size=rates.shape) + 1e-300
        rates = weights * (shares > 0) / (weights * (shares > 0)).sum(-1, keepdims=True)
    flips = generator.multinomial(np.array(sizes), rates)
    return flips[..., 0], flips[..., 1]


def differences(sizes: Sequence[int], lost: np.ndarray, gained: np.ndarray) -> np.ndarray:
    """Item by item [N], 1 lost, −1 gained."""
    return np.concatenate([np.repeat([1.0, -1.0, 0.0], [a, b, size - a - b])
                           for size, a, b in zip(sizes, lost, gained, strict=True)])


def independent(draws: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    table = []
    for items in ITEMS:
        for lost in LOSSES:
            for gained in GAINED:
                chances = [(lost + gained) / 100, gained / 100, 1 - (lost + 2 * gained) / 100]
                found = generator.multinomial(items, chances, draws)
                hits = sum(covers(ends(int(a), int(b), items), lost / 100) for a, b, _ in found)
                table.append({"items": items, "loss": lost, "gained": gained,
                              "expected_flips": items * (lost + 2 * gained) / 100, "covered": hits / draws})
    return table


def clustered(draws: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    table = []
    for shape, sizes in SHAPES.items():
        items, groups = sum(sizes), grouped(np.repeat(np.arange(len(sizes)), sizes), sum(sizes))
        times = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES)
        for correlation in CORRELATIONS:
            for rates in RATES:
                lost, gained = draw(sizes, rates[0] / 100, rates[1] / 100, correlation, draws, generator)
                truth, hits = rates[0] - rates[1], np.zeros(3)
                for a, b in zip(lost, gained, strict=True):
                    difference = differences(sizes, a, b)
                    ours = lost_points(difference, groups)
                    error, freedom = standard_error(difference, np.ones(items), groups)
                    half = 100 * error * stats.t.ppf(0.975, freedom)
                    resampled = np.percentile(100 * (times @ (a - b)) / (times @ np.array(sizes)), [2.5, 97.5])
                    hits += [covers((ours.low, ours.high), truth), covers((ours.value - half, ours.value + half), truth),
                             covers((resampled[0], resampled[1]), truth)]
                effect = 1 + correlation * (float(np.square(sizes).sum()) / items - 1)
                table.append({"clusters": shape, "correlation": correlation, "lost": rates[0], "gained": rates[1],
                              "expected_flips": items * sum(rates) / 100, "design_effect": effect,
                              "flips_over_effect": items * sum(rates) / 100 / effect,
                              "covered": hits[0] / draws, "student": hits[1] / draws, "bootstrap": hits[2] / draws})
                print(json.dumps(table[-1]), file=sys.stderr, flush=True)
    return table


def false_calls(draws: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """How often any of four suites is called though none lost anything: by the sign-flip, and as if of single items."""
    table = []
    suites = {"independent": [[1] * 800] * 4, "clustered": list(SHAPES.values())}
    for name, correlation in (("independent", 0.0), ("clustered", 0.0), ("clustered", 0.05), ("clustered", 0.2)):
        for share in (0.005, 0.02, 0.05):
            flips = [draw(sizes, share, share, correlation, draws, generator) for sizes in suites[name]]
            called = naive = 0
            for number in range(draws):
                sums = {str(k): lost[number] - gained[number] for k, (lost, gained) in enumerate(flips)}
                called += min(holm({k: sign_flip_counts(each) for k, each in sums.items()}).values()) <= 0.05
                naive += min(holm({str(k): sign_flip_counts(np.repeat([1, -1], [lost[number].sum(), gained[number].sum()]))
                                   for k, (lost, gained) in enumerate(flips)}).values()) <= 0.05
            found = of_share(called, draws, "draws")
            table.append({"suites": name, "correlation": correlation, "lost_and_gained_each": 100 * share,
                          "rate": found.value, "interval_95": [found.low, found.high],
                          "rate_if_taken_as_independent": naive / draws})
    return table


def show(name: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{name}")
    for row in rows:
        said = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
        print("  ".join(f"{key} {value}" for key, value in said.items()))


def extremes(rows: list[dict[str, Any]], flips: str) -> dict[str, Any]:
    """The least and the most coverage from five flips on, and the least below."""
    many, few = ([row["covered"] for row in rows if (row[flips] >= 5) == enough] for enough in (True, False))
    return {"settings": len(many), "least": min(many), "most": max(many),
            "inside_93_to_97": sum(bool(0.93 <= covered <= 0.97) for covered in many),
            "settings_below_five": len(few), "least_below_five": min(few)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    generator, since = np.random.default_rng(SEED), time.process_time()
    tables = {"exact_coverage": exact_coverage(), "independent": independent(asked.draws, generator),
              "false_calls": false_calls(asked.draws, generator), "clustered": clustered(asked.draws, generator)}
    summary = {"independent": extremes(tables["independent"], "expected_flips"),
               "clustered": extremes(tables["clustered"], "flips_over_effect"),
               "most_false_calls": max(row["rate"] for row in tables["false_calls"])}
    result = {
        "command": f"python -m benchmarks.forgetting_intervals {' '.join(sys.argv[1:])}", "seed": SEED, "device": "cpu",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "cpu_seconds": round(time.process_time() - since, 1),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in ("numpy", "scipy")}},
        "draws": asked.draws, "units": {"loss": "points", "lost": "points", "gained": "points", "covered": "share of draws"},
        "summary": summary, **tables}
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    for name, rows in tables.items():
        show(name, rows)
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
