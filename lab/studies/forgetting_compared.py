"""Base and tuned model compared item by item: what was lost, what was gained, and what only looks lost."""

from dataclasses import dataclass

import numpy as np

from lab.evaluation import lost
from lab.evaluation.holm import holm
from lab.evaluation.intervals import Estimate
from lab.evaluation.paired import Change, Shift, change, compare
from lab.evaluation.scores import Greedy, Ranked, Scores, TextScores


@dataclass(frozen=True)
class Questions:
    """One suite of ranked questions.

    Attributes:
        name: Of the suite.
        base: Scores of the base.
        tuned: Scores of the tuned model, on the same items.
        change: Lost points.
        p: Of no change, adjusted for all suites (Holm).
        nll: Nats; how much less likely the right alternative became.
        answers: The same for answers that are right to the letter, where questions were answered.
        said: Base and tuned answers, likewise.
    """

    name: str
    base: Ranked
    tuned: Ranked
    change: Change
    p: float
    nll: Shift
    answers: Change | None
    said: tuple[Greedy, Greedy] | None


@dataclass(frozen=True)
class Answers:
    """A named task of the harness whose answers are right or wrong, without alternatives to rank."""

    name: str
    base: Greedy
    tuned: Greedy
    change: Change
    p: float


@dataclass(frozen=True)
class Documents:
    """Texts whose likelihood was measured.

    Attributes:
        name: Of the suite.
        base: Scores of the base.
        tuned: Scores of the tuned model.
        shift: Bits per byte, tuned minus base; positive where the text became less likely.
        p: Of no change, adjusted for all suites (Holm).
    """

    name: str
    base: TextScores
    tuned: TextScores
    shift: Shift
    p: float


@dataclass(frozen=True)
class Compared:
    """All suites.

    Attributes:
        questions: Ranked ones, in the order asked.
        answers: Named tasks without alternatives.
        documents: Texts.
        mean: Lost points, every suite of questions counting alike, with the interval of their mean; None without any.
    """

    questions: list[Questions]
    answers: list[Answers]
    documents: list[Documents]
    mean: Estimate | None

    @property
    def judged(self) -> list[Questions | Answers]:
        """Every suite of which items are right or wrong."""
        return [*self.questions, *self.answers]


def compared(base: Scores, tuned: Scores) -> Compared:
    """Returns every suite's change; p-values are adjusted for all suites together.

    Args:
        base: Of the base.
        tuned: Of the tuned model, on the same items.
    """
    changes = {name: compare(one.correct, tuned.ranked[name].correct, np.array(one.clusters))
               for name, one in base.ranked.items()}
    exact = {name: compare(one.exact, tuned.greedy[name].exact, _clusters(base, name)) for name, one in base.greedy.items()}
    shifts = {name: _bits(one, tuned.text[name]) for name, one in base.text.items()}
    alone = {name: one for name, one in exact.items() if name not in changes}
    every: dict[str, Change | Shift] = {**changes, **alone, **shifts}
    p = holm({name: one.p for name, one in every.items()})
    questions = [
        Questions(name, base.ranked[name], tuned.ranked[name], one, p[name], _nats(base.ranked[name], tuned.ranked[name]),
                  exact.get(name), (base.greedy[name], tuned.greedy[name]) if name in base.greedy else None)
        for name, one in changes.items()]
    answers = [Answers(name, base.greedy[name], tuned.greedy[name], one, p[name]) for name, one in alone.items()]
    documents = [Documents(name, base.text[name], tuned.text[name], one, p[name]) for name, one in shifts.items()]
    found = [one.estimate for one in (*changes.values(), *alone.values())]
    mean = lost.mean(found, f"items of {len(found)} suites") if found else None
    return Compared(questions, answers, documents, mean)


def _clusters(scores: Scores, name: str) -> np.ndarray | None:
    return np.array(scores.ranked[name].clusters) if name in scores.ranked else None


def _nats(base: Ranked, tuned: Ranked) -> Shift:
    return change(base.gold_nll, tuned.gold_nll, clusters=np.array(base.clusters))


def _bits(base: TextScores, tuned: TextScores) -> Shift:
    """Of documents, weighted by their bytes; each is independent evidence of its own."""
    before, after = (scores.nll / np.log(2) / scores.bytes for scores in (base, tuned))
    return change(before, after, weights=base.bytes.astype(float))
