"""Drift in words: what is read stands beside its null, and unusual cases are said as what they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.data.suites.item import Text
from lab.evaluation import drift as measured
from lab.evaluation import drift_forwards as forwards
from lab.models.loading import load_base
from lab.studies import forgetting_drift as words

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [Text("story/0", "story", "The tallest one is Alda, and Alda lives in the old town of Brin."),
         Text("story/1", "story", "Cora is taller than Dill. Dill is taller than Edda."),
         Text("sum/0", "sum", "17 plus 25 is 42. 17 plus 25 is 42."), Text("sum/1", "sum", "print(1 | 2)\nprint(1 | 2)")]


@pytest.fixture(scope="module")
def tokenizer():
    return load_base("embedded", device="cpu", dtype="float32").tokenizer


@pytest.fixture(scope="module")
def pair(tokenizer):
    """Drift of a random adapter, and of rounding alone."""
    from peft import LoraConfig, get_peft_model

    base = load_base("embedded", device="cpu", dtype="float32")
    model = get_peft_model(base.model, LoraConfig(r=2, target_modules=["q_proj", "down_proj"])).eval()
    generator = torch.Generator().manual_seed(0)
    for path, weight in model.named_parameters():
        if "lora_B" in path:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    documents, bare = measured.encode(TEXTS, tokenizer), forwards.reader(model, adapter=False)
    return (measured.measure(documents, bare, forwards.reader(model)),
            measured.measure(documents, bare, forwards.reader(model, adapter=False, padding=forwards.PADDING)))


def test_the_section_says_the_drift_beside_what_rounding_makes(pair, tokenizer):
    heading, text = words.section(*pair, tokenizer)
    drift, null = pair
    assert heading == "Where did it change its mind?"
    assert f"is {drift.kl[drift.good].mean():.3g} nats per token (" in text
    assert f"rounding alone makes {null.kl[drift.good].mean():.2g}" in text and "no more than rounding" not in text
    assert f"At {drift.good.sum()} of them" in text and "above 0.5" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines[:4]}) == 1


def test_rows_are_the_positions_they_name(pair, tokenizer):
    drift = pair[0]
    rows = words.largest_rows(drift, tokenizer, 4)
    assert [row["KL (nats)"] for row in rows] == sorted((row["KL (nats)"] for row in rows), reverse=True)
    assert rows[0]["KL (nats)"] == pytest.approx(drift.kl[drift.good].max())
    kinds = words.kind_rows(*pair)
    assert [row["kind"] for row in kinds] == ["story", "sum", "all kinds"]
    assert sum(row["tokens"] for row in kinds[:2]) == kinds[2]["tokens"] == len(drift.kl)
    assert kinds[2]["KL (nats/token)"] == pytest.approx(drift.kl[drift.good].mean())
    assert kinds[2]["texts"] == 4 and kinds[2]["rounding alone (nats/token)"] < 1e-6


def test_metrics_are_the_means(pair):
    drift, null = pair
    found = words.metrics(drift, null)
    assert found["forgetting/drift_good_nats"] == pytest.approx(drift.kl[drift.good].mean())
    assert found["forgetting/drift_all_nats"] == pytest.approx(drift.kl.mean())
    assert found["forgetting/drift_changed_share"] == pytest.approx(drift.changed[drift.good].mean())
    assert found["forgetting/drift_good_share"] == pytest.approx(drift.good.mean())
    assert found["forgetting/drift_rounding_nats"] == pytest.approx(null.kl[drift.good].mean())
    assert set(words.metrics(replace(drift, bar=0.999999999), None)) == {"forgetting/drift_all_nats",
                                                                         "forgetting/drift_good_share"}


def test_no_change_and_no_more_than_rounding_are_said(pair, tokenizer):
    drift, _ = pair
    same = replace(drift, kl=np.zeros_like(drift.kl), tuned_top=drift.base_top)
    _, text = words.section(same, same, tokenizer)
    assert "the base's to the last bit" in text and "|" not in text.replace("‖", "")
    assert "so this is no more than rounding" in words.section(drift, drift, tokenizer)[1]
    _, text = words.section(replace(drift, bar=0.999999999), None, tokenizer)
    assert "nothing it was good at" in text and "rounding" not in text


def test_a_cell_keeps_marks_of_markdown_and_line_breaks():
    assert words._code("a\n`b`") == "`` a↵`b` ``" and words._code("<|end|>") == "`<|end|>`"
