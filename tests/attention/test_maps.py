"""Maps are the eager weights of the heads and tokens named; what is too large is refused with something that fits."""

import copy
import json
import re

import pytest
import torch
from safetensors import safe_open

from lab.attention.map_request import Request, narrower, request, request_each
from lab.attention.maps import maps, save
from lab.errors import OptionError
from tests import architectures as reference

TOKENS = reference.prompts()
MODEL = reference.model("llama")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("lab.attention.heads._CPU_BYTES", 0)  # blocks of 16 queries


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "gpt2", "gpt_oss", "deepseek_v3", "llama4", "bloom", "gptj"])
def test_maps_are_float64_weights_of_the_named_part(name, side):
    rows = [TOKENS[0], TOKENS[1, :29]]
    tokens, real = reference.padded(rows, side)
    asked = request_each(reference.model(name), {0: [3, 1], 1: [2]}, 9, 37, rows=2, length=tokens.shape[1])
    found = maps(reference.model(name), tokens, real, asked)
    assert found.models == ("model",)
    for row, prompt in enumerate(rows):
        start = int(real[row].int().argmax())
        weights, _ = reference.run(reference.exact(name), prompt)
        for layer, heads in asked.heads.items():
            whole = torch.zeros(len(heads), 40, 40, dtype=torch.float64)
            whole[:, start:start + len(prompt), start:start + len(prompt)] = weights[layer][list(heads)]
            assert found.weights[layer].shape == (1, 2, len(heads), 28, 28)
            assert found.weights[layer].dtype == torch.float32
            torch.testing.assert_close(found.weights[layer][0, row].double(), whole[:, 9:37, 9:37], atol=1e-6, rtol=1e-5)
            sink = torch.zeros(len(heads), 40, dtype=torch.float64)
            sink[:, start:start + len(prompt)] = 1 - weights[layer][list(heads)].sum(-1)
            torch.testing.assert_close(found.sinks[layer][0, row].double(), sink[:, 9:37], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["llama", "gpt_oss"])
def test_keys_and_sink_sum_to_one_over_the_whole_range(name):
    asked = request(reference.model(name), [0, 1], range(4), 0, 40, rows=2, length=40)
    found = maps(reference.model(name), TOKENS, None, asked)
    for layer in (0, 1):
        total = found.weights[layer].sum(-1) + found.sinks[layer]
        torch.testing.assert_close(total, torch.ones_like(total), atol=2e-6, rtol=0)
        assert found.sinks[layer].any() == (name == "gpt_oss")
    assert asked.bytes == sum(part.nbytes for part in (*found.weights.values(), *found.sinks.values()))


def test_base_and_adapters_are_the_maps_of_separate_models():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    adapted = get_peft_model(copy.deepcopy(MODEL), LoraConfig(r=4, target_modules=["q_proj", "v_proj"],
                                                              init_lora_weights=False), adapter_name="one").eval()
    adapted.add_adapter("two", LoraConfig(r=2, target_modules=["k_proj"], init_lora_weights=False))
    adapted.eval()
    tokens, real = reference.padded([TOKENS[0], TOKENS[1, :30]], "left")
    asked = request(adapted, [1], [0, 3], 5, 25, rows=2, length=40, models=3)
    found = maps(adapted, tokens, real, asked, adapters=["one", "two"])
    assert found.models == ("base", "one", "two")
    alone = request(MODEL, [1], [0, 3], 5, 25, rows=2, length=40)
    for index, name in enumerate(("one", "two"), start=1):
        adapted.set_adapter(name)
        expected = maps(adapted, tokens, real, alone).weights[1][0]
        torch.testing.assert_close(found.weights[1][index], expected, atol=1e-6, rtol=0)
        assert (found.weights[1][index] - found.weights[1][0]).abs().max() > 1e-3
    torch.testing.assert_close(found.weights[1][0], maps(MODEL, tokens, real, alone).weights[1][0], atol=1e-6, rtol=0)


def test_a_file_says_what_it_holds(tmp_path):
    asked = request_each(MODEL, {1: [2, 0]}, 3, 6, rows=2, length=40)
    found = maps(MODEL, TOKENS, None, asked)
    words = [["a", "ß", " c"], ["\n", "", "»"]]
    path = save(tmp_path / "maps", found, words)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == {"layer.1", "sink.1"}
        assert torch.equal(file.get_tensor("layer.1"), found.weights[1])
        about = {name: json.loads(value) for name, value in file.metadata().items()}
    assert about["tokens"] == words and about["heads"] == {"1": [2, 0]} and (about["first"], about["last"]) == (3, 6)
    assert about["axes"] == ["model", "row", "head", "query", "key"] and about["models"] == ["model"]
    with pytest.raises(OptionError, match="2 rows of 2, 3 tokens; the maps have 2 rows of 3, 3:6"):
        save(tmp_path, found, [["a", "b", "c"], ["a", "b"]])


def test_maps_belong_to_the_batch_they_were_requested_for():
    asked = request(MODEL, [0], [0], 0, 8, rows=2, length=40)
    message = "requested for rows=2, length=40, models=1, and given rows=2, length=39, models=1; request again"
    with pytest.raises(OptionError, match=message):
        maps(MODEL, TOKENS[:, :39], None, asked)


@pytest.mark.parametrize(("layers", "heads", "first", "last", "message"), [
    ([2], [0], 0, 4, "layer 2: this model has no such layer; layers with softmax attention are 0-1"),
    ([0], [4], 0, 4, "head 4 of layer 0: this model has no such head; there are 0-3"),
    ([0, 0], [1], 0, 4, "layers 0, 0: a layer is named twice"),
    ([], [1], 0, 4, "no head is named"),
    ([0], [], 0, 4, "no head is named"),
    ([0], [0], 4, 4, r"tokens=4:4: allowed are ranges in 0:40 that hold a token.*type tokens=0:40"),
    ([0], [0], 9, 4, "tokens=9:4: allowed are ranges"),
    ([0], [0], -3, 4, "tokens=-3:4: allowed are ranges"),
    ([0], [0], 0, 41, "tokens=0:41: allowed are ranges"),
])
def test_what_does_not_exist_is_refused(layers, heads, first, last, message):
    with pytest.raises(OptionError, match=message):
        request(MODEL, layers, heads, first, last, rows=1, length=40)


FITTING = re.compile(r"layers=([\d,]+) heads=([\d,]+) over tokens=(\d+):(\d+) \(([\d,]+) bytes\)")


@pytest.mark.parametrize(("layers", "budget", "said"), [
    ([0, 1], 43_000, [([0, 1], [1, 2], 2, 38), ([0, 1], [1, 2, 3], 2, 31)]),
    ([0, 1], 12_000, [([0], [1], 2, 38), ([0, 1], [1, 2, 3], 2, 17)]),
    ([0, 1], 8_000, [([0, 1], [1, 2, 3], 2, 14)]),
    ([0, 1], 40, [([0], [1], 2, 3)]),
])
def test_a_request_over_budget_is_told_what_fits(layers, budget, said):
    parts = {"rows": 2, "length": 40}
    with pytest.raises(OptionError, match=r"take 63,936 bytes; allowed are [\d,]+\. What fits: .*; or allow more") as error:
        request(MODEL, layers, [1, 2, 3], 2, 38, budget=budget, **parts)
    found = [[[int(part) for part in text.split(",")] for text in one]
             for one in FITTING.findall(str(error.value).partition("What fits")[2])]
    assert [(layers, heads, first[0], last[0]) for layers, heads, first, last, _ in found] == said
    for layers, heads, first, last, size in found:
        taken = int("".join(f"{part:03}" for part in size))
        assert request(MODEL, layers, heads, first[0], last[0], budget=budget, **parts).bytes == taken <= budget


def test_what_fits_could_not_be_larger():
    asked = Request({0: (0, 1, 2), 3: (1,), 4: (0, 2)}, 5, 105, rows=3, length=200, models=2)
    for budget in range(48, asked.bytes, 9973):
        fitting = narrower(asked, budget)
        assert fitting and all(one.bytes <= budget for one in fitting)
        last = fitting[-1]
        longer = Request(last.heads, last.first, last.last + 1, last.rows, last.length, last.models)
        assert longer.bytes > budget
        if len(fitting) == 2 and fitting[0].heads != fitting[1].heads:
            assert sum(map(len, fitting[0].heads.values())) < 6


def test_heads_by_layer_over_budget_are_named_one_by_one():
    message = r"maps of heads 0\.2, 1\.0, 1\.3 \(layer\.head\) over tokens=0:40, 1 prompt and 2 models take 39,360 bytes.*" \
              r"What fits: heads 0\.2, 1\.0 \(layer\.head\) over tokens=0:40 \(26,240 bytes\), or heads 0\.2, 1\.0, 1\.3"
    with pytest.raises(OptionError, match=message):
        request_each(MODEL, {0: [2], 1: [0, 3]}, 0, 40, rows=1, length=40, models=2, budget=30_000)


def test_a_budget_for_nothing_is_said_to_be_one():
    with pytest.raises(OptionError, match="allowed are 15. Not even one token of one head fits, which takes 16; allow more"):
        request(MODEL, [0], [0], 0, 40, rows=2, length=40, budget=15)


def test_the_default_budget_is_one_gibibyte():
    assert request(MODEL, [0], [0], 0, 16_383, rows=1, length=16_384).bytes <= 2**30
    with pytest.raises(OptionError, match="take 1,073,807,360 bytes; allowed are 1,073,741,824"):
        request(MODEL, [0], [0], 0, 16_384, rows=1, length=16_384)
