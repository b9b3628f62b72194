"""Is it readable how many brackets are open around a token of a program?"""

from random import Random
from typing import Any

from lab.data.labelled import Labelled
from lab.data.labels_places import Placed, Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world.nested import DEEPEST, nested_program, open_brackets
from lab.data.world.programs import PROMPTS

PLACES = ("inside",)


def bracket_depth(tokenizer: Any, *, count: int, seed: int, place: str = "inside") -> Labelled:
    """Returns programs labelled, at their digits and commas, with the brackets that are open there.

    Digits and commas stand at every depth, so that the token itself says little. Each depth has the same number of
    rows, and each program at most one row of a depth.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, rounded down to a multiple of the depths.
        seed: Of the programs and of which tokens are read.
        place: `inside`, the only one.
    """
    rng, writer = Random(f"bracket_depth {seed}"), Writer(tokenizer)
    classes = tuple(map(str, range(DEEPEST + 1)))
    wanted = dict.fromkeys(range(DEEPEST + 1), max(1, count // len(classes)))
    rows, prompts = list[Row](), list[Prompt]()
    while any(wanted.values()):
        source, form = nested_program(rng)
        opening = PROMPTS[int(rng.random() * len(PROMPTS))]
        placed = writer.ask(f"program {len(prompts)}", "code", opening + source)
        taken = 0
        for depth, tokens in _readable(placed, source, len(opening)).items():
            if wanted[depth]:
                at = tokens[int(rng.random() * len(tokens))]
                ids = placed.prompt.input_ids
                rows.append(Row(len(prompts), at, str(depth), tuple(ids[at - 1:at + 1]), source, source, (opening, form)))
                wanted[depth] -= 1
                taken += 1
        if taken:
            prompts.append(placed.prompt)
    return gathered(
        rows, prompts, classes, name=f"bracket_depth@{place}",
        question="How many brackets are open around a digit or a comma of a program?",
        type_is="the token with the one before it, such as `4` after `([`", context_is="a program",
        follows=("position", "template", "token"))


def _readable(placed: Placed, source: str, start: int) -> dict[int, list[int]]:
    """Tokens that hold digits or commas and nothing else, by the brackets open around them."""
    found: dict[int, list[int]] = {}
    depths = open_brackets(source)
    for character, depth in enumerate(depths):
        at = placed.token_of(start + character, start + character + 1)
        if placed.prompt.tokens[at].strip("0123456789,") == "" and at not in found.get(depth, ()):
            found.setdefault(depth, []).append(at)
    return dict(sorted(found.items()))
