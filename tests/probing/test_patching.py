"""Rows patched with other rows' activations, held against what patching must give whatever the architecture."""

import pytest
import torch

from lab.errors import ModelUnsupported, OptionError
from lab.models.anatomy import n_heads, n_layers
from lab.models.batch import forward, inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.decomposition import decompose
from lab.probing.patching import Patch, Place, keep, patched
from lab.probing.patching_points import check_site
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTH, LAST = 9, 8
BLOCKS = ("delta_attn", "delta_ffn")
NAMES = tuple(name for name in architectures.CONFIGURATIONS if name != "doge")  # no decomposition: its residual is scaled


def prompt_rows(seed=0):
    """Two prompts of one length, the second twice."""
    one, two = architectures.prompts(2, LENGTH, seed)
    return torch.stack([one, two, two])


def everywhere(model, decomposition, positions=None):
    """All that is added to the stream, and what it starts from."""
    places = [Place("pre_attn", 0, positions)]
    for layer, parts in enumerate(decomposition.layers):
        places += [Place("delta_attn", layer, positions)] * bool(parts.attention)
        places += [Place("delta_ffn", layer, positions)] * bool(parts.feed_forward)
    return places


def run(model, tokens, decomposition, patches, adapters=None, **options):
    """[B, V] of the last position."""
    given = inputs(model, tokens)
    if adapters is None:
        return patched(model, given, decomposition, patches, **options)[:, -1]
    with adapter_rows(model, adapters):
        return patched(model, given, decomposition, patches, **options)[:, -1]


def close(one, other):
    return torch.equal(one, other) or float((one - other).abs().max()) <= 1e-6 * float(one.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", NAMES)
def test_another_prompt_is_reproduced_by_all_that_is_added_and_by_the_stream_of_any_layer(name):
    model = architectures.model(name)
    parts, tokens = decompose(model), prompt_rows()
    last = n_layers(model) - 1
    assert torch.equal(run(model, tokens, parts, [])[1], forward(model, inputs(model, tokens), keep_logits=False)[1, -1])
    clean = run(model, tokens, parts, [])
    assert not close(clean[0], clean[1])
    for places in (everywhere(model, parts), [Place("pre_attn", 0)], [Place("pre_attn", last)], [Place("post_ffn", 0)],
                   [Place("post_ffn", last, (LAST,))]):
        logits = run(model, tokens, parts, [Patch(2, 0, place) for place in places])
        assert close(logits[2], clean[0]), places
        assert torch.equal(logits[:2], clean[:2]), "rows that are not patched have changed"


@pytest.mark.parametrize("name", NAMES)
def test_a_tuned_model_is_reproduced_by_all_that_its_blocks_add(name):
    model = architectures.tuned(name)
    parts, tokens = decompose(model.get_base_model()), prompt_rows()[1:2].expand(4, -1)
    adapters = ["strong", BASE, BASE, "strong"]
    clean = run(model, tokens, parts, [], adapters)
    assert not close(clean[0], clean[1])
    patches = [Patch(row, source, place) for row, source in ((2, 0), (3, 1)) for place in everywhere(model, parts)]
    logits = run(model, tokens, parts, patches, adapters)
    assert close(logits[2], clean[0]) and close(logits[3], clean[1])
    left_out = Place("delta_attn", n_layers(model) - 1)  # experts of some have no adapter and add what their input asks for
    some = run(model, tokens, parts, [patch for patch in patches if patch.place != left_out], adapters)
    assert not close(some[2], clean[0]) and not close(some[3], clean[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_stream_after_attention_is_patched_where_something_reads_it(name):
    model = architectures.model(name)
    decomposition, tokens = decompose(model), prompt_rows()
    clean = run(model, tokens, decomposition, [])
    for layer, parts in enumerate(decomposition.layers):
        patches = [Patch(2, 0, Place("post_attn", layer))]
        if parts.virtual:
            with pytest.raises(ModelUnsupported, match="virtual there, so it cannot be patched; patch pre_attn"):
                run(model, tokens, decomposition, patches)
        else:
            logits = run(model, tokens, decomposition, patches)
            torch.testing.assert_close(logits[2], clean[0], atol=5e-6, rtol=1e-5)
            assert torch.equal(logits[:2], clean[:2])


def multiplied():
    """A tiny Granite whose blocks are added times 0.3."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model("granite", **architectures.COMMON, residual_multiplier=0.3)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def test_multipliers_of_what_is_added_are_kept():
    model = multiplied()
    decomposition, tokens = decompose(model), prompt_rows()
    assert {term.factor for parts in decomposition.layers for term in parts.terms} == {0.3}
    clean = run(model, tokens, decomposition, [])
    for places in (everywhere(model, decomposition), [Place("post_attn", 0)], [Place("post_attn", 1)]):
        assert close(run(model, tokens, decomposition, [Patch(2, 0, place) for place in places])[2], clean[0])


def test_a_stream_patched_twice_in_a_layer_goes_on_as_it_was_patched_last():
    model = architectures.model("llama")
    decomposition, tokens = decompose(model), torch.cat([prompt_rows(), architectures.prompts(3, LENGTH)[2:]])
    clean = run(model, tokens, decomposition, [])
    early, late = Patch(2, 3, Place("pre_attn", 1)), Patch(2, 0, Place("post_attn", 1))
    for patches in ([early, late], [late, early]):
        assert close(run(model, tokens, decomposition, patches)[2], clean[0])


@pytest.mark.parametrize("name", ("llama", "gpt2", "bloom", "gemma2", "gpt_neox", "deepseek_v3", "falcon"))
def test_all_heads_of_a_layer_are_its_attention(name):
    model = architectures.model(name)
    decomposition, tokens = decompose(model), prompt_rows()
    by_head = [Patch(2, 0, Place("head", 1, (3, LAST), head)) for head in range(n_heads(model))]
    whole = run(model, tokens, decomposition, [Patch(2, 0, Place("delta_attn", 1, (3, LAST)))])
    assert close(run(model, tokens, decomposition, by_head)[2], whole[2])
    assert not close(run(model, tokens, decomposition, by_head[:-1])[2], whole[2])


def test_one_head_at_one_position_is_what_a_forward_with_that_slice_exchanged_gives():
    model = architectures.model("llama")
    tokens, width = prompt_rows(), architectures.WIDTH // architectures.HEADS
    projection = model.model.layers[1].self_attn.o_proj

    def exchange(module, args):
        values = args[0].clone()
        values[2, 4, 2 * width:3 * width] = values[0, 4, 2 * width:3 * width]
        return (values,)

    handle = projection.register_forward_pre_hook(exchange)
    expected = forward(model, inputs(model, tokens), keep_logits=True)
    handle.remove()
    found = patched(model, inputs(model, tokens), decompose(model), [Patch(2, 0, Place("head", 1, (4,), 2))],
                    keep_logits=True)
    assert torch.equal(found, expected) and found.shape[1] == LENGTH


def test_a_patch_reaches_no_position_before_it():
    model = architectures.model("gemma2")
    tokens, parts = prompt_rows(), decompose(model)
    given = inputs(model, tokens)
    clean = patched(model, given, parts, [], keep_logits=True)
    logits = patched(model, given, parts, [Patch(2, 0, Place("delta_ffn", 0, (5,)))], keep_logits=True)
    assert torch.equal(logits[2, :5], clean[2, :5])
    assert all(not close(logits[2, at], clean[2, at]) for at in range(5, LENGTH))


def test_the_change_of_another_prompt_is_added():
    model = architectures.tuned("llama")
    parts = decompose(model.get_base_model())
    one, other = architectures.prompts(2, LENGTH)
    tokens, adapters = torch.stack([one, one, other, other]), [BASE, BASE, "strong", BASE]
    layer = model.get_base_model().model.layers[1]
    seen = []
    handle = layer.register_forward_hook(lambda module, args, output: seen.append(output))
    clean = run(model, tokens, parts, [], adapters)
    handle.remove()
    logits = run(model, tokens, parts, [Patch(1, 2, Place("post_ffn", 1, (LAST,)), instead_of=3)], adapters)
    stream = seen[0][0, LAST] + seen[0][2, LAST] - seen[0][3, LAST]
    plain = model.get_base_model()
    torch.testing.assert_close(logits[1], plain.lm_head(plain.model.norm(stream)), atol=1e-5, rtol=1e-5)
    unchanged = run(model, tokens, parts, [Patch(1, 3, Place("post_ffn", 1, (LAST,)), instead_of=3)], adapters)
    assert torch.equal(unchanged[1], clean[0])


def test_two_models_are_patched_by_what_was_kept_of_one():
    import copy

    base = architectures.model("gpt2")
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.transformer.h[1].mlp.c_proj.weight.mul_(1.5)
    tokens, parts = prompt_rows()[:2], decompose(base)
    given = inputs(base, tokens)
    kept = keep(other, given, decompose(other), [(layer, site) for layer in (0, 1) for site in BLOCKS])
    aim = run(other, tokens, parts, [])
    assert not close(run(base, tokens, parts, [])[0], aim[0])
    patches = [Patch(row, row + 2, Place(site, layer)) for row in (0, 1) for layer in (0, 1) for site in BLOCKS]
    assert close(run(base, tokens, parts, patches, kept=kept), aim)
    assert close(run(base, tokens, parts, [Patch(0, 2, Place("delta_ffn", 1))], kept=kept)[0], aim[0])
    assert not close(run(base, tokens, parts, [Patch(0, 2, Place("delta_attn", 1))], kept=kept)[0], aim[0])


@pytest.mark.parametrize(("place", "message"), [
    (Place("middle", 0), "site middle: allowed are pre_attn"),
    (Place("delta_attn", 2), "there is no layer 2; this model has layers 0 to 1"),
    (Place("delta_attn", 0, (LENGTH,)), "position 9: allowed are 0 to 8"),
    (Place("delta_attn", 0, (-1,)), "position -1: allowed are 0 to 8"),
    (Place("delta_attn", 0, ()), "no position: allowed are 0 to 8"),
    (Place("head", 0, (1,)), "site head with head None: a head is named at the site head"),
    (Place("delta_attn", 0, (1,), 1), "site delta_attn with head 1: a head is named at the site head"),
    (Place("head", 0, (1,), 4), "head 4: this model has heads 0 to 3")])
def test_places_that_are_not_there_are_refused(place, message):
    model = architectures.model("llama")
    with pytest.raises(OptionError, match=message):
        run(model, prompt_rows(), decompose(model), [Patch(2, 0, place)])


@pytest.mark.parametrize(("patches", "message"), [
    ([Patch(3, 0, Place("pre_attn", 0))], "the batch has rows 0 to 2"),
    ([Patch(2, 3, Place("pre_attn", 0))], "the batch has rows 0 to 2"),
    ([Patch(2, 0, Place("pre_attn", 0)), Patch(1, 2, Place("pre_attn", 1))], "its source is patched itself"),
    ([Patch(2, 0, Place("pre_attn", 0)), Patch(2, 1, Place("pre_attn", 0, (1,)))], "position of one row is patched twice")])
def test_rows_that_cannot_be_patched_are_refused(patches, message):
    model = architectures.model("llama")
    with pytest.raises(OptionError, match=message):
        run(model, prompt_rows(), decompose(model), patches)


def test_rows_that_were_not_kept_are_refused():
    model = architectures.model("llama")
    parts, tokens = decompose(model), prompt_rows()
    kept = keep(model, inputs(model, tokens), parts, [(0, "pre_attn")])
    with pytest.raises(OptionError, match="sources may be 3 to 5 of what was kept"):
        run(model, tokens, parts, [Patch(2, 6, Place("pre_attn", 0))], kept=kept)
    with pytest.raises(OptionError, match="what was kept has only pre_attn of layer 0; keep this site too"):
        run(model, tokens, parts, [Patch(2, 5, Place("pre_attn", 1))], kept=kept)


def test_a_block_that_a_layer_lacks_is_refused():
    from dataclasses import replace

    whole = decompose(architectures.model("llama"))
    for lacking, site in (({"attention": ()}, "delta_attn"), ({"attention": ()}, "head"), ({"attention": ()}, "post_attn"),
                          ({"feed_forward": ()}, "delta_ffn")):
        less = replace(whole, layers=(replace(whole.layers[0], **lacking),))
        with pytest.raises(ModelUnsupported, match=f"layer 0 has no .*, so there is no {site} to patch"):
            check_site(less, 0, site)
