"""Nested programs run, and their brackets are counted as Python finds them."""

import io
import tokenize
from itertools import accumulate
from random import Random

from lab.data.world.nested import DEEPEST, FORMS, nested_program, open_brackets
from lab.data.world.programs import execute

PROGRAMS = [nested_program(Random(seed)) for seed in range(200)]


def test_brackets_are_counted_as_pythons_own_tokenizer_finds_them():
    for source, _ in PROGRAMS:
        depths, depth = open_brackets(source), 0
        starts = list(accumulate((len(line) + 1 for line in source.split("\n")), initial=0))
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            depth -= token.string in (")", "]")
            if token.string.strip():
                assert depths[starts[token.start[0] - 1] + token.start[1]] == depth
            depth += token.string in ("(", "[")


def test_programs_run_and_reach_every_depth():
    assert all(execute(source) for source, _ in PROGRAMS)
    deepest = {max(depth for character, depth in zip(source, open_brackets(source), strict=True) if character.isdigit())
               for source, _ in PROGRAMS}
    assert deepest == set(range(1, DEEPEST + 1)) and {form for _, form in PROGRAMS} == set(range(len(FORMS)))


def test_a_program_may_be_no_deeper_than_asked_for():
    assert max(max(open_brackets(nested_program(Random(seed), 2)[0])) for seed in range(50)) == 2
