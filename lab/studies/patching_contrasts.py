"""Which readings are held against each other: base and tuned on one question, or two questions of equal length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from lab.data.prompt_sources import ENGLISH
from lab.data.questions import Question, counterparts, subject
from lab.errors import DataError
from lab.models.loading import Base
from lab.models.rows import BASE
from lab.probing.decomposition import Decomposition
from lab.probing.patching_effects import Contrast
from lab.probing.patching_trials import Reading, Trial, differences, said
from lab.studies.probing_questions import HELD_OUT, knows_the_world, of_sources

BEFORE, SUBJECT, AFTER, LAST = "before subject", "subject", "after subject", "last token"
ROLES = (BEFORE, SUBJECT, AFTER, LAST)
KNOWLEDGE = "knowledge"
SAID = "said"
_READ = 4  # questions read for each that is used: not every one has a counterpart and unrelated ones


@dataclass(frozen=True)
class Candidate:
    """A contrast that may be measured.

    Attributes:
        name: Of its question, or of both.
        labels: [T], what to show for each token.
        contrast: Without unrelated ones.
        says: What source and destination say, in words.
    """

    name: str
    labels: list[str]
    contrast: Contrast
    says: tuple[str, str]


@dataclass(frozen=True)
class Chosen:
    """What is measured and what was left out.

    Attributes:
        candidates: Measured ones, their contrasts with unrelated ones.
        rows: Every candidate, with its logit differences and why it was left out.
        roles: Those that any of them has.
    """

    candidates: list[Candidate]
    rows: list[dict[str, Any]]
    roles: list[str]


def read(config: Any, base: Base, tokenizer: Any, run_id: str | None) -> list[Question]:
    """Returns the questions of a study, more of them than are measured.

    Args:
        config: Of the study.
        base: The model that reads them.
        tokenizer: The one that prompts go through.
        run_id: A training run whose held-out rows may be asked for.

    Raises:
        OptionError, DataError: See `lab.studies.probing_questions.of_sources`.
    """
    natural = HELD_OUT if run_id is not None else KNOWLEDGE if knows_the_world(base) else ENGLISH
    return of_sources(config, base, tokenizer, run_id, auto=(natural,), count=_READ * config.count)


def of_training(model: Any, tokenizer: Any, questions: Sequence[Question], name: str, contrast: str) -> list[Candidate]:
    """Returns every question as the tuned model and as the base reads it.

    Args:
        model: With the adapter.
        tokenizer: To show tokens.
        questions: To ask.
        name: Of the adapter.
        contrast: `said` for the tokens that the two models say, `truth` for the question's answer and foil.
    """
    tuned, base = ([Reading(tuple(q.input_ids), which) for q in questions] for which in (name, BASE))
    next_tokens = said(model, [*tuned, *base])
    found = []
    for i, q in enumerate(questions):
        ids = ((next_tokens[i], next_tokens[len(questions) + i]) if contrast == SAID else (q.answer_id, q.foil_id))
        found.append(Candidate(q.name, list(q.tokens), Contrast(tuned[i], base[i], ids, _roles(q)), _words(tokenizer, ids)))
    return found


def of_pairs(tokenizer: Any, questions: Sequence[Question]) -> list[Candidate]:
    """Returns pairs of questions that differ in what they ask about, each question in one pair at most.

    Args:
        tokenizer: To show tokens.
        questions: To pair.

    Raises:
        DataError: No two of them have one template, as many tokens and other answers.
    """
    used: set[int] = set()
    found = []
    for one, other in counterparts(questions):
        if {one, other} & used:
            continue
        used |= {one, other}
        source, destination = questions[one], questions[other]
        ids = (source.answer_id, destination.answer_id)
        labels = [a if a == b else f"{a}/{b}" for a, b in zip(source.tokens, destination.tokens, strict=True)]
        found.append(Candidate(f"{source.name} and {destination.name}", labels,
                               Contrast(Reading(tuple(source.input_ids)), Reading(tuple(destination.input_ids)), ids,
                                        _differing(source, destination)), _words(tokenizer, ids)))
    if not found:
        raise DataError(f"{len(questions)} questions, and no two of one template and length have answers that begin "
                        "differently; ask for more with count=, or other prompts")
    return found


def choose(model: Any, decomposition: Decomposition, candidates: Sequence[Candidate], *, count: int, draws: int, seed: int
           ) -> Chosen:
    """Returns candidates whose two readings answer differently, each with unrelated ones for the null.

    A candidate is used if its source prefers the first of its two tokens and its destination the second: what is chosen
    on is the readings unpatched, which favours no place of a patch.

    Args:
        model: That reads them.
        decomposition: Of it or its base.
        candidates: All there are.
        count: How many at most; of more usable ones so many are drawn.
        draws: Unrelated ones of each; of the same length and roles, and with no token in common with its two.
        seed: Of both draws.

    Raises:
        DataError: None is left.
    """
    both = [Trial(reading, each.contrast.ids) for each in candidates
            for reading in (each.contrast.source, each.contrast.destination)]
    clean = differences(model, decomposition, both).reshape(-1, 2)
    usable = [i for i, (source, destination) in enumerate(clean) if source > 0 > destination]
    others = {i: [candidates[j].contrast for j in usable if _unrelated(candidates[i].contrast, candidates[j].contrast)]
              for i in usable}
    rng = Random(f"contrasts {seed}")
    able = [i for i in usable if others[i]]
    drawn = sorted(rng.sample(able, min(count, len(able))))
    kept = []
    for i in drawn:
        pairs = tuple((each.source, each.destination) for each in rng.sample(others[i], min(draws, len(others[i]))))
        kept.append(replace(candidates[i], contrast=replace(candidates[i].contrast, unrelated=pairs)))
    why = {i: "" if i in drawn else f"not drawn: more than count={count}" if others[i] else
           "no unrelated one of its length and roles" for i in usable}
    rows = [{"prompt": each.name, "source says": each.says[0], "destination says": each.says[1],
             "source (nats)": float(clean[i, 0]), "destination (nats)": float(clean[i, 1]),
             "left out": why.get(i, "the two do not answer differently")} for i, each in enumerate(candidates)]
    if not kept:
        raise DataError(f"none of {len(candidates)} contrasts can be used: {len(usable)} have two readings that answer "
                        "differently, and each needs another of its length that says other things. Ask for more with "
                        "count=, or other prompts; after a training that hardly changed anything there may be nothing "
                        "to patch")
    return Chosen(kept, rows, [role for role in ROLES if any(each.contrast.roles[role] for each in kept)])


def _unrelated(one: Contrast, other: Contrast) -> bool:
    alike = len(one.source.tokens) == len(other.source.tokens) and one.roles == other.roles
    return alike and not set(one.ids) & set(other.ids) and one.source.tokens != other.source.tokens


def _roles(question: Question) -> dict[str, tuple[int, ...]]:
    """Positions by role; of a prompt that names nothing it is asked about, all but the last stand before."""
    spans = [span for which in range(len(question.entities)) if (span := subject(question, which)) is not None]
    positions = sorted({position for span in spans for position in span})
    return _split(len(question.input_ids), positions)


def _differing(source: Question, destination: Question) -> dict[str, tuple[int, ...]]:
    """Positions by role, where the subject is what differs; before it there is nothing to patch."""
    apart = np.flatnonzero(np.array(source.input_ids) != np.array(destination.input_ids))
    return {**_split(len(source.input_ids), list(range(int(apart[0]), int(apart[-1]) + 1))), BEFORE: ()}


def _split(length: int, about: Sequence[int]) -> dict[str, tuple[int, ...]]:
    inside = tuple(position for position in about if position < length - 1)
    first, last = (inside[0], inside[-1]) if inside else (length - 1, length - 1)
    within = set(inside)
    return {BEFORE: tuple(range(first)), SUBJECT: inside,
            AFTER: tuple(position for position in range(first, length - 1) if position not in within), LAST: (length - 1,)}


def _words(tokenizer: Any, ids: tuple[int, int]) -> tuple[str, str]:
    return tokenizer.decode([ids[0]]), tokenizer.decode([ids[1]])
