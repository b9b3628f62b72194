"""Foils that are as often wrong as they are right: answers of two questions are exchanged.

If one question's foil is the other's answer, both answers are once right and once wrong. Whatever a model thinks of a
word, before it reads what is asked, then adds to one logit difference what it takes from the other.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from lab.data.malformed import described
from lab.data.question_border import Asked, Question, question
from lab.errors import DataError

BORROWED_FROM = 64  # rows that a row without a partner may take its foil from

Pair = tuple[Question, Question]


def pairs(tokenizer: Any, asked: Sequence[Asked], mirrored: bool = False) -> Iterator[Pair]:
    """Yields pairs of questions of one template, of equally many tokens, whose answers differ in their first token.

    Questions without foils of their own exchange answers, preferably of equal length. Each is in one pair at most.

    Args:
        tokenizer: The model's.
        asked: Of one template.
        mirrored: Whether questions with foils of their own must exchange first tokens too: what the next token is if
            one is answered rightly is what it is if the other is answered wrongly.
    """
    built = {i: question(tokenizer, each, each.foils) for i, each in enumerate(asked) if each.foils}
    long = [len(tokenizer(each.prompt, add_special_tokens=False, verbose=False)["input_ids"]) for each in asked]
    left = [i for i in range(len(asked)) if not asked[i].foils or built[i]]
    while left:
        i = left.pop(0)
        alike = [j for j in left if long[j] == long[i]]
        for j in sorted(alike, key=lambda j: (len(asked[j].answer) != len(asked[i].answer), j)):
            first, second = built.get(i), built.get(j)
            pair = (first, second) if first and second else _exchanged(tokenizer, asked[i], asked[j])
            if pair and _match(*pair, mirrored):
                left.remove(j)
                yield pair
                break


def hand_round(tokenizer: Any, rows: Sequence[Asked], others: Sequence[Asked], seed: int, *, every: bool = True
               ) -> list[Question]:
    """Returns rows as questions, in order; those without a foil of their own exchange answers within a kind.

    A row that is left over, since rows are odd or what is left begins with the same token, borrows the answer of any
    other row of its kind.

    Args:
        tokenizer: The model's.
        rows: To make questions of.
        others: Rows of the same source to borrow from, `rows` among them or not.
        seed: Of who exchanges with whom.
        every: Whether a row that has no foil is an error; otherwise it is left out.

    Raises:
        DataError: Of every row, one has no foil that the next token tells from its answer.
    """
    found = {i: question(tokenizer, row, row.foils) for i, row in enumerate(rows) if row.foils}
    rng = Random(f"foils {seed}")
    for i, row in enumerate(rows):
        if i in found:
            continue
        same = [j for j in range(i + 1, len(rows)) if j not in found and rows[j].kind == row.kind]
        rng.shuffle(same)
        for j in sorted(same, key=_distance(row, rows)):
            if pair := _exchanged(tokenizer, row, rows[j]):
                found[i], found[j] = pair
                break
    for i, row in enumerate(rows):
        found[i] = found.get(i) or _borrowed(tokenizer, row, others, rng)
        if every and not found[i]:
            raise _without_foil(row)
    return [each for i in range(len(rows)) if (each := found[i])]


def _distance(row: Asked, rows: Sequence[Asked]) -> Callable[[int], tuple[bool, bool]]:
    return lambda j: (rows[j].template != row.template, len(rows[j].answer) != len(row.answer))


def _exchanged(tokenizer: Any, first: Asked, second: Asked) -> Pair | None:
    one, other = question(tokenizer, first, [second.answer]), question(tokenizer, second, [first.answer])
    return (one, other) if one and other else None


def _match(first: Question, second: Question, mirrored: bool) -> bool:
    alike = len(first.input_ids) == len(second.input_ids) and first.input_ids[-1] == second.input_ids[-1]
    exchanged = (first.answer_id, first.foil_id) == (second.foil_id, second.answer_id)
    return alike and first.answer_id != second.answer_id and (exchanged or not mirrored)


def _borrowed(tokenizer: Any, row: Asked, others: Sequence[Asked], rng: Random) -> Question | None:
    same = [] if row.foils else [other.answer for other in others if other.kind == row.kind]
    return question(tokenizer, row, rng.sample(same, min(BORROWED_FROM, len(same))))


def _without_foil(row: Asked) -> DataError:
    if row.foils:
        return DataError(f"{row.name}: the answer {described(row.answer)} and the foil {described(row.foils[0])} begin "
                         "with the same token, so the next token does not tell them apart; write another foil, or leave "
                         "the row out")
    return DataError(f"{row.name}: no other row of kind '{row.kind}' has an answer that begins with another token than "
                     f"{described(row.answer)} does; give the row a foil, or more rows of its kind")
