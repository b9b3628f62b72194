"""The trainings of the study, and which of them are compared: at matched loss, and for scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.evaluation.intervals import Estimate, over_items
from lab.studies.finetune import Config as Training
from lab.studies.learns_less_arms import FULL, arms, training
from lab.studies.training_options import compact
from lab.studies.trials import Trial

ENOUGH = 0.5  # of what the best learned; intruders of a training that learned nothing say nothing
NEAR = 0.05  # of what the whole model learned; losses further apart are not called matched
SOME = 0.1  # intruders per weight; scaling fewer changes next to nothing


@dataclass(frozen=True)
class Match:
    """An adapter and a whole model whose last losses are near.

    Attributes:
        lora: The adapter's training.
        full: The whole model's.
        gap: Held-out loss of the adapter minus that of the whole model, nats per token, over the same rows.
    """

    lora: Trial
    full: Trial
    gap: Estimate

    @property
    def near(self) -> bool:
        """Whether the gap is at most a twentieth of what the whole model learned, so that the losses are called matched."""
        return abs(self.gap.value) <= NEAR * float(self.full.learned[-1])


def grid(config: Any) -> list[Training]:
    """Returns the configuration of every training: each arm at each of its rates with each seed, arms mixed.

    Rates come first and arms last, so that a part of the grid has some of every arm.
    """
    pairs = [(rate, arm) for arm in arms(config) for rate in range(len(arm.rates))]
    return [training(config, arm, arm.rates[rate], seed) for seed in range(config.seed, config.seed + config.seeds)
            for rate, arm in sorted(pairs, key=lambda pair: pair[0])]


def name(config: Training) -> str:
    """Returns what a training is called."""
    arm = FULL if config.method == FULL else f"r={config.r}"
    return f"lora_illusion {arm} lr={compact(config.lr)} seed={config.seed}"


def label(trial: Trial) -> str:
    """Returns what tells a training from the others: `r=8 lr=0.001 seed=0`."""
    return f"{arm_of(trial)} lr={compact(trial.lr)} seed={trial.seed}"


def arm_of(trial: Trial) -> str:
    """Returns `r=8` or `full`."""
    return FULL if trial.r is None else f"r={trial.r}"


def whole(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trainings that ran to their end with forgetting measured there, adapters by rank, whole models last."""
    ended = [trial for trial in trials if trial.diverged_at is None and trial.steps[-1] == trial.config.steps]
    return sorted(ended, key=lambda trial: (trial.r is None, trial.r or 0, trial.lr, trial.seed))


def matches(trials: Sequence[Trial]) -> list[Match]:
    """Returns for each seed and rank the adapter and the whole model whose last losses are nearest.

    Looked at are those that learned at least half of what the best of that seed did; where no adapter of a rank did, there
    is no match.

    Args:
        trials: From `whole`.
    """
    found = []
    for seed in sorted({trial.seed for trial in trials}):
        mine = [trial for trial in trials if trial.seed == seed]
        most = max(trial.learned[-1] for trial in mine)
        able = [trial for trial in mine if trial.learned[-1] >= ENOUGH * most > 0]
        whole_models = [trial for trial in able if trial.r is None]
        for rank in sorted({trial.r for trial in able if trial.r is not None}) if whole_models else ():
            pairs = [(lora, full) for lora in able if lora.r == rank for full in whole_models]
            lora, full = min(pairs, key=lambda pair: abs(pair[0].loss[-1] - pair[1].loss[-1]))
            found.append(Match(lora, full, _gap(lora, full)))
    return found


def for_scaling(trials: Sequence[Trial], intruders: dict[str, float]) -> list[Trial]:
    """Returns of every rank and seed the adapter with the most intruders among those that learned enough and forgot.

    Enough is half of what the best of that rank and seed learned; to have forgot is that documents cost more than under the
    base. Adapters with less than one intruder in ten weights are left out.

    Args:
        trials: From `whole`.
        intruders: Per weight, by run id.
    """
    found = []
    for rank, seed in sorted({(trial.r, trial.seed) for trial in trials if trial.r is not None}):
        mine = [trial for trial in trials if (trial.r, trial.seed) == (rank, seed)]
        most = max(trial.learned[-1] for trial in mine)
        able = [trial for trial in mine if trial.learned[-1] >= ENOUGH * most > 0 and trial.text_lost[-1] > 0]
        best = max(able, key=lambda trial: intruders[trial.run_id], default=None)
        if best is not None and intruders[best.run_id] >= SOME:
            found.append(best)
    return found


def _gap(lora: Trial, full: Trial) -> Estimate:
    tokens, difference = lora.row_tokens, lora.row_nll[-1] - full.row_nll[-1]
    return over_items(lambda rows: float(difference[rows].sum() / tokens[rows].sum()), len(tokens))
