"""Which trainings the remedies take, and which of them did not come apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.studies.finetune import Config as Training
from lab.studies.mitigation_source import Source
from lab.studies.training_options import compact
from lab.studies.trials import Trial


@dataclass(frozen=True)
class Trainings:
    """The trainings beside the one asked about.

    Attributes:
        again: The very training with forgetting measured at checkpoints, or None where that is not asked for.
        replay: By share.
        rates: By learning rate.
        apart: Those that diverged, which are no remedy.
    """

    again: Trial | None
    replay: dict[float, Trial]
    rates: dict[float, Trial]
    apart: tuple[Trial, ...] = ()

    @property
    def run_ids(self) -> list[str]:
        """Of all of them."""
        again = [self.again.run_id] if self.again else []
        return [*again, *(trial.run_id for _, _, trial in self.remedies), *(trial.run_id for trial in self.apart)]

    @property
    def remedies(self) -> list[tuple[str, float, Trial]]:
        """Kind, value and training of each."""
        return [*(("replay", share, one) for share, one in self.replay.items()),
                *(("rate", lr, one) for lr, one in self.rates.items())]


def grid(config: Any, source: Source) -> list[Training]:
    """Returns the trainings that remain to be done: the run again, and each remedy.

    Args:
        config: Of the study.
        source: The run.
    """
    plain = replace(source.training, evaluate="none")
    found = []
    if config.stops and not has_checkpoints(config, source):
        found.append(replace(source.training, evaluate="forgetting", evaluate_items=config.evaluate_items,
                             checkpoints=config.checkpoints))
    for share in dict.fromkeys(config.replay or ()):
        found.append(with_replay(plain, share, config.replay_data, longer=config.longer))
    found += [replace(plain, lr=plain.lr * factor) for factor in dict.fromkeys(config.rates or ())]
    return found


def with_replay(training: Training, share: float, data: str, *, longer: bool) -> Training:
    """Returns a training of which a share of the rows is replayed.

    Args:
        training: Without replay.
        share: Of the rows.
        data: Where the rows are from.
        longer: Whether it takes as many steps more as replay takes away; the warm-up stays as many steps.
    """
    steps = round(training.steps / (1 - share)) if longer else training.steps
    return replace(training, replay=share, replay_data=data, steps=steps, warmup=training.warmup * training.steps / steps)


def stopped_at(training: Training, step: int) -> Training:
    """Returns the training that ends at a step of another; the warm-up stays as many steps."""
    return replace(training, steps=step, warmup=min(1.0, training.warmup * training.steps / step), evaluate="none")


def has_checkpoints(config: Any, source: Source) -> bool:
    """Whether the run came to its end and measured forgetting itself, on as many questions and at as many moments."""
    own = source.training
    return source.finished and (own.evaluate, own.evaluate_items, own.checkpoints) == (
        "forgetting", config.evaluate_items, config.checkpoints)


def name(training: Training) -> str:
    """Returns what a training is called."""
    replayed = f"replay={training.replay:g}" if training.replay else "as trained"
    return f"{replayed} lr={compact(training.lr)} steps={training.steps} seed={training.seed}"


def sort(config: Any, source: Source, done: Sequence[Trial]) -> Trainings:
    """Returns finished trainings by what they are for.

    Args:
        config: Of the study.
        source: The run.
        done: In the order of `grid`.
    """
    from lab.studies import trials

    again = None
    if config.stops:
        again = trials.read(source.capsule.run_id) if has_checkpoints(config, source) else done[0]
    whole = [one for one in done if one.diverged_at is None]
    replay = {one.replay: one for one in whole if one.replay}
    rates = {one.lr: one for one in whole if one.lr < source.training.lr}
    return Trainings(again, replay, rates, tuple(one for one in done if one.diverged_at is not None))
