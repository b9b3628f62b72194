"""Is it readable how many brackets are open around a token of a program?"""

from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Placed, Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.nested import DEEPEST, nested_program, open_brackets
from lab.data.world.programs import PROMPTS
from lab.errors import DataError

PLACES = ("inside",)
DEPTHS = range(DEEPEST + 1)
OPENING = PROMPTS[0]
READ = frozenset("0123456789,")
SPARE = 2  # times as many tokens as are drawn, so that hardly any form and position runs out
PROGRAMS_PER_ROW = 10  # with the embedded tokenizer it takes half a program; one that takes more has no such tokens

Place = tuple[int, int]  # which program, which token of its prompt


def bracket_depth(tokenizer: Any, *, count: int, seed: int, place: str) -> Labelled:
    """Returns programs labelled, at some of their digits and commas, with the brackets that are open there.

    Every depth is drawn with the same chances of each position and each form of program: deep inside is early in one
    program and late in another, so that neither says anything. Digits and commas stand at every depth.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, rounded down to a multiple of the depths.
        seed: Of the programs and of which tokens are read.
        place: `inside`, the only one.

    Raises:
        DataError: The tokenizer leaves too few digits and commas tokens of their own.
    """
    rng, writer = Random(f"bracket_depth {seed}"), Writer(tokenizer)
    wanted = max(1, count // len(DEPTHS))
    programs, forms, cells = _programs(rng, writer, wanted)
    chosen = [(depth, *place) for depth in DEPTHS for place in _drawn(rng, cells, depth, wanted)]
    used = {program: i for i, program in enumerate(sorted({program for _, program, _ in chosen}))}
    rows = [Row(used[program], at, str(depth), tuple(programs[program].input_ids[at - 1:at + 1]), program, program,
                forms[program]) for depth, program, at in sorted(chosen, key=lambda row: row[1:])]
    return gathered(
        rows, [programs[program] for program in used], tuple(map(str, DEPTHS)), name=f"bracket_depth@{place}",
        question="How many brackets are open around a digit or a comma of a program?",
        type_is="the token with the one before it, such as `4` after `([`", context_is="a program",
        follows=("position", "template", "token"))


def _programs(rng: Random, writer: Writer, wanted: int) -> tuple[list[Prompt], list[int], list[list[list[Place]]]]:
    """Programs, their forms, and their tokens: by form and position, then by depth.

    There are so many that `wanted` tokens of each depth could be drawn SPARE times at equal forms and positions.
    """
    programs, forms = list[Prompt](), list[int]()
    cells: dict[tuple[int, int], list[list[Place]]] = {}
    while sum(min(map(len, cell)) for cell in cells.values()) < SPARE * wanted:
        if len(programs) >= PROGRAMS_PER_ROW * len(DEPTHS) * wanted:
            raise DataError(f"bracket_depth: in {len(programs)} programs this tokenizer leaves too few digits and commas "
                            "tokens of their own; choose another task, or a model with another tokenizer")
        for _ in range(wanted):
            source, form = nested_program(rng)
            placed = writer.ask(f"program {len(programs)}", "code", OPENING + source)
            for at, depth in _readable(placed, source).items():
                cells.setdefault((form, at), [[] for _ in DEPTHS])[depth].append((len(programs), at))
            programs.append(placed.prompt)
            forms.append(form)
    return programs, forms, [cell for cell in cells.values() if all(cell)]


def _drawn(rng: Random, cells: list[list[list[Place]]], depth: int, wanted: int) -> list[Place]:
    """Tokens of one depth, their forms and positions drawn with the same chances as those of every other depth."""
    # drawn anew: had every position each depth equally often, a token held out would be betrayed by what is missing
    weights = [min(map(len, cell)) for cell in cells]
    left = [rng.sample(cell[depth], len(cell[depth])) for cell in cells]
    found: list[Place] = []
    while len(found) < wanted:
        cell, = rng.choices(left, weights)
        found += [cell.pop()] if cell else []
    return found


def _readable(placed: Placed, source: str) -> dict[int, int]:
    """The brackets open around each token that holds digits or commas and nothing else."""
    found = {}
    for character, depth in enumerate(open_brackets(source)):
        if source[character] in READ:
            at = placed.token_of(len(OPENING) + character, len(OPENING) + character + 1)
            if READ.issuperset(placed.prompt.tokens[at]):
                found[at] = depth
    return found
