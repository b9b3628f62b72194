"""Small Python programs with numbers and words drawn at random, each with the programs that it may be mistaken for."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from lab.data.world.words import ANIMALS, COLOURS, FOODS, JOBS, OBJECTS, PLACES, TOOLS

WORDS = tuple(sorted({word for word in COLOURS + ANIMALS + JOBS + FOODS + TOOLS + OBJECTS + PLACES if len(word) > 4}))


class Reading(NamedTuple):
    """A program, and what is made of it by somebody who slipped.

    `misread` are programs; `outputs` are all the answers there are, where these are few, the right one among them.
    """

    source: str
    misread: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def _of(source: Callable[..., str], right: tuple[object, ...], *wrong: tuple[object, ...]) -> Reading:
    """One source with the right values, and with wrong ones."""
    return Reading(source(*right), tuple(source(*values) for values in wrong))


def _numbers(rng: Random, count: int, low: int = 1, high: int = 30) -> list[int]:
    return rng.sample(range(low, high), count)


def _range_sum(rng: Random) -> Reading:
    a, b = rng.randint(1, 6), rng.randint(8, 14)
    return _of("total = 0\nfor i in range({}, {}):\n    total += i\nprint(total)".format,
               (a, b), (a, b + 1), (a + 1, b), (a + 1, b + 1), (a - 1, b))


def _range_list(rng: Random) -> Reading:
    a, step = rng.randint(1, 20), rng.randint(2, 5)
    b = a + step * rng.randint(2, 4) + rng.randint(0, step - 1)
    return _of("print(list(range({}, {}, {})))".format, (a, b, step), (a, b + step, step), (a + step, b, step),
               (a, b - step, step), (a - step, b, step), (a + step, b + step, step))


def _slice(rng: Random) -> Reading:
    i, j = rng.randint(1, 2), rng.randint(4, 5)
    values = _numbers(rng, 7)
    return _of("values = {}\nprint(values[{}:{}])".format, (values, i, j), (values, i, j + 1), (values, i - 1, j),
               (values, i + 1, j + 1), (values, i - 1, j - 1), (values, i, j - 1))


def _word_slice(rng: Random) -> Reading:
    word, i = rng.choice(WORDS), rng.randint(1, 2)
    j = i + rng.randint(2, 3)
    return _of("word = '{}'\nprint('<' + word[{}:{}] + '>')".format, (word, i, j), (word, i, j + 1), (word, i - 1, j),
               (word, i + 1, j + 1), (word, i - 1, j - 1), (word, i, j - 1), (word, i + 1, j))


def _every_second(rng: Random) -> Reading:
    word = rng.choice(WORDS)
    return _of("word = '{}'\nprint('<' + word[{}] + '>')".format, (word, "::2"), (word, "1::2"), (word, "::3"), (word, ":2"),
               (word, "::-2"), (word, "2:"), (word, ":3"))


def _backwards(rng: Random) -> Reading:
    """Misread with two neighbouring letters exchanged, or twice two."""
    word = rng.choice(WORDS)
    i, j = rng.sample(range(len(word) - 1), 2)
    once, other = _exchanged(word, i), _exchanged(word, j)
    both = (_exchanged(once, j), _exchanged(_exchanged(once, j), (i + 2) % (len(word) - 1)))
    return _of("word = '{}'\nprint('<' + word[::-1] + '>')".format, (word,), (once,), (other,), *((each,) for each in both))


def _exchanged(word: str, i: int) -> str:
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def _negative_index(rng: Random) -> Reading:
    values, k = _numbers(rng, 6), rng.randint(2, 4)
    return _of("values = {}\nprint(values[{}])".format, (values, -k), (values, k), (values, k - 1), (values, 1 - k),
               (values, -k - 1))


def _letters(rng: Random) -> Reading:
    word = "".join(rng.choice("abc") for _ in range(rng.randint(6, 9)))
    source = f"counts = {{}}\nfor letter in '{word}':\n    counts[letter] = counts.get(letter, 0) + 1\n"
    return Reading(f"{source}print(counts.get('{rng.choice('abc')}', 0))", outputs=("1", "2", "3", "4"))


def _filtered(rng: Random) -> Reading:
    values, limit = _numbers(rng, 6), rng.randint(10, 18)
    wrong = (f"< {limit}", f"> {limit + 4}", f"> {limit - 4}", "% 2 == 0", f">= {max(values)}", f"<= {limit}")
    return _of("values = {}\nprint([n for n in values if n {}])".format, (values, f"> {limit}"),
               *((values, condition) for condition in wrong))


def _mapped(rng: Random) -> Reading:
    values, factor = _numbers(rng, 4, 1, 10), rng.randint(2, 5)
    return _of("print([{} for n in {} if n % 2 == {}])".format, (f"n * {factor}", values, 1), (f"n * {factor}", values, 0),
               ("n", values, 1), (f"n + {factor}", values, 1), (f"n * {factor + 1}", values, 1))


def _halved(rng: Random) -> Reading:
    n = rng.randint(5, 400)
    told = "n = {}\nsteps = 0\nwhile n > {}:\n    n = n // 2\n    steps += 1\nprint(steps)".format
    return _of(told, (n, 1), (n, 0), (n, 2))


def _default(rng: Random) -> Reading:
    a, b, c = _numbers(rng, 3, 2, 15)
    told = "def f(x, y={}):\n    return {}\n\nprint(f({}))".format
    return _of(told, (b, f"x * y + {c}", a), (b, f"x + y + {c}", a), (b, f"x * (y + {c})", a), (c, f"x * y + {b}", a),
               (b, "x * y", a))


def _precedence(rng: Random) -> Reading:
    a, b, c, d = _numbers(rng, 4, 2, 20)
    return _of("print({})".format, (f"{a} + {b} * {c} - {d}",), (f"({a} + {b}) * {c} - {d}",), (f"{a} + {b} * ({c} - {d})",),
               (f"({a} + {b}) * ({c} - {d})",), (f"{a} + {b} * {c} + {d}",))


def _division(rng: Random) -> Reading:
    a, b = rng.randint(30, 99), rng.randint(4, 9)
    wrong = (f"{a} // {b} + 1, {a} % {b}", f"{a} // {b}, {a} % {b} + 1", f"{a} // {b} + 1, {a} % {b} + 1",
             f"{a} // {b + 1}, {a} % {b + 1}", f"{a} // {b} - 1, {a} % {b}")
    return _of("print({})".format, (f"{a} // {b}, {a} % {b}",), *((each,) for each in wrong))


def _alias(rng: Random) -> Reading:
    values, new = _numbers(rng, 3), rng.randint(31, 40)
    told = "first = {0}\nsecond = {1}\nsecond.append({2})\nprint({3})".format
    copied = rng.random() < 0.5
    ways = ("first[:]", "first") if copied else ("first", "first[:]")
    return Reading(told(values, ways[0], new, "first"),
                   (told(values, ways[1], new, "first"), told(values, "first", new, f"[{new}] + first[:-1]"),
                    told(values, "first", new, "first[1:]"), told(values, "first", new, "first[::-1]"),
                    told(values, "first[:]", new, "first[::-1]"), told(values, "first[:]", new, "first[:-1]")))


def _replaced(rng: Random) -> Reading:
    word = rng.choice([word for word in WORDS if len(set(word)) < len(word)])
    old = next(letter for letter in word if word.count(letter) > 1)
    new = rng.choice([letter for letter in "aeioust" if letter not in word])
    wrong = (f"'{old}', '{new}', 1", f"'{old}', ''", f"'{new}', '{old}'", f"'{word[1]}', '{new}'", f"'{old}', '{new}{new}'")
    return _of("word = '{}'\nprint('<' + word.replace({}) + '>')".format, (word, f"'{old}', '{new}'"),
               *((word, places) for places in wrong))


def _joined(rng: Random) -> Reading:
    a, b, c = rng.sample(WORDS, 3)
    told = "words = {}\nprint('<' + '-'.join(words[{}]) + '>')".format
    return _of(told, ([a, b, c], "::-1"), *((each, ":") for each in ([a, b, c], [b, c, a], [c, a, b], [a, c, b])))


def _nested(rng: Random) -> Reading:
    n, k = rng.randint(3, 10), rng.randint(1, 4)
    told = "count = 0\nfor i in range({}):\n    for j in range({}):\n        count += 1\nprint(count)".format
    return _of(told, (n, f"i + {k}"), (n, n + k), (n + 1, f"i + {k}"), (n, f"i + {k + 1}"), (n - 1, f"i + {k}"))


def _alphabet(rng: Random) -> Reading:
    words = rng.sample(WORDS, 4)
    return Reading(f"words = {words}\nprint(sorted(words)[{rng.randint(0, 3)}])", outputs=tuple(words))


def _dearest(rng: Random) -> Reading:
    words, prices = rng.sample(WORDS, 4), _numbers(rng, 4)
    table = dict(zip(words, prices, strict=True))
    source = f"prices = {table}\nprint({rng.choice(('min', 'max'))}(prices, key=prices.get))"
    return Reading(source, outputs=tuple(words))


def _condition(rng: Random) -> Reading:
    a, b, c, d = (rng.randint(1, 9) for _ in range(4))
    word = rng.choice(("and", "or"))
    return Reading(f"print({a} > {b} {word} not {c} == {d})" if rng.random() < 0.5 else
                   f"print(not {a} > {b} {word} {c} < {d})", outputs=("True", "False"))


def _different(rng: Random) -> Reading:
    values = [rng.randint(1, 6) for _ in range(rng.randint(4, 7))]
    return Reading(f"print(len(set({values})))", outputs=("2", "3", "4", "5"))


def _odd_places(rng: Random) -> Reading:
    values = _numbers(rng, 6, 1, 20)
    told = "total = 0\nfor i, n in enumerate({}):\n    if {}:\n        total += n\nprint(total)".format
    wrong = ("i % 2 == 0", "n % 2 == 1", "i > 1", "i < 3")
    return _of(told, (values, "i % 2 == 1"), *((values, condition) for condition in wrong))


def _first_multiple(rng: Random) -> Reading:
    values, divisor = rng.sample(range(10, 60), 4), rng.randint(3, 5)
    values[rng.randrange(4)] = divisor * rng.randint(4, 11)
    if len(set(values)) < 4:
        return _first_multiple(rng)
    return Reading(f"for n in {values}:\n    if n % {divisor} == 0:\n        print(n)\n        break",
                   outputs=tuple(map(str, values)))


def _recursive(rng: Random) -> Reading:
    n, factor, plus = rng.randint(2, 4), rng.randint(2, 3), rng.randint(1, 5)
    told = "def f(n):\n    if n == 0:\n        return {}\n    return {} * f(n - 1) + {}\n\nprint(f({}))".format
    return _of(told, (1, factor, plus, n), (1, factor, plus, n - 1), (1, factor, plus, n + 1), (0, factor, plus, n),
               (1, factor, 0, n))


def _products(rng: Random) -> Reading:
    a, b = _numbers(rng, 3, 1, 10), _numbers(rng, 3, 1, 10)
    told = "total = 0\nfor x, y in zip({}, {}):\n    total += {}\nprint(total)".format
    return _of(told, (a, b, "x * y"), (a, b, "x + y"), (a[:2], b, "x * y"), (a[1:], b[1:], "x * y"), (a, b[::-1], "x * y"))


def _contained(rng: Random) -> Reading:
    word = rng.choice(WORDS)
    i = rng.randint(0, len(word) - 3)
    part = word[i : i + 3]
    if rng.random() < 0.5:
        part = part[0] + part[2] + part[1]
    return Reading(f"print('{part}' in '{word}')", outputs=("True", "False"))


def _swapped(rng: Random) -> Reading:
    a, b, c = _numbers(rng, 3, 10, 60)
    told = "a, b, c = {}, {}, {}\na, b, c = {}\nprint(a, b, c)".format
    orders = rng.sample(("b, c, a", "c, a, b", "b, a, c", "c, b, a", "a, c, b"), 5)
    return _of(told, *((a, b, c, order) for order in orders))


# What each prints, by the names in `english_code.FORMS`, and how it is drawn.
PROGRAMS: dict[str, tuple[str, Callable[[Random], Reading]]] = {
    "range sum": ("number", _range_sum), "range list": ("list", _range_list), "slice": ("list", _slice),
    "word slice": ("quoted", _word_slice), "every second": ("quoted", _every_second), "backwards": ("quoted", _backwards),
    "negative index": ("number", _negative_index), "letters": ("number", _letters), "filtered": ("list", _filtered),
    "mapped": ("list", _mapped), "halved": ("number", _halved), "default": ("number", _default),
    "precedence": ("number", _precedence), "division": ("numbers", _division), "alias": ("list", _alias),
    "replaced": ("quoted", _replaced), "joined": ("quoted", _joined), "nested": ("number", _nested),
    "alphabet": ("word", _alphabet), "dearest": ("word", _dearest), "condition": ("truth", _condition),
    "different": ("number", _different), "odd places": ("number", _odd_places),
    "first multiple": ("number", _first_multiple), "recursive": ("number", _recursive), "products": ("number", _products),
    "contained": ("truth", _contained), "swapped": ("numbers", _swapped),
}  # fmt: skip
