"""Statistics and divergence of many architectures against float64 eager attention of each prompt alone."""

import pytest
import torch

from lab.attention.compare import compare
from lab.attention.measure import measure
from lab.attention.routing import routes
from tests import architectures as reference
from tests.architectures import ADAPTERS, EAGER, HYBRID, LENGTH, RECENT, ROUTED

NAMES = (*ROUTED, *EAGER, *HYBRID)
ROWS = reference.prompts()
SHORT = [ROWS[0], ROWS[1][:23], ROWS[0][5:14], ROWS[1][:1]]


pytestmark = pytest.mark.usefixtures("one_thread")


def batch(padding):
    """Prompts, and how they are given: tokens and which are real."""
    return (list(ROWS), ROWS, None) if padding is None else (SHORT, *reference.padded(SHORT, padding))


def softmax_layers(name):
    """Indices of the layers that the reference has weights of."""
    return [1] if name in HYBRID else [0, 1]


def assert_close(got, expected, bound):
    assert torch.equal(got.isnan(), expected.isnan())
    error = ((got - expected).abs() / expected.abs().clamp(min=1)).nan_to_num(0)
    assert float(error.max()) < bound, float(error.max())


@pytest.mark.parametrize(("name", "padding"), [*((name, padding) for name in NAMES for padding in (None, "left")),
                                               *((name, "right") for name in ("mistral", "gpt2", "llama4", "bloom"))])
def test_statistics_and_logits_equal_those_of_each_prompt_alone_in_float64(name, padding):
    rows, tokens, real = batch(padding)
    measured = measure(reference.model(name), tokens, real, recent=RECENT, keep_logits=True)
    for index, row in enumerate(rows):
        weights, logits = reference.runs(name, tuple(row.tolist()))
        at = slice(None) if real is None else real[index]
        assert_close(measured.logits[index][at].double(), logits, 1e-4)
        for layer, each in zip(softmax_layers(name), weights, strict=True):
            expected = reference.statistics(each, row, reference.visible(name, layer, len(row)))
            assert set(measured.statistics) == set(expected)
            for statistic, values in expected.items():
                assert_close(measured.statistics[statistic][index, layer], values, 1e-5)


@pytest.mark.parametrize("padding", [None, "left"])
@pytest.mark.parametrize("name", NAMES)
def test_divergence_equals_that_of_separate_float64_forwards(name, padding):
    rows, tokens, real = batch(padding)
    compared = compare(reference.tuned(name), ADAPTERS, tokens, real, recent=RECENT)
    for index, row in enumerate(rows):
        base = reference.runs(name, tuple(row.tolist()))[0]
        for number, adapter in enumerate(ADAPTERS):
            weights = reference.runs(name, tuple(row.tolist()), adapter)[0]
            for layer, one, other in zip(softmax_layers(name), base, weights, strict=True):
                got, expected = compared.divergence[number, index, layer], reference.divergence(one, other)
                assert float((got - expected).abs().max()) < 1e-6
                assert bool(((got - expected).abs() <= 1e-3 * expected)[expected > 1e-6].all())
                for statistic, values in reference.statistics(other, row, reference.visible(name, layer, len(row))).items():
                    assert_close(compared.tuned[statistic][number, index, layer], values, 1e-5)
                if len(row) > 1:
                    assert float(expected.min()) > 1e-5, "the adapters have to change what is compared"


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma2", "gpt_neo"])
def test_faint_changes_keep_their_digits(name):
    compared = compare(reference.with_adapters(reference.model(name), ("faint",)), ["faint"], ROWS)
    double = reference.with_adapters(reference.exact(name), ("faint",))
    with reference.under(double, "faint"):
        weights = reference.run(double.get_base_model(), ROWS[0])[0]
    base = reference.runs(name, tuple(ROWS[0].tolist()))[0]
    expected = torch.stack([reference.divergence(*pair) for pair in zip(base, weights, strict=True)])
    assert 1e-7 < float(expected.min()) < 1e-5
    torch.testing.assert_close(compared.divergence[0, 0], expected, atol=1e-9, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_references_are_worth_being_held_to(name):
    weights = reference.runs(name, tuple(ROWS[0].tolist()))[0]
    for layer, each in zip(softmax_layers(name), weights, strict=True):
        seen = reference.visible(name, layer, LENGTH)
        found = reference.statistics(each, ROWS[0], seen)
        assert float(found["entropy_share"].max()) < 0.95
        assert float(found["entropy"].std()) > 0.005, "heads differ"
        assert bool((each[:, seen] > 0).all())
        assert bool((found["learned_sink"] > 1e-3).all()) == (name == "gpt_oss")


@pytest.mark.parametrize("name", HYBRID)
def test_layers_without_softmax_attention_have_no_statistics(name):
    measured = measure(reference.model(name), ROWS)
    compared = compare(reference.tuned(name), ADAPTERS, ROWS)
    for values in (*measured.statistics.values(), measured.uniform["entropy"][..., None], compared.divergence,
                   compared.direct, compared.inherited, compared.output_change):
        assert values[..., 0, :].isnan().all()
    assert not measured.statistics["entropy"][:, 1].isnan().any()
    assert not compared.inherited[:, :, 1].isnan().any()


def test_the_soft_cap_bites():
    capped = reference.model("gemma2")
    without = reference.copy.deepcopy(capped)
    for layer in without.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    one, other = (measure(each, ROWS).statistics["entropy"] for each in (capped, without))
    assert float((one - other).abs().min()) > 0.1


def test_windows_and_chunks_are_shorter_than_the_text():
    def first(name):
        return measure(reference.model(name), ROWS).uniform["distance"][0, 0]

    whole = first("llama")
    assert first("mistral") == first("gemma3") < whole / 2
    assert first("llama4") < whole / 2


@pytest.mark.parametrize("name", ROUTED)
def test_recent_keys_and_the_learned_sink_sum_to_one(name):
    found = measure(reference.model(name), *reference.padded(SHORT, "left"), recent=LENGTH).statistics
    torch.testing.assert_close(found["recent"] + found["learned_sink"], torch.ones(len(SHORT), 2, reference.HEADS).double(),
                               atol=1e-6, rtol=0)
    assert bool((found["learned_sink"] > 0).all()) == (name == "gpt_oss")


@pytest.mark.parametrize("name", NAMES)
def test_an_update_of_zero_changes_nothing(name):
    compared = compare(reference.with_adapters(reference.model(name), ("none",)), ["none"], *reference.padded(SHORT, "left"))
    layers = softmax_layers(name)
    for values in (compared.divergence, compared.direct, compared.inherited):
        assert torch.equal(values[:, :, layers], torch.zeros_like(values[:, :, layers]))
    assert all(torch.equal(compared.base[key].nan_to_num(9), compared.tuned[key][0].nan_to_num(9)) for key in compared.base)
    change = compared.output_change[:, :, layers]
    assert change.isnan().all() if name in EAGER else torch.equal(change, torch.zeros_like(change))


@pytest.mark.parametrize(("name", "expected"), [(name, name not in EAGER) for name in NAMES])
def test_which_architectures_route(name, expected):
    assert routes(reference.model(name)) is expected
