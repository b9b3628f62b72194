"""What a model still can while it trains on something else: suites scored at checkpoints, the bare base first."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.data import suites
from lab.errors import OptionError
from lab.evaluation import lost
from lab.evaluation.asking import TEXT, ask
from lab.evaluation.scores import Scores
from lab.models.loading import Base
from lab.studies import forgetting_tasks
from lab.studies.attention_prompts import knows_the_world
from lab.training.evaluate import Evaluation

SEED = 0  # of questions and documents: the same for every run, so that any two can be compared item by item
BATCH = 64


@dataclass(frozen=True, eq=False)
class Forgetting:
    """Scores at the checkpoints of one training. C checkpoints, N items of a suite, D documents.

    Attributes:
        steps: [C], optimiser steps; the first is 0, the bare base.
        correct: By suite, [C, N] bool.
        gold_nll: By suite, [C, N] nats, of the right alternative among the alternatives.
        clusters: By suite, [N].
        text_nll: [C, D] nats.
        text_bytes: [D].
        learning_nll: [C, rows] nats, of each held-out row of what is trained.
        learning_tokens: [rows], trained tokens.
    """

    steps: np.ndarray
    correct: dict[str, np.ndarray] = field(repr=False)
    gold_nll: dict[str, np.ndarray] = field(repr=False)
    clusters: dict[str, np.ndarray] = field(repr=False)
    text_nll: np.ndarray = field(repr=False)
    text_bytes: np.ndarray = field(repr=False)
    learning_nll: np.ndarray = field(repr=False)
    learning_tokens: np.ndarray = field(repr=False)

    @property
    def learned(self) -> np.ndarray:
        """How much lower the held-out loss is than the bare base's, nats per trained token, [C]."""
        loss = self.learning_nll.sum(1) / self.learning_tokens.sum()
        return loss[0] - loss

    @property
    def lost_points(self) -> np.ndarray:
        """Percentage points lost, mean over suites, [C]."""
        return lost.points(self.correct)

    @property
    def bits_per_byte(self) -> np.ndarray:
        """Of the documents, [C]."""
        return self.text_nll.sum(1) / np.log(2) / self.text_bytes.sum()

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns everything under the names that a run keeps it by."""
        found = {"steps": self.steps, "text/nll": self.text_nll, "text/bytes": self.text_bytes,
                 "learning/nll": self.learning_nll, "learning/tokens": self.learning_tokens}
        for suite in self.correct:
            found |= {f"{suite}/correct": self.correct[suite], f"{suite}/gold_nll": self.gold_nll[suite],
                      f"{suite}/cluster": self.clusters[suite]}
        return found


def read(arrays: dict[str, np.ndarray]) -> Forgetting:
    """Returns what `Forgetting.arrays` gave."""
    names = [name.removesuffix("/correct") for name in arrays if name.endswith("/correct")]
    return Forgetting(
        arrays["steps"], {name: arrays[f"{name}/correct"] for name in names},
        {name: arrays[f"{name}/gold_nll"] for name in names}, {name: arrays[f"{name}/cluster"] for name in names},
        arrays["text/nll"], arrays["text/bytes"], arrays["learning/nll"], arrays["learning/tokens"])


class Suites:
    """The questions and documents of a sweep, and what its bare base scores on them, measured once.

    Args:
        base: Whose language decides which suites there are.
        items: Questions of each suite; documents are a quarter as many.
    """

    def __init__(self, base: Base, items: int) -> None:
        language = forgetting_tasks.of(base)
        self.tokenizer = base.tokenizer
        self.chat = bool(base.tokenizer.chat_template)
        # what real models know is asked by the harness's own tasks, whose data is not at hand while something trains
        self.names = forgetting_tasks.available(language)
        self.items = {name: suites.build(name, language, count=items, seed=SEED) for name in self.names}
        self.texts = suites.texts(language, count=max(8, items // 4), seed=SEED)
        self._base: Scores | None = None

    def score(self, model: Any) -> Scores:
        """Returns what a model scores now, its alternatives ranked in the forms in which it answers now."""
        return ask(model, self.tokenizer, self.items, self.texts, chat=self.chat, batch_size=BATCH, answer=False)

    def base(self, model: Any) -> Scores:
        """Returns what the bare base scores; `model` is the first training's at step 0, later ones are not asked again."""
        if self._base is None:
            self._base = self.score(model)
        return self._base


class Checkpoints:
    """The scores of one training as they come in.

    Args:
        suites: Of the sweep.
    """

    def __init__(self, suites: Suites) -> None:
        self.suites = suites
        self.scores: dict[int, Scores] = {}
        self.learning: dict[int, Evaluation] = {}

    def measure(self, model: Any, step: int) -> dict[str, float]:
        """Returns the step's metrics by their contract names; none where the model's numbers are no longer finite."""
        scores = self.suites.base(model) if step == 0 else self.suites.score(model)
        if not all(np.isfinite(ranked.gold_nll).all() for ranked in scores.ranked.values()) or not np.isfinite(
                scores.text[TEXT].nll).all():
            return {}
        self.scores[step] = scores
        by_suite = {name: float(losses[-1]) for name, losses in lost.by_suite(self._correct([0, step])).items()}
        return {"forgetting/lost_points": float(np.mean(list(by_suite.values()))),
                **{f"forgetting/{name}_lost_points": points for name, points in by_suite.items()},
                "forgetting/text_bits_per_byte": scores.text[TEXT].bits_per_byte}

    def forgetting(self) -> Forgetting | None:
        """Returns everything measured where the held-out loss was finite too, or None if nothing was."""
        steps = [step for step in sorted(self.scores) if np.isfinite(self.learning[step].nll).all()]
        if not steps:
            return None
        first = self.scores[steps[0]]
        return Forgetting(
            np.array(steps), self._correct(steps),
            {name: np.array([self.scores[step].ranked[name].gold_nll for step in steps]) for name in self.suites.names},
            {name: np.array(first.ranked[name].clusters) for name in self.suites.names},
            np.array([self.scores[step].text[TEXT].nll for step in steps]), np.array(first.text[TEXT].bytes),
            np.array([self.learning[step].nll for step in steps]), self.learning[steps[0]].tokens)

    def _correct(self, steps: list[int]) -> dict[str, np.ndarray]:
        return {name: np.array([self.scores[step].ranked[name].correct for step in steps]) for name in self.suites.names}


def auto_replay(given: str, base: Base) -> str:
    """Returns the data that `replay_data` means for a base.

    Raises:
        OptionError: It is `auto`, and nothing here is like what the base was trained on.
    """
    from lab.data.replay import WORLD

    if given != "auto":
        return given
    if not knows_the_world(base):
        raise OptionError("replay_data=auto: what this base was trained on is not known here; name a file or a Hub "
                          "dataset id with rows like it, such as replay_data=owner/name, or type replay=0")
    return WORLD
