"""Trainings that a study compares: each its own run, found again instead of trained twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.options import option

if TYPE_CHECKING:
    import numpy as np

    from lab.tracking.hypotheses import Hypothesis
    from lab.tracking.run import Run


@dataclass(frozen=True)
class TrialOptions:
    """How a study that trains many models goes on where it stopped; a study's Config can extend it."""

    resume: tuple[str, ...] | None = option(None, "ids of earlier parts of this study, whose finished trainings are reused")
    part: str = option("1/1", "which share of the trainings to do now: 2/8 does every eighth, from the second on")
    minutes: float | None = option(None, "no training is begun that would end after so many minutes", above=0)


@dataclass(frozen=True, eq=False)
class Trial:
    """One finished training, at its checkpoints. C checkpoints, N items of a suite, D documents.

    Attributes:
        run_id: The run that keeps the adapter, and everything else about the training.
        config: Its whole configuration, a `lab.studies.finetune.Config`.
        method: `lora`, `qlora` or `full`.
        r: Rank, None where the whole model was trained.
        lr: Peak learning rate.
        seed: Training seed.
        replay: Share of base-distribution rows among those trained on.
        parameters: Trainable.
        diverged_at: Step of a divergence, or None.
        steps: [C], optimiser steps; the first is 0, the bare base. A training that came apart has fewer.
        loss: [C], held-out nats per trained token of what is trained.
        row_nll: [C, rows], nats, of each held-out row; for intervals over rows.
        row_tokens: [rows], trained tokens.
        correct: By suite, [C, N] bool; empty where no forgetting was measured, as the following.
        clusters: By suite, [N]; items of one cluster are no independent evidence.
        gold_nll: By suite, [C, N] nats, of the right alternative among the alternatives.
        text_nll: [C, D] nats, of whole documents.
        text_bytes: [D], of their UTF-8 text.
    """

    run_id: str
    config: Any
    method: str
    r: int | None
    lr: float
    seed: int
    replay: float
    parameters: int
    diverged_at: int | None
    steps: "np.ndarray" = field(repr=False)
    loss: "np.ndarray" = field(repr=False)
    row_nll: "np.ndarray" = field(repr=False)
    row_tokens: "np.ndarray" = field(repr=False)
    correct: "dict[str, np.ndarray]" = field(repr=False)
    clusters: "dict[str, np.ndarray]" = field(repr=False)
    gold_nll: "dict[str, np.ndarray]" = field(repr=False)
    text_nll: "np.ndarray" = field(repr=False)
    text_bytes: "np.ndarray" = field(repr=False)

    @property
    def learned(self) -> "np.ndarray":
        """How much lower the held-out loss is than the bare base's, nats per trained token, [C]."""
        return self.loss[0] - self.loss

    @property
    def lost_points(self) -> "np.ndarray":
        """Percentage points of accuracy that the suites lost, mean over suites, [C]; positive is worse than the base.

        Raises:
            ValueError: No forgetting was measured.
        """
        from lab.evaluation import lost

        return lost.points(self.correct)

    @property
    def lost_interval(self) -> "np.ndarray":
        """The ends of its 95 % interval over items, [C, 2]; see `lab.evaluation.lost.interval`.

        Raises:
            ValueError: No forgetting was measured.
        """
        from lab.evaluation import lost

        return lost.interval(self.correct, self.clusters)

    @property
    def text_lost(self) -> "np.ndarray":
        """Bits per byte that held-out documents cost more than under the bare base, [C].

        Raises:
            ValueError: No forgetting was measured.
        """
        if not len(self.text_bytes):
            raise ValueError(f"run {self.run_id} scored no documents; train with evaluate=forgetting")
        from math import log

        bits = self.text_nll.sum(1) / log(2) / self.text_bytes.sum()
        return bits - bits[0]


@dataclass(frozen=True)
class Trained:
    """The trainings of a study so far.

    Attributes:
        trials: Finished, in the order of the grid, trained now or found in earlier parts.
        left: Configurations that are not trained yet.
        command: What to type to go on; empty when nothing is left.
    """

    trials: list[Trial]
    left: list[Any]
    command: str = ""


def check(options: Any) -> None:
    """Checks `part` and finds every run of `resume`, so that a study can refuse them before it opens its run.

    Raises:
        OptionError: The part is none.
        RunNotFound, AmbiguousRun: There is no such run, or several.
    """
    from lab.studies.trials_kept import families
    from lab.studies.trials_part import Part

    Part.read(options.part)
    families(options.resume or ())


def train(run: "Run", study: str, grid: list[Any], options: Any, *, name: Callable[[Any], str], question: str = ""
          ) -> Trained:
    """Returns every training of the grid that is finished after this call.

    Args:
        run: Of the study, open, its hypotheses stated; each training becomes a child of it.
        study: The entry point that goes on with what is left.
        grid: Each a complete `lab.studies.finetune.Config`; one that occurs twice is trained once.
        options: With `resume`, `part` and `minutes` as `TrialOptions` has them: the study's own config, which then goes into
            the command that goes on.
        name: Gives a child its name.
        question: Of the study, for the children's reports.
    """
    from lab.studies.trials_running import train as begin

    return begin(run, study, grid, options, name=name, question=question or f"What does one training of {study} look like?")


def close_part(run: "Run", trained: Trained, hypotheses: "Sequence[Hypothesis]", *, question: str, limits: list[str],
               prediction: str | None = None) -> None:
    """Closes the record of a study whose trainings are not all finished: every verdict undecided, and how to go on.

    Args:
        run: Open, with these hypotheses stated.
        trained: From `train`, with some left.
        hypotheses: Of the study.
        question: For the report.
        limits: For the report.
        prediction: The user's guess.
    """
    from lab.studies.trials_running import close_part as close

    close(run, trained, hypotheses, question=question, limits=limits, prediction=prediction)


def read(run_id: str) -> Trial:
    """Returns a finished training as it was recorded.

    Raises:
        OptionError: The run is no finished training of the lab.
        RunNotFound: There is no such run.
    """
    from lab.studies.trials_kept import read as recorded

    return recorded(run_id)
