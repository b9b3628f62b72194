"""Drift is KL(base ‖ tuned): held to float64, to identities, and to what its words say. Two forwards of one PEFT model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.data.suites.item import Text
from lab.errors import DataError, ModelUnsupported, OptionError
from lab.evaluation import drift as measured
from lab.evaluation import drift_forwards as forwards
from lab.evaluation import drift_readings as readings
from lab.evaluation.drift import Document
from lab.models.loading import load_base
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("llama", "gpt2", "bloom", "mistral", "lfm2")
TEXTS = [Text("story/0", "story", "The tallest one is Alda, and Alda lives in the old town of Brin."),
         Text("story/1", "story", "Cora is taller than Dill. Dill is taller than Edda."),
         Text("sum/0", "sum", "17 plus 25 is 42.")]


def random_documents(count=3, length=24):
    rows = architectures.prompts(count, length)
    return [Document(f"d{n}", "ab"[n % 2], row[:length - 3 * n]) for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def pair():
    """A PEFT model with a strong adapter, and its documents."""
    return architectures.with_adapters(architectures.model("llama"), ("strong",)), random_documents()


@pytest.fixture(scope="module")
def drift(pair):
    model, documents = pair
    return measured.measure(documents, forwards.reader(model, adapter=False), forwards.reader(model), bar=0.03)


def exact(name, documents, adapter="strong"):
    """KL [N] and both log-probabilities [N, V] of the same adapter in float64, by the textbook formula."""
    double, found = architectures.with_adapters(architectures.exact(name), (adapter,)), []
    for document in documents:
        pair = []
        for on in (None, adapter):
            with architectures.under(double, on), torch.no_grad(), architectures.InFloat64():
                pair.append(double(input_ids=document.ids[None], use_cache=False).logits[0, :-1].log_softmax(-1))
        found.append(torch.stack(pair))
    base, tuned = torch.cat(found, 1)
    return (base.exp() * (base - tuned)).sum(-1).numpy(), base.numpy(), tuned.numpy()


@pytest.mark.parametrize("name", NAMES)
def test_the_divergence_is_that_of_float64(name):
    model, documents = architectures.with_adapters(architectures.model(name), ("strong",)), random_documents()
    found = measured.measure(documents, forwards.reader(model, adapter=False), forwards.reader(model))
    kl, base, tuned = exact(name, documents)
    assert kl.max() > 1e-4
    np.testing.assert_allclose(found.kl, kl, rtol=2e-3, atol=1e-8)
    rows = np.arange(len(kl))
    np.testing.assert_allclose(found.base_probability, np.exp(base)[rows, found.following], rtol=1e-3)
    np.testing.assert_allclose(found.tuned_top_probability, np.exp(tuned).max(-1), rtol=1e-3)
    np.testing.assert_array_equal(found.base_top, base.argmax(-1))


def test_positions_are_those_of_the_tokens_that_follow(drift, pair):
    assert len(drift.kl) == sum(len(one.ids) - 1 for one in pair[1])
    for document, position, following in zip(drift.document, drift.position, drift.following, strict=True):
        assert pair[1][document].ids[position + 1] == following
    np.testing.assert_array_equal(drift.good, drift.base_probability > 0.03)
    assert 0 < drift.good.sum() < len(drift.kl) and set(drift.kinds) == {"a", "b"}


def test_no_update_is_exactly_no_drift():
    model = architectures.with_adapters(architectures.model("llama"), ("none",))
    found = measured.measure(random_documents(), forwards.reader(model, adapter=False), forwards.reader(model), bar=0)
    assert not found.kl.any() and not found.changed.any()
    reading = readings.read(found, found.good)
    assert (reading.kl.value, reading.kl.low, reading.kl.high) == (0, 0, 0) == (
        reading.changed.value, reading.changed.low, reading.changed.high)
    assert readings.histogram(found.kl)[0] == len(found.kl) and not readings.histogram(found.kl)[1:].any()
    assert readings.largest(found, None) == []


def test_swapped_it_is_the_divergence_the_other_way_round(pair, drift):
    model, documents = pair
    swapped = measured.measure(documents, forwards.reader(model), forwards.reader(model, adapter=False))
    _, base, tuned = exact("llama", documents)
    np.testing.assert_allclose(swapped.kl, (np.exp(tuned) * (tuned - base)).sum(-1), rtol=2e-3, atol=1e-8)
    np.testing.assert_array_equal(swapped.tuned_top, drift.base_top)
    assert abs(swapped.kl - drift.kl).max() > 1e-3


def test_the_adapter_is_on_again_afterwards(pair):
    model, documents = pair
    before = forwards.reader(model)(documents[0].ids)
    forwards.reader(model, adapter=False)(documents[0].ids)
    assert torch.equal(before, forwards.reader(model)(documents[0].ids))


def test_blocks_of_one_position_make_no_difference(pair, drift):
    model, documents = pair
    found = measured.measure(documents, forwards.reader(model, adapter=False), forwards.reader(model), bar=0.03, budget=1)
    np.testing.assert_allclose(found.kl, drift.kl, rtol=1e-5)
    np.testing.assert_array_equal(found.tuned_top, drift.tuned_top)


def test_a_small_divergence_over_a_large_vocabulary_keeps_its_digits_and_its_sign():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(4, 152_000, generator=generator, dtype=torch.float64)
    for size in (1e-4, 1e-2, 1.0, 30.0):
        other = logits + size * torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        one, two = logits.float().double(), other.float().double()
        one, two = one.log_softmax(-1), two.log_softmax(-1)
        truth = (one.exp() * (one - two)).sum(-1)
        found = measured.divergence(logits.float().log_softmax(-1), other.float().log_softmax(-1))
        assert bool((found >= -1e-7).all())
        np.testing.assert_allclose(found.numpy(), truth.numpy(), rtol=3e-3)


def test_tokens_without_any_probability_add_nothing():
    off, never = float("-inf"), torch.tensor([float("-inf"), 0.0]).log_softmax(-1)
    half = torch.tensor([0.0, 0.0, off]).log_softmax(-1)
    assert measured.divergence(half, half) == 0 == measured.divergence(never, never)
    sure = torch.tensor([off, 0.0, off]).log_softmax(-1)
    assert measured.divergence(sure, half) == pytest.approx(np.log(2))
    assert measured.divergence(half, sure) == float("inf")


def test_logits_kept_on_disk_are_the_same_to_the_bit(pair, drift):
    model, documents = pair
    with forwards.kept(documents, forwards.reader(model, adapter=False)) as base:
        found = measured.measure(documents, base, forwards.reader(model), bar=0.03)
        with pytest.raises(OptionError, match="was not kept"):
            base(documents[0].ids[:-1])
    for name in ("kl", "base_probability", "tuned_top", "base_top_probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(drift, name))


def test_bfloat16_logits_are_kept_as_they_are(pair):
    def rounded(ids):
        return forwards.reader(pair[0])(ids).bfloat16()

    size = sum(len(one.ids) * architectures.VOCABULARY * 2 for one in pair[1])
    with forwards.kept(pair[1], rounded, budget=size) as base:
        assert torch.equal(base(pair[1][0].ids), rounded(pair[1][0].ids))
        assert not measured.measure(pair[1], base, rounded).kl.any()


def test_the_disk_holds_no_more_than_its_budget(pair):
    model, documents = pair
    size = architectures.VOCABULARY * 4
    with pytest.raises(OptionError, match="2 of 3 documents take"), \
            forwards.kept(documents, forwards.reader(model), budget=size * 30):
        pass
    assert [one.name for one in forwards.within(documents, architectures.VOCABULARY, budget=size * 45)] == ["d0", "d1"]
    four = [*documents, Document("d3", "c", documents[0].ids)]
    assert [one.name for one in forwards.within(four, 1)] == ["d0", "d1", "d3", "d2"]
    with pytest.raises(OptionError, match="of one document"):
        forwards.within(documents, architectures.VOCABULARY, budget=size)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing_but_rounding(name):
    model = architectures.with_adapters(architectures.model(name), ("strong",))
    bare = forwards.reader(model, adapter=False)
    null = measured.measure(random_documents(), bare, forwards.reader(model, adapter=False, padding=forwards.PADDING))
    assert null.kl.max() < 1e-9 and not null.changed.any()


def test_texts_are_read_as_the_tokenizer_writes_them():
    base = load_base("embedded", device="cpu", dtype="float32")
    documents = measured.encode(TEXTS, base.tokenizer, longest=10)
    assert [len(one.ids) for one in documents][:2] == [10, 10] and documents[0].left_out > 0
    assert documents[0].ids.tolist() == base.tokenizer(TEXTS[0].text).input_ids[:10]
    assert forwards.longest(base.model) == 512 and forwards.longest(base.model, 5000) == 1024 - forwards.PADDING
    with pytest.raises(DataError, match="text x has 1 tokens"):
        measured.encode([Text("x", "k", "a")], base.tokenizer)
    with pytest.raises(DataError, match="no text"):
        measured.encode([], base.tokenizer)
    with pytest.raises(OptionError, match="longest=1"):
        measured.encode(TEXTS, base.tokenizer, longest=1)


def test_what_cannot_be_compared_is_said(pair):
    model, documents = pair
    plain = forwards.reader(model)
    with pytest.raises(ModelUnsupported, match="one vocabulary"):
        measured.measure(documents, plain, lambda ids: plain(ids)[:, :-1])
    with pytest.raises(ModelUnsupported, match="not finite"):
        measured.measure(documents, plain, lambda ids: plain(ids) * float("nan"))
    with pytest.raises(OptionError, match="bar=1"):
        measured.measure(documents, plain, plain, bar=1)
    with pytest.raises(ModelUnsupported, match="no adapter that could be switched off"):
        forwards.reader(architectures.model("llama"), adapter=False)


def test_means_are_over_positions_and_intervals_over_documents(drift):
    everywhere = np.ones(len(drift.kl), bool)
    reading = readings.read(drift, everywhere)
    assert reading.kl.value == pytest.approx(drift.kl.mean()) and reading.positions == len(drift.kl)
    assert reading.kl.low < reading.kl.value < reading.kl.high and "documents (n=3)" in reading.kl.covers
    means = [drift.kl[drift.document == n].mean() for n in range(3)]
    assert min(means) <= reading.kl.low + 1e-6 and reading.kl.high <= max(means) + 1e-6
    assert reading.changed.value == pytest.approx(drift.changed.mean())
    kinds = readings.by_kind(drift)
    assert list(kinds) == ["a", "b"] and sum(one.positions for one in kinds.values()) == drift.good.sum()
    only = drift.good & (drift.kinds == "b")
    assert kinds["b"].kl.value == pytest.approx(drift.kl[only].mean()) and np.isnan(kinds["b"].kl.low)  # one document


def test_no_position_above_the_bar_has_no_mean(drift):
    reading = readings.read(drift, np.zeros(len(drift.kl), bool))
    assert reading.positions == reading.documents == 0 and np.isnan(reading.kl.value) and np.isnan(reading.changed.value)


def test_no_changed_choice_in_a_few_documents_is_no_certainty(drift):
    alike = replace(drift, tuned_top=drift.base_top)
    share = readings.read(alike, np.ones(len(drift.kl), bool)).changed
    assert (share.value, share.low) == (0, 0) and share.high == pytest.approx(1 - 0.025 ** (1 / 3))


def test_the_histogram_holds_every_position(drift):
    counts = readings.histogram(np.array([0, 1e-12, 2e-8, 0.5, 1e9]))
    assert counts.sum() == 5 and counts[0] == 2 and counts[-1] == 1 and counts[(readings.EDGES > 0.5).argmax() - 1] == 1
    assert readings.histogram(drift.kl).sum() == len(drift.kl)


def test_the_largest_changes_are_named_with_their_words():
    from peft import LoraConfig, get_peft_model

    base = load_base("embedded", device="cpu", dtype="float32")
    model = get_peft_model(base.model, LoraConfig(r=2, target_modules=["q_proj", "down_proj"])).eval()
    torch.manual_seed(0)
    for path, weight in model.named_parameters():
        if "lora_B" in path:
            weight.data.normal_(std=0.2)
    documents = measured.encode(TEXTS, base.tokenizer)
    found = measured.measure(documents, forwards.reader(model, adapter=False), forwards.reader(model))
    changes = readings.largest(found, base.tokenizer, count=3, per_document=1)
    allowed = [found.kl[found.good & (found.document == n)].max() for n in range(3) if found.good[found.document == n].any()]
    assert [one.kl for one in changes] == pytest.approx(sorted(allowed, reverse=True)) and changes
    assert len({one.document for one in changes}) == len(changes)
    for one in changes:
        text = next(text.text for text in TEXTS if text.name == one.document)
        assert one.context + one.following.replace("␣", " ").replace("↵", "\n") in text
        assert one.base_probability > 0.5 and one.base_says == one.following
        assert one.base_says_probability == one.base_probability
    assert len(readings.largest(found, base.tokenizer, count=50)) <= 6
