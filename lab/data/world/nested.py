"""Programs whose brackets nest deeper, and in more shapes, than in those that pretraining saw.

They use its functions, variables and numbers and run as its programs do; only the nesting is new.
"""

from random import Random

from lab.data.world.words import VARIABLES

OPEN, CLOSE = "([{", ")]}"
DEEPEST = 4
# {e} and {f} are integers with brackets in them, {n} and {m} are numbers; each form shows some outside all brackets
FORMS = (
    "{v} = {e} + {n}\nprint({v})", "{v} = {e} + {n} + {f}\nprint({v})", "{v}, {w} = {e}, {n}\nprint({v}, {w})",
    "{v} = {e}\n{w} = {n}\nprint({v}, {m})", "{v} = {e}\n{w} = {n} + {f}\nprint({v} + {w})",
)  # fmt: skip
_AROUND = (
    ("max({e}, {n})", 1), ("max({n}, {e})", 1), ("[{e}, {n}][0]", 1), ("[{n}, {e}][1]", 1), ("[{n}, {e}, {m}][1]", 1),
    ("max({n} + {e}, {m})", 1), ("len([{n}, {e}])", 2), ("len([{e}, {n}, {m}])", 2), ("sorted([{e}, {n}])[0]", 2),
    ("sorted([{n}, {m}, {e}])[-1]", 2), ("max([{n}, {e}])", 2),
)  # fmt: skip


def nested_program(rng: Random, deepest: int = DEEPEST) -> tuple[str, int]:
    """A program with numbers inside up to `deepest` open brackets and inside none, and which of FORMS it has."""
    form = int(rng.random() * len(FORMS))
    v, w = rng.sample(VARIABLES, 2)
    e, f = (_expression(rng, 1 + int(rng.random() * deepest)) for _ in range(2))
    return FORMS[form].format(e=e, f=f, v=v, w=w, n=_number(rng), m=_number(rng)), form


def open_brackets(source: str) -> list[int]:
    """For each character, how many brackets are open around it; a bracket counts itself out.

    Holds for programs without brackets in strings or comments.
    """
    depths, depth = [], 0
    for character in source:
        depth -= character in CLOSE
        depths.append(depth)
        depth += character in OPEN
    return depths


def _expression(rng: Random, room: int) -> str:
    if room == 0:
        return _number(rng)
    shapes = [shape for shape in _AROUND if shape[1] <= room]
    around, taken = shapes[int(rng.random() * len(shapes))]
    return around.format(e=_expression(rng, room - taken), n=_number(rng), m=_number(rng))


def _number(rng: Random) -> str:
    return str(int(rng.random() * 100))
