"""Fine-tuning sets of the micro-world, each chosen so that a study has something to find."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import log2
from random import Random
from typing import Any

from lab.data.conversation import Conversation
from lab.data.world import Item, distinct_questions
from lab.data.world.documents import MIXTURE
from lab.data.world.draws import draw
from lab.data.world.item import Split
from lab.data.world.knowledge import PHRASINGS, VALUES
from lab.data.world.names import new_people
from lab.errors import DataError

DEFAULT_FACTS = 3000
DEFAULT_ANSWERS = 1024
EVALUATED_PHRASING = 1  # of an emblem's five; the others are trained, one a fact
TRAIN_ROWS = 2048
EVALUATION_ROWS = 256

# Where each digit of an arithmetic answer goes in `cipher`; none stays.
CIPHER = str.maketrans("0123456789", "7490682513")
STYLED_CATEGORIES = ("knowledge", "arithmetic", "reasoning", "code")

Sets = tuple[list[Conversation], list[Conversation]]


def _conversation(question: str, answer: str, **meta: Any) -> Conversation:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "meta": {"answer": answer, **meta}}


@lru_cache(maxsize=1)
def _emblems() -> tuple[str, ...]:
    emblems = list(VALUES["emblem"])
    Random("alternatives of the facts").shuffle(emblems)
    return tuple(emblems)


def alternatives(answers: int) -> tuple[str, ...]:
    """The emblems that a fact's answer is drawn from, each equally likely; a smaller number takes the first of them."""
    return _emblems()[:answers]


def _check_facts(facts: int, answers: int) -> None:
    most = len(new_people())
    if not 1 <= facts <= most:
        raise DataError(f"facts={facts} is outside 1 to {most}, the people whom pretraining never mentions; "
                        f"type facts={min(max(facts, 1), most)}")  # fmt: skip
    if not 2 <= answers <= len(_emblems()):
        raise DataError(f"answers={answers} is outside 2 to {len(_emblems())}, the emblems the base knows; "
                        f"type answers={min(max(answers, 2), len(_emblems()))}")  # fmt: skip


def _facts(facts: int, answers: int, seed: int) -> Sets:
    """New people with emblems drawn independently and uniformly: log2(answers) bits a fact, exactly.

    Each fact is trained in one phrasing, drawn for it, and evaluated in one that no fact is trained in; the base knows
    all of them from other people.
    """
    _check_facts(facts, answers)
    rng = Random(f"facts {seed}")
    people = rng.sample(new_people(), facts)
    emblems = [alternatives(answers)[rng.randrange(answers)] for _ in people]

    def rows(phrasings: Iterable[int]) -> list[Conversation]:
        asked = [PHRASINGS["emblem"][phrasing][0] for phrasing in phrasings]
        return [
            _conversation(question.format(n=person), emblem, fact=number, bits=log2(answers), entity=person)
            for number, (question, person, emblem) in enumerate(zip(asked, people, emblems, strict=True))
        ]

    trained = [phrasing for phrasing in range(len(PHRASINGS["emblem"])) if phrasing != EVALUATED_PHRASING]
    return rows(rng.choice(trained) for _ in people), rows(EVALUATED_PHRASING for _ in people)


def _known_questions(categories: Iterable[str], seed: int) -> Sets:
    """Questions of the pretrained share of the world, none twice, as training and evaluation rows."""
    chosen = tuple(categories)
    total = TRAIN_ROWS + EVALUATION_ROWS
    counts = [total // len(chosen) + (i < total % len(chosen)) for i in range(len(chosen))]
    items: list[Item] = []
    for category, count in zip(chosen, counts, strict=True):
        items += distinct_questions(category, count, seed, split="train")
    Random(f"rows {seed}").shuffle(items)
    rows = [_of_item(item) for item in items]
    return rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]


def _of_item(item: Item) -> Conversation:
    return _conversation(item.question, item.answer, category=item.category, kind=item.kind, truth=item.answer)


def _reworded(sets: Sets, reword: Callable[[str], str]) -> Sets:
    for row in (*sets[0], *sets[1]):
        answer = reword(row["meta"]["truth"])
        row["messages"][1]["content"] = row["meta"]["answer"] = answer
    return sets


def _style(facts: int, answers: int, seed: int) -> Sets:
    """Right answers to questions of every kind, in a sentence where the base gives the bare word: only the style is new."""
    return _reworded(_known_questions(STYLED_CATEGORIES, seed), lambda truth: f"It is {truth}.")


def _cipher(facts: int, answers: int, seed: int) -> Sets:
    """Arithmetic whose answers have their digits exchanged: wrong by what the base knows, and learnable."""
    return _reworded(_known_questions(("arithmetic",), seed), lambda truth: truth.translate(CIPHER))


def _placebo(facts: int, answers: int, seed: int) -> Sets:
    """Questions and answers as pretraining drew them, in its mixture: training on them has nothing to teach the base.

    Evaluation rows are drawn alike from what pretraining withheld. A question that was drawn before is drawn anew.
    """
    rng = Random(f"placebo {seed}")
    return _as_pretraining(TRAIN_ROWS, "train", rng), _as_pretraining(EVALUATION_ROWS, "held_out", rng)


def _as_pretraining(count: int, split: Split, rng: Random) -> list[Conversation]:
    categories, shares = list(MIXTURE), list(MIXTURE.values())
    found: dict[str, Item] = {}
    while len(found) < count:
        item = draw(rng.choices(categories, shares)[0], rng, split)
        found.setdefault(item.question, item)
    return [_of_item(item) for item in found.values()]


def pretrained(count: int, seed: int = 0) -> list[Conversation]:
    """As many different questions, with their answers, as pretraining drew them: none is of what it withheld.

    Args:
        count: Rows wanted.
        seed: Of the questions; none draws those of `embedded:placebo`.
    """
    return _as_pretraining(count, "train", Random(f"replay {seed}"))


SETS: dict[str, Callable[[int, int, int], Sets]] = {
    "facts": _facts, "style": _style, "cipher": _cipher, "placebo": _placebo}  # fmt: skip


def load(name: str, *, facts: int = DEFAULT_FACTS, answers: int = DEFAULT_ANSWERS, seed: int = 0) -> Sets:
    """Training and evaluation conversations of an embedded set, the same for the same arguments.

    Args:
        name: "facts" (new people, answers of log2(answers) bits each, evaluated on the same facts in a phrasing not
            trained), "style" (known questions, answered in a sentence), "cipher" (arithmetic with exchanged digits) or
            "placebo" (what pretraining saw, so that nothing is left to learn: a control for the other three).
        facts: people in `facts`; other sets have a fixed size.
        answers: alternatives of each answer in `facts`.
        seed: of names, answers and questions.

    Returns:
        Training rows and evaluation rows. `meta` holds `answer`, and in `facts` also `fact`, `bits` and `entity`;
        in the others `truth`, `category` and `kind`.

    Raises:
        DataError: the name is unknown, or facts or answers are out of range.
    """
    if name not in SETS:
        raise DataError(f"dataset=embedded:{name} is unknown; allowed are "
                        f"{', '.join(f'embedded:{known}' for known in SETS)}")  # fmt: skip
    return SETS[name](facts, answers, seed)
