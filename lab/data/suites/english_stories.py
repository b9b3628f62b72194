"""Word problems: wordings, what their numbers may be, the answer, and results of plausible mistakes."""

from collections.abc import Callable, Sequence

Story = tuple[tuple[str, ...], tuple[Sequence[int], ...], Callable[..., float], Callable[..., tuple[float, ...]]]

STORIES: tuple[Story, ...] = (
    (("A pen costs ${a} and a notebook costs ${b}. How many dollars do {c} pens and one notebook cost?",
      "Entry to a fair is ${b}, and each ride costs ${a}. How many dollars does a visit with {c} rides cost?"),
     (range(2, 15), range(5, 40), range(3, 12)), lambda a, b, c: a * c + b,
     lambda a, b, c: (a * c, (a + b) * c, a + b * c, a + b + c)),
    (("Maria buys {b} tickets at ${a} each and pays with ${c}. How many dollars does she get back?",
      "A rope of {c} metres is cut {b} times, each time by {a} metres. How many metres are left?"),
     (range(3, 15), range(3, 10), range(150, 200)), lambda a, b, c: c - a * b,
     lambda a, b, c: (a * b, c - a - b, c - a, c - a * b + a)),
    (("A train travels at {a} kilometres per hour for {b} hours. How many kilometres does it travel?",
      "A printer prints {a} pages a minute. How many pages does it print in {b} minutes?",
      "Each of {b} shelves holds {a} books. How many books do they hold together?"),
     (range(24, 130), range(3, 13)), lambda a, b: a * b, lambda a, b: (a + b, a * b + a, a * b - a, a * b + b, a / b)),
    (("A cyclist rides {a} kilometres in {b} hours, always at the same speed. How many kilometres is that per hour?",
      "{a} sweets are shared equally among {b} children. How many does each child get?",
      "A book of {a} pages is read in {b} days, equally many each day. How many pages is that a day?"),
     (range(60, 400), range(3, 13)), lambda a, b: a / b, lambda a, b: (a - b, a / b + b, a / b * 2, a / b / 2)),
    (("A rectangle is {a} metres long and {b} metres wide. What is its perimeter in metres?",
      "Two sides of a parallelogram are {a} and {b} centimetres long. What is its perimeter in centimetres?"),
     (range(12, 60), range(3, 40)), lambda a, b: 2 * (a + b), lambda a, b: (a * b, a + b, 2 * a + b, a + 2 * b)),
    (("A bus leaves with {a} passengers. At the first stop {b} get off and {c} get on. How many are on it then?",
      "A library has {a} books on a shelf. It lends {b} of them and gets {c} others back. How many are on the shelf then?"),
     (range(30, 90), range(4, 29), range(3, 29)), lambda a, b, c: a - b + c,
     lambda a, b, c: (a - b - c, a + b + c, a + b - c, a - b, a + c)),
    (("Tom is {a} years old. His sister is {b} years younger, and their father is {c} times as old as the sister. "
      "How old is the father?",),
     (range(12, 20), range(2, 7), range(3, 6)), lambda a, b, c: (a - b) * c,
     lambda a, b, c: (a * c, a * c - b, (a + b) * c, (a - b) * (c - 1))),
    (("The average of two numbers is {a}. One of them is {b}. What is the other?",),
     (range(20, 90), range(5, 40)), lambda a, b: 2 * a - b, lambda a, b: (a - b, a + b, (a + b) / 2, 2 * a, a)),
    (("A baker fills {a} boxes with {b} rolls each and has {c} rolls left over. How many rolls did he bake?",
      "{a} vans with {b} seats each are full, and {c} people still wait. How many people came?"),
     (range(5, 20), range(6, 20), range(2, 6)), lambda a, b, c: a * b + c,
     lambda a, b, c: (a * b, a * b - c, a + b + c, (a + c) * b, a * (b + c))),
    (("{a} workers need {b} days to build a wall. How many days do {c} workers need, at the same pace?",
      "Water for {a} people lasts {b} days. How many days does it last {c} people who drink as much each?"),
     (range(4, 20), range(4, 20), range(2, 16)), lambda a, b, c: a * b / c if a != c else 0,
     lambda a, b, c: (b * c / a, b, b + a - c, a * b, b - a + c)),
)  # fmt: skip
