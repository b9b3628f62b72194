"""TransformerLens and nnsight find the same numbers in the same models, also in models opened by run id."""

import copy
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import pytest
import torch

import lab
from lab.models.adapters import attach, facts_of, save_adapter
from lab.models.batch import inputs
from lab.models.loading import load_base
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, POST_ATTN, POST_FFN, PRE_ATTN
from lab.tracking import capsule
from lab.tracking.run import open_run
from tests import architectures

BOUND = 1e-5  # of the largest value
NAMES = {PRE_ATTN: "hook_resid_pre", DELTA_ATTN: "hook_attn_out", POST_ATTN: "hook_resid_mid", DELTA_FFN: "hook_mlp_out",
         POST_FFN: "hook_resid_post"}
PARALLEL = ("gpt_neox",)
TOKENS = torch.arange(5, 45).reshape(2, 20)
# in a process of its own: nnsight replaces Tensor.backward and gives every object of a process a method
IN_NNSIGHT = """
import sys
import lab, nnsight, torch

torch.set_num_threads(1)
run_id, folder = sys.argv[1:]
tuned = lab.open_run(run_id, device="cpu")
tokens = torch.load(folder + "/tokens.pt")
layers = tuned.model.base_model.model.model.layers
opened = nnsight.TransformersModel(tuned.model, tokenizer=tuned.tokenizer, task="text-generation")
found = {}
with torch.no_grad(), opened.trace(input_ids=tokens):
    for index in range(len(layers)):
        layer = opened.base_model.model.model.layers[index]
        found["pre_attn", index] = nnsight.save(layer.input)
        found["delta_attn", index] = nnsight.save(layer.self_attn.output[0])
        found["delta_ffn", index] = nnsight.save(layer.mlp.output)
        found["post_ffn", index] = nnsight.save(layer.output)
    logits = nnsight.save(opened.output.logits)
torch.save((found, logits), folder + "/found.pt")
"""

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Config:
    """A study without options."""


def copied(name):
    """A tiny model of an architecture, whose configuration says no more than those of that architecture do."""
    model = copy.deepcopy(architectures.model(name))
    if not hasattr(type(model.config)(), "num_key_value_heads"):
        del model.config.num_key_value_heads  # TransformerLens would believe it
    return model


@cache
def eager(name):
    """One that computes attention as TransformerLens does: SDPA would leave out the soft cap of Gemma 2."""
    model = copied(name)
    if name not in architectures.EAGER:
        model.set_attn_implementation("eager")
    return model


def in_transformer_lens(model, tokenizer, tokens, folder):
    """What TransformerLens keeps of a forward pass by its names, and its logits; it rebuilds the model it is given."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(str(folder), hf_model=model, device="cpu", dtype=torch.float32,
                                                 tokenizer=AutoTokenizer.from_pretrained(folder))
    with torch.no_grad():
        logits, kept = bridge.run_with_cache(tokens)
    return kept, logits


def ours(model, tokens):
    return capture(model, inputs(model, tokens), decompose(model), keep_logits=True)


def apart(one, other):
    """The largest difference, relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.fixture(scope="module")
def tokenizer():
    return load_base("embedded", device="cpu").tokenizer


@pytest.mark.parametrize("name", ["qwen3", "gpt2", "gemma2", "olmo2", "granite", "gpt_neox", "qwen3_moe", "bloom"])
def test_names_and_values_are_those_of_transformer_lens(name, tokenizer, tmp_path):
    tokens = architectures.prompts()
    mine = ours(eager(name), tokens)
    kept, logits = in_transformer_lens(copy.deepcopy(eager(name)), tokenizer, tokens, tmp_path)
    assert apart(logits, mine.logits) <= BOUND
    for site, theirs in NAMES.items():
        for layer, value in mine.values[site].items():
            if site == POST_ATTN and name in PARALLEL:  # nothing reads it: they have none, and here it is marked
                assert f"blocks.{layer}.{theirs}" not in kept and layer in decompose(eager(name)).virtual
            else:
                assert apart(kept[f"blocks.{layer}.{theirs}"], value) <= BOUND, (site, layer)


def test_where_transformer_lens_differs_the_formula_agrees_with_us(tokenizer, tmp_path):
    """Falcon's ALiBi bias, once in the mask that Transformers hands on; TransformerLens 4.3 adds it a second time."""
    model, tokens = copied("falcon_alibi"), architectures.prompts()
    mine = ours(model, tokens)
    block, start = model.transformer.h[0], mine.values[PRE_ATTN][0]
    with torch.no_grad():
        once, twice = (_falcon_attention(block, start, biases) for biases in (1, 2))
    kept, logits = in_transformer_lens(model, tokenizer, tokens, tmp_path)
    theirs = kept[f"blocks.0.{NAMES[DELTA_ATTN]}"]
    assert apart(mine.values[DELTA_ATTN][0], once) <= BOUND and apart(theirs, twice) <= BOUND
    assert apart(theirs, once) > 1e-2 and apart(logits, mine.logits) > 1e-2


def _falcon_attention(block, stream, biases):
    """softmax((q·k + biases · slope · position) / sqrt(dv)) v, with slopes 2^-2, 2^-4, … (Press et al. 2022), [B, T, D]."""
    rows, length, width = stream.shape
    heads = architectures.HEADS
    fused = block.self_attention.query_key_value(block.input_layernorm(stream)).view(rows, length, heads, 3, width // heads)
    query, key, value = (each.transpose(1, 2) for each in fused.unbind(3))
    slopes = 2.0 ** (-8 / heads * torch.arange(1, heads + 1))
    scores = query @ key.mT + biases * slopes[:, None, None] * torch.arange(length)
    scores = (scores * (width // heads) ** -0.5).masked_fill(~torch.ones(length, length).tril().bool(), -torch.inf)
    return block.self_attention.dense((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


@pytest.fixture(scope="module")
def run_id(empty_database, tmp_path_factory):
    """A run that trained an adapter for a few steps, in a store that is named while the module's tests run."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("LAB_CACHE", str(folder / "cache"))
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        base = load_base("embedded", device="cpu")
        model = attach(base, r=4, alpha=8)
        optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=2.0)
        for _ in range(3):
            model(input_ids=TOKENS, labels=TOKENS).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        save_adapter(model, folder / "kept", base)
        capsule.seal(folder / "kept", "adapter", facts_of(base, model=model, step=3, eval_loss=1.0))
        with open_run("test", Config(), name="peers") as run:
            capsule.keep(run, folder / "kept", "adapter", "best")
        yield run.id


def test_a_model_opened_by_run_id_opens_in_nnsight(run_id, tmp_path):
    torch.save(TOKENS, tmp_path / "tokens.pt")
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", IN_NNSIGHT, run_id, str(tmp_path)], env=quiet, check=True, capture_output=True)
    found, logits = torch.load(tmp_path / "found.pt")
    tuned = lab.open_run(run_id, device="cpu")
    mine = ours(tuned.model, TOKENS)
    assert apart(logits, mine.logits) <= BOUND
    assert len(found) == 4 * len(decompose(tuned.model).layers)
    for (site, layer), value in found.items():
        assert apart(value, mine.values[site][layer]) <= BOUND, (site, layer)
    with tuned.model.disable_adapter(), torch.no_grad():
        assert apart(tuned.model(TOKENS).logits, logits) > 1e-2  # or nothing was trained


def test_merged_it_opens_in_transformer_lens_with_equal_logits(run_id, tmp_path):
    tuned, merged = (lab.open_run(run_id, device="cpu", merge=merge) for merge in (False, True))
    mine = ours(tuned.model, TOKENS)
    kept, logits = in_transformer_lens(merged.model, merged.tokenizer, TOKENS, tmp_path)
    assert apart(logits, mine.logits) <= BOUND
    last = max(mine.values[POST_FFN])
    assert apart(kept[f"blocks.{last}.{NAMES[POST_FFN]}"], mine.values[POST_FFN][last]) <= BOUND
