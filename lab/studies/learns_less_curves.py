"""What a training learned and lost along its checkpoints, as measured and with its items resampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np

from lab.errors import OptionError
from lab.evaluation.frontier import lost_at
from lab.evaluation.intervals import Estimate, all_alike
from lab.studies.learns_less_arms import halves
from lab.studies.trials import Trial

DRAWS = 1000
CONTRADICTED = {"embedded:cipher": ("math",)}  # suites whose right answers are wrong by what is trained
NO_WIDTH = 1e-9
LEVELS = 7  # of learning, at which two curves are compared


@dataclass(frozen=True)
class Curve:
    """One training at its C checkpoints, of which the first is the bare base; D times, as measured and resampled.

    Attributes:
        steps: [C].
        learned: [D, C], fall of the loss on the held-out rows that no rate was chosen by, nats per token.
        lost: [D, C], percentage points of accuracy, mean over the suites of the trial.
        text: [D, C], bits per byte that documents cost more.
        least: Points by which `lost` is in doubt where no answer differs, see `least_doubt`.
    """

    steps: np.ndarray
    learned: np.ndarray
    lost: np.ndarray
    text: np.ndarray
    least: float


Curves = dict[int, dict[str, Curve]]


def collateral(trial: Trial, dataset: str) -> Trial:
    """Returns a training without the suites that its task contradicts: to lose those is to learn.

    Args:
        trial: With all suites.
        dataset: That it was trained on.
    """
    without = CONTRADICTED.get(dataset, ())

    def rest(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {suite: each for suite, each in values.items() if suite not in without}

    return replace(trial, correct=rest(trial.correct), clusters=rest(trial.clusters), gold_nll=rest(trial.gold_nll))


def curves(chosen: Mapping[int, Mapping[str, Trial]], *, draws: int = DRAWS) -> Curves:
    """Returns the curve of each training by seed and arm; the same resampled rows, clusters and documents for all.

    Args:
        chosen: Trainings by seed and arm, all with forgetting measured.
        draws: Resamples.

    Raises:
        OptionError: They were not measured on the same items.
    """
    all_of_them = [trial for of_seed in chosen.values() for trial in of_seed.values()]
    if not all_of_them:
        return {}
    check_same_items(all_of_them)
    first = all_of_them[0]
    generator = np.random.default_rng(0)
    rows = _times(len(halves(len(first.row_tokens))[1]), draws, generator)
    groups = {suite: _groups(clusters) for suite, clusters in first.clusters.items()}
    times = {suite: _times(len(member), draws, generator) for suite, member in groups.items()}
    documents, least = _times(len(first.text_bytes), draws, generator), least_doubt(first)
    return {seed: {arm: Curve(trial.steps, _learned(trial, rows), _lost(trial, groups, times), _text(trial, documents),
                              least) for arm, trial in of_seed.items()} for seed, of_seed in chosen.items()}


def check_same_items(trials: Sequence[Trial]) -> None:
    """Raises unless all were measured on the same held-out rows, questions and documents.

    Raises:
        OptionError: Names the first that was not.
    """
    first = trials[0]
    for other in trials[1:]:
        alike = (np.array_equal(first.row_tokens, other.row_tokens) and np.array_equal(first.text_bytes, other.text_bytes)
                 and first.clusters.keys() == other.clusters.keys()
                 and all(np.array_equal(first.clusters[suite], other.clusters[suite]) for suite in first.clusters))
        if not alike:
            raise OptionError(f"runs {first.run_id} and {other.run_id} were measured on other rows, questions or documents "
                              "and cannot be compared; resume only parts of one study, or leave resume out")


def combined(values: np.ndarray, *, items: str = "evaluation items", least: float = 0.0) -> Estimate:
    """Returns the mean over seeds with an interval for both kinds of doubt, seeds and items.

    The half-widths of Student's interval over seeds and of the bootstrap over items, which all seeds share, are added as
    squares: v = m + seed + items, both independent. What items do differently in each seed is counted in both, so the
    interval errs on the wide side. Of one seed it covers items only.

    Args:
        values: [seeds, D], as measured first, then with items resampled, alike in all seeds.
        items: What was resampled, in words.
        least: Half-width of the part for items where no resample differs, see `least_doubt`.
    """
    from scipy import stats

    seeds, mean = len(values), values.mean(0)
    value = float(mean[0])
    low, high = (float(end) - value for end in np.percentile(mean[1:], [2.5, 97.5]))
    if high - low <= NO_WIDTH:
        low, high = -least, least
    if seeds == 1:
        return Estimate(value, value + low, value + high, f"{items} only, one training seed")
    over_seeds = float(stats.t.ppf(0.975, seeds - 1) * values[:, 0].std(ddof=1) / sqrt(seeds))
    return Estimate(value, value - sqrt(min(low, 0.0)**2 + over_seeds**2), value + sqrt(max(high, 0.0)**2 + over_seeds**2),
                    f"training seeds (n={seeds}) and {items}")


def least_doubt(trial: Trial) -> float:
    """Returns the points by which a loss of accuracy is still in doubt where not a single answer differs.

    Args:
        trial: For the number of its clusters.
    """
    groups = sum(len(np.unique(clusters)) for clusters in trial.clusters.values())
    _, high = all_alike(0.0, groups, least=-100.0, most=100.0)
    return float(high)


def saved_at_equal_learning(one: Curve, other: Curve) -> np.ndarray | None:
    """Returns how many points fewer the first lost than the other when both had learned as much, [D].

    Each is followed along its checkpoints to where it first had learned so much, straight between them; the mean over
    levels from what both had learned by their first checkpoint to what both ever learned. Below the first checkpoint there
    is only the bare base to interpolate from. None where there is no such level; nan in resamples that leave none.

    Args:
        one: A training.
        other: Another one, of the same seed.
    """
    found = np.array([_saved(*each) for each in zip(one.learned, one.lost, other.learned, other.lost, strict=True)])
    return found if np.isfinite(found[0]) else None


def _saved(learned: np.ndarray, lost: np.ndarray, other_learned: np.ndarray, other_lost: np.ndarray) -> float:
    low = max(learned[1], other_learned[1])
    high = min(learned.max(), other_learned.max())
    if not high > low or low <= 0:
        return float("nan")
    saved = [_between(other_learned, other_lost, level) - _between(learned, lost, level)
             for level in np.linspace(low, high, LEVELS)]
    return float(np.mean(saved))


def _between(learned: np.ndarray, lost: np.ndarray, level: float) -> float:
    found = lost_at(learned, lost, level)
    assert found is not None  # the levels are among those that both passed
    return found


def _learned(trial: Trial, times: np.ndarray) -> np.ndarray:
    """Nats per token, [D, C]."""
    _, rows = halves(len(trial.row_tokens))
    loss = (times @ trial.row_nll[:, rows].T) / (times @ trial.row_tokens[rows])[:, None]
    return loss[:, :1] - loss


def _lost(trial: Trial, groups: Mapping[str, np.ndarray], times: Mapping[str, np.ndarray]) -> np.ndarray:
    """Percentage points, mean over suites, [D, C]."""
    found = []
    for suite, member in groups.items():
        right = (times[suite] @ (member @ trial.correct[suite].T)) / (times[suite] @ member.sum(1))[:, None]
        found.append(100 * (right[:, :1] - right))
    return np.mean(found, axis=0)


def _text(trial: Trial, times: np.ndarray) -> np.ndarray:
    """Bits per byte, [D, C]."""
    bits = (times @ trial.text_nll.T) / log(2) / (times @ trial.text_bytes)[:, None]
    return bits - bits[:, :1]


def _groups(clusters: np.ndarray) -> np.ndarray:
    """Which items belong to each cluster, [clusters, N]."""
    return (np.unique(clusters)[:, None] == clusters).astype(float)


def _times(count: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of them is drawn, [1 + draws, count]; once in the first row, which is the sample itself."""
    drawn = generator.multinomial(count, np.full(count, 1 / count), draws)
    return np.concatenate([np.ones((1, count)), drawn])
