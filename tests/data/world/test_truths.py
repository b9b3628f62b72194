"""The world's answers against independent references: brute force, string arithmetic, a real interpreter."""

import ast
import re
import subprocess
import sys
from itertools import permutations, product

import pytest

from lab.data.world import generate
from lab.data.world.arithmetic import borrow_digits, carry_digits
from lab.data.world.holdout import HELD_OUT_SHARE, pair_withheld, withheld
from lab.data.world.item import split_cases
from lab.data.world.knowledge import PHRASINGS, VALUES, attributes
from lab.data.world.names import new_people, passing_people, world_people
from lab.data.world.orderings import SCALES, relation
from lab.data.world.programs import PROGRAMS, PROMPTS, execute, templates
from lab.data.world.syllogisms import FORMS, VALID, is_valid, premises


def test_people_are_shared_out_and_new_ones_are_in_no_document():
    from lab.data.world.documents import documents

    world, passing, new = set(world_people()), set(passing_people()), set(new_people())
    assert len(world) + len(passing) + len(new) == len(world | passing | new)
    assert len(new) >= 10_000
    words = set(re.findall(r"\w+", " ".join(documents(4000, 0, 0))))
    assert words & world and words & passing and not words & new


def test_every_fact_and_every_phrasing_is_trained_though_some_pairs_are_not():
    trained = [(kind, phrasing, name) for kind in VALUES for phrasing in range(len(PHRASINGS[kind]))
               for name in world_people() if not withheld("fact", kind, phrasing, name)]  # fmt: skip
    assert len({(kind, name) for kind, _, name in trained}) == len(VALUES) * len(world_people())
    assert len({(kind, phrasing) for kind, phrasing, _ in trained}) == sum(map(len, PHRASINGS.values()))
    share = 1 - len(trained) / (len(world_people()) * sum(map(len, PHRASINGS.values())))
    assert share == pytest.approx(HELD_OUT_SHARE, abs=0.02)
    among = set(trained)
    for item in generate("knowledge", 2000, 0):
        kind, phrasing = item.template.split("/")
        assert (kind, int(phrasing), item.entities[0]) in among
        assert item.answer == attributes(item.entities[0])[kind]
        assert item.answer in item.text and item.entities[0] in item.question


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_arithmetic_answers_and_pairs(split):
    for item in generate("arithmetic", 3000, 2, split=split):
        a, b = map(int, item.entities)
        truth = {"addition": a + b, "subtraction": a - b, "multiplication": a * b, "comparison": max(a, b)}[item.kind]
        assert item.answer == str(truth) and str(truth) in item.text
        assert pair_withheld(a, b) == (split == "held_out")
        assert {str(a), str(b)} == set(re.findall(r"\d+", item.question))


def test_a_withheld_pair_is_withheld_in_both_orders_at_the_stated_share():
    pairs = [(a, b) for a in range(100) for b in range(a, 100)]
    assert all(pair_withheld(a, b) == pair_withheld(b, a) for a, b in pairs)
    assert sum(pair_withheld(*pair) for pair in pairs) / len(pairs) == pytest.approx(HELD_OUT_SHARE, abs=0.02)


def test_carries_and_borrows_equal_column_arithmetic():
    for a, b in product(range(0, 100, 7), range(0, 100, 9)):
        units = a % 10 + b % 10
        assert carry_digits(a, b) == (int(units >= 10), int(a // 10 + b // 10 + (units >= 10) >= 10))
        if a >= b:
            assert borrow_digits(a, b) == (int(a % 10 < b % 10), 0)


def solve_ordering(question: str) -> str:
    """Answer an ordering question from its text alone, by trying every order of the people it names."""
    *told, asked = re.findall(r"[^.?]+[.?]", question)
    scale = next(s for s in SCALES if any(word in question for word in s))
    above = []
    for sentence in told:
        first, word, second = re.match(r" ?(\w+) is (\w+) than (\w+)", sentence).groups()
        above.append((first, second) if word == scale[0] else (second, first))
    people = sorted({name for pair in above for name in pair})
    orders = [order for order in permutations(people) if all(order.index(x) < order.index(y) for x, y in above)]
    if match := re.search(r"Who is (\w+)\?", asked):
        return "/".join({order[0 if match[1] == scale[2] else -1] for order in orders})
    if match := re.search(r"from the (\w+)\.", asked):
        return "/".join({", ".join(order if match[1] == scale[2] else order[::-1]) for order in orders})
    first, second = re.search(rf"Is (\w+) {scale[0]} than (\w+)\?", asked).groups()
    found = {relation(order, first, second) for order in orders}
    return "unknown" if len(found) > 1 else {1: "yes", -1: "no"}[found.pop()]


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_ordering_answers_equal_brute_force(split):
    for item in generate("reasoning", 1500, 3, split=split):
        if item.kind != "syllogism":
            assert solve_ordering(item.question) == item.answer, item.question


def holds(sentence: str, regions: frozenset[int], first: int, second: int) -> bool:
    """Whether a categorical sentence is true where exactly these of the eight Venn regions are inhabited."""
    inside = [region for region in regions if region >> first & 1]
    both = any(region >> second & 1 for region in inside)
    only_first = any(not region >> second & 1 for region in inside)
    return {"A": not only_first, "E": not both, "I": both, "O": only_first}[sentence]


def test_valid_syllogisms_are_those_true_in_every_world():
    worlds = [frozenset(r for r in range(8) if mask >> r & 1) for mask in range(256)]
    for mood, figure in FORMS:
        (a, b), (c, d) = premises(figure, 0, 1, 2)
        valid = all(
            holds(mood[2], world, 0, 2)
            for world in worlds
            if holds(mood[0], world, a, b) and holds(mood[1], world, c, d)
        )
        assert valid == is_valid(mood, figure), (mood, figure)
    assert len(FORMS) == 256 and len(VALID) == 15


def test_a_syllogism_reads_as_its_form():
    for item in generate("reasoning", 800, 4):
        if item.kind != "syllogism":
            continue
        letters, pairs = "", []
        for sentence in re.findall(r"(?:So )?((?:all|no|some) [\w ]+)[.?]", item.question.replace("All", "all").replace(
                "No ", "no ").replace("Some", "some")):  # fmt: skip
            first, negated, second = re.match(r"\w+ (\w+) are (not )?(\w+)", sentence).groups()
            letters += {"all": "A", "no": "E", "some": "O" if negated else "I"}[sentence.split()[0]]
            pairs.append((first, second))
        subject, middle, predicate = item.entities
        figure = next(f for f in (1, 2, 3, 4) if list(premises(f, subject, middle, predicate)) == pairs[:2])
        assert pairs[2] == (subject, predicate)
        assert item.answer == ("yes" if is_valid(letters, figure) else "no")


class Recorder(ast.NodeTransformer):
    """Rewrites a program so that every operation on two numbers reports them."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        return self.call(f"operate_{type(node.op).__name__}", node.left, node.right)

    def visit_Compare(self, node):
        self.generic_visit(node)
        return self.call(f"operate_{type(node.ops[0]).__name__}", node.left, node.comparators[0])

    def call(self, name, *values):
        return ast.Call(ast.Name(name, ast.Load()), list(values), [])


def operands_met(source: str) -> set[tuple[int, int]]:
    met = set()

    def record(operation):
        def recorded(x, y):
            if isinstance(x, int) and isinstance(y, int):
                met.add((min(x, y), max(x, y)))
            return operation(x, y)

        return recorded

    def all_pairs(operation):
        def recorded(*values):
            listed = list(values[0]) if len(values) == 1 else list(values)
            met.update((min(p), max(p)) for p in permutations(listed, 2))
            return operation(*values)

        return recorded

    scope = {
        "operate_Add": record(lambda x, y: x + y), "operate_Sub": record(lambda x, y: x - y),
        "operate_Gt": record(lambda x, y: x > y), "operate_Lt": record(lambda x, y: x < y),
        "operate_In": lambda x, y: x in y, "max": all_pairs(max), "sorted": all_pairs(sorted),
        "print": lambda *values: None,
    }  # fmt: skip
    tree = ast.fix_missing_locations(Recorder().visit(ast.parse(source)))
    exec(compile(tree, "traced", "exec"), scope)
    return met


def source_of(item):
    return next(item.question.removeprefix(prompt) for prompt in PROMPTS if item.question.startswith(prompt))


def test_stated_operands_are_those_a_run_meets_and_none_is_withheld_in_training():
    programs = {program.name: program for program in PROGRAMS}
    for item in generate("code", 3000, 6):
        met = operands_met(source_of(item))
        assert not any(pair_withheld(*pair) for pair in met), item.question
        if item.kind in ("length", "member", "index", "append", "repeat"):
            assert not met
            continue
        case = tuple(map(int, item.entities))
        assert met == {(min(p), max(p)) for p in programs[item.kind].operands(*case)}, item.question


def test_a_program_with_a_withheld_pair_is_withheld():
    total = next(template for template in templates() if template.name == "sum")
    assert all(pair_withheld(*case) <= total.is_held_out(case) for case in total.cases())
    assert not any(pair_withheld(*case) for case in split_cases(total, "train"))


def test_printed_output_is_that_of_a_real_interpreter():
    items = {item.kind: item for item in generate("code", 400, 7)}
    assert len(items) == len(PROGRAMS)
    mark = "print('=====')\n"
    script = mark.join(source_of(item) + "\n" for item in items.values())
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip("\n").split("\n=====\n") == [item.answer for item in items.values()]
    assert execute("print(1, 'a')\nprint([2])") == "1 a\n[2]"


def test_copying_and_stories_answer_from_their_own_words():
    for item in generate("copying", 500, 8):
        if item.kind == "repeat":
            assert item.question == f"Repeat: {item.answer}" and item.text.startswith(item.answer + "; ")
        else:
            pairs = dict(pair.split(": ") for pair in item.question.split(". ")[0].split(", "))
            assert pairs[item.question.split(". ")[1].rstrip("?")] == item.answer
    for item in generate("stories", 200, 8):
        assert item.answer in item.text and item.question.startswith(item.text)
