"""Statistics of one layer: closed forms, blocks of any size, and nothing of size L×L."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lab.attention import heads as heads_module
from lab.attention.compare import compare
from lab.attention.heads import Heads
from lab.attention.measure import measure
from lab.attention.per_query import per_query
from lab.attention.seen import seen
from lab.attention.statistics import STATISTICS, UNITS, statistics, uniform
from lab.attention.visibility import Visibility
from tests import architectures as reference
from tests.architectures import LENGTH, RECENT

TOKENS = reference.prompts()
LONG = 1024
LEFT = torch.arange(LENGTH) >= torch.tensor([[0], [11]])
MASKS = {"causal": (None, None), "window": (None, 7), "left": (LEFT, None), "left window": (LEFT, 7)}


def layer(kind, scale=1.0, width=8):
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(2, heads, LENGTH, width, generator=generator) for heads in (4, 2, 2))
    real, window = MASKS[kind]
    return Heads(queries, keys, values, scale, Visibility(LENGTH, LENGTH, 2, real, window=window))


def measured(one):
    return statistics(per_query(one, TOKENS, RECENT), seen(one.visibility, TOKENS, RECENT))


@pytest.mark.parametrize("kind", MASKS)
def test_equal_scores_give_the_uniform_reference(kind):
    one = layer(kind, scale=0.0)
    found, expected = measured(one), uniform(seen(one.visibility, TOKENS, RECENT))
    assert tuple(found) == tuple(expected) == STATISTICS
    for name in STATISTICS:
        torch.testing.assert_close(found[name], expected[name][:, None].expand(2, 4), atol=1e-6, rtol=1e-6)


def test_uniform_references_in_closed_form():
    found = uniform(seen(Visibility(4, 4, 1, None), torch.tensor([[7, 8, 7, 7]]), 2))
    assert {name: float(value[0]) for name, value in found.items()} == pytest.approx({
        "entropy": math.log(24) / 4, "entropy_share": 1, "first_token": (1 / 2 + 1 / 3 + 1 / 4) / 3,
        "distance": (0 + 1 / 2 + 1 + 3 / 2) / 4, "recent": (1 + 1 + 2 / 3 + 2 / 4) / 4,
        "previous_token": (1 / 2 + 1 / 3 + 1 / 4) / 3, "duplicate_token": 0, "learned_sink": 0})


@pytest.mark.parametrize("kind", MASKS)
def test_attention_on_one_key_in_closed_form(kind):
    """Each query attends to the key before it, and the first real one to itself."""
    one = layer(kind, width=LENGTH)
    keys = torch.eye(LENGTH).expand(2, 2, LENGTH, LENGTH)
    one = heads_module.replace(one, keys=keys, queries=1000 * keys.roll(1, 2).repeat(1, 2, 1, 1))
    found = measured(one)
    only_itself = statistics(per_query(one, TOKENS, 1), seen(one.visibility, TOKENS, 1))["recent"]
    for row, first in enumerate(one.visibility.first_keys.tolist()):
        count = LENGTH - first
        seeing_first = min(count, one.visibility.window or LENGTH) - 1  # it does not count itself
        expected = {"entropy": 0, "distance": (count - 1) / count, "recent": 1, "previous_token": 1,
                    "first_token": 1 / seeing_first}
        assert {name: float(found[name][row, 0]) for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert float(only_itself[row, 0]) == pytest.approx(1 / count, rel=1e-5)


@pytest.mark.parametrize("kind", MASKS)
def test_output_is_that_of_plain_attention(kind):
    one = layer(kind)
    query, key = torch.arange(LENGTH)[:, None], torch.arange(LENGTH)
    mask = (key <= query) & (query - key < (one.visibility.window or LENGTH)) & (
        torch.ones(2, 1, 1, LENGTH, dtype=torch.bool) if one.visibility.real is None else LEFT[:, None, None])
    expected = torch.nn.functional.scaled_dot_product_attention(
        one.queries, one.keys.repeat_interleave(2, 1), one.values.repeat_interleave(2, 1), mask, scale=1.0).transpose(1, 2)
    real = one.visibility.real_queries
    torch.testing.assert_close(per_query(one, TOKENS, RECENT).output[real], expected[real])


@pytest.mark.parametrize("kind", MASKS)
def test_nothing_depends_on_the_size_of_blocks(kind, monkeypatch):
    one = layer(kind)
    whole, counts = per_query(one, TOKENS, RECENT), seen(one.visibility, TOKENS, RECENT)
    assert len(list(one.blocks())) == 1
    monkeypatch.setattr(heads_module, "_CPU_BYTES", 1)  # 16 queries, the least
    assert [block.last - block.first for block in one.blocks()] == [16, 16, 8]
    parts, recounted = per_query(one, TOKENS, RECENT), seen(one.visibility, TOKENS, RECENT)
    real = one.visibility.real_queries
    for name, value in vars(parts).items():
        at = value[real] if name == "output" else value.transpose(1, 2)[real]
        expected = getattr(whole, name)[real] if name == "output" else getattr(whole, name).transpose(1, 2)[real]
        torch.testing.assert_close(at, expected, msg=name)
    for name, value in vars(recounted).items():
        assert torch.equal(value[real], getattr(counts, name)[real]), name


@pytest.mark.parametrize("kind", ["causal", "left", "left window"])
def test_what_is_seen_is_counted_the_same_with_and_without_a_mask(kind):
    """A hole in the padding of another row sends all through masks; the rows without one must not change."""
    real, window = MASKS[kind]
    real = torch.ones(2, LENGTH, dtype=torch.bool) if real is None else real
    holed = torch.cat([real, torch.arange(LENGTH)[None] % 5 > 0])
    tokens = torch.cat([TOKENS, TOKENS[:1]])
    masked = seen(Visibility(LENGTH, LENGTH, 3, holed, window=window), tokens, RECENT)
    for name, value in vars(seen(Visibility(LENGTH, LENGTH, 2, real, window=window), TOKENS, RECENT)).items():
        assert torch.equal(getattr(masked, name)[:2][real], value[real]), name


def test_a_prompt_without_a_query_that_counts_is_undefined():
    tokens = torch.tensor([[5, 6]])
    one = Heads(*(torch.randn(1, 1, 2, 4) for _ in range(3)), 1.0, Visibility(2, 2, 1, torch.tensor([[False, True]])))
    found = statistics(per_query(one, tokens, 1), seen(one.visibility, tokens, 1))
    undefined = {name for name, value in found.items() if value.isnan().all()}
    assert undefined == {"entropy_share", "first_token", "previous_token", "duplicate_token"}


def test_units_are_of_statistics():
    assert set(UNITS) < set(STATISTICS)


class Largest(TorchDispatchMode):
    """The most numbers that one tensor made inside has."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.untyped_storage().nbytes() // one.element_size())
        return made


@pytest.mark.parametrize("padding", [0, 100])  # which is more than one block of queries
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3"])
def test_nothing_of_size_length_squared_is_ever_made(name, padding, monkeypatch):
    monkeypatch.setattr(heads_module, "_CPU_BYTES", 2**18)
    monkeypatch.setattr(reference.model(name).config, "max_position_embeddings", LONG)
    with Largest() as streamed:
        measure(reference.model(name), reference.prompts(1, LONG), torch.arange(LONG)[None] >= padding)
    assert streamed.numbers < LONG**2 // 4


def test_nothing_of_size_length_squared_is_ever_made_in_a_comparison(monkeypatch):
    monkeypatch.setattr(heads_module, "_CPU_BYTES", 2**18)
    tuned = reference.tuned("llama")
    monkeypatch.setattr(tuned.get_base_model().config, "max_position_embeddings", LONG)
    with Largest() as streamed:
        compare(tuned, ["strong"], reference.prompts(1, LONG))
    assert streamed.numbers < LONG**2 // 4


def test_eager_attention_is_caught_making_it():
    with Largest() as eager:
        reference.run(reference.exact("llama"), reference.prompts(1, 64)[0])
    assert eager.numbers >= reference.HEADS * 64**2
