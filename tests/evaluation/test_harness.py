"""Scores through the harness: against plain forward passes, twice, with and without an adapter; and what is refused."""

import numpy as np
import pytest
import torch

from lab.data.suites.item import SuiteItem, Text
from lab.errors import DataError, OptionError
from lab.evaluation import harness, tasks
from lab.models.adapters import attach, detach
from lab.models.loading import load_base

pytestmark = pytest.mark.usefixtures("one_thread")
NUMBER = r"-?\d+"
ITEMS = [
    SuiteItem("math/sum/0", "math", "sum", "sum", "sum", "What is 12+30?", ("42", "41", "52"), 0, NUMBER),
    SuiteItem("math/sum/1", "math", "sum", "sum", "sum", "What is 7+8?", ("16", "15"), 1, NUMBER),
    SuiteItem("math/less/0", "math", "less", "less", "less", "What is 90-4?", ("84", "96", "86", "85"), 2, NUMBER),
]
TEXTS = [Text("text/0", "fact", "We know that Balan lives in Paris."), Text("text/1", "sum", "12+30=42")]


@pytest.fixture(scope="module")
def base():
    return load_base("embedded", device="cpu")


def rendered(base, question):
    turn = [{"role": "user", "content": question}]
    return base.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)


def nats(base, prompt, continuation):
    """Log-likelihood of a continuation, one plain forward pass, summed in float64."""
    encode = base.tokenizer.encode
    before, whole = encode(prompt, add_special_tokens=False), encode(prompt + continuation, add_special_tokens=False)
    with torch.inference_mode():
        logits = base.model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return float(sum(logits[t - 1, whole[t]] for t in range(len(before), len(whole))))


def scored(base, model=None, **kwargs):
    own = harness.own([tasks.ranked("math", ITEMS, chat=True), tasks.greedy("math", ITEMS, chat=True),
                       tasks.rolling("text", TEXTS)])
    return harness.score(model or base.model, base.tokenizer, own, chat=True, **kwargs)


def test_alternatives_are_scored_as_a_plain_forward_pass_scores_them(base):
    found = scored(base).ranked["math"]
    for n, item in enumerate(ITEMS):
        expected = [nats(base, rendered(base, item.question), choice) for choice in item.choices]
        assert found.loglikelihood[n, :len(expected)] == pytest.approx(expected, abs=1e-4)
        assert np.isneginf(found.loglikelihood[n, len(expected):]).all()
    assert found.correct.tolist() == [True, True, True]
    assert found.gold_nll == pytest.approx(-np.log(found.probability[np.arange(3), found.gold]), abs=1e-9)
    assert found.chance == pytest.approx((1 / 3 + 1 / 2 + 1 / 4) / 3)
    assert found.kinds == ["sum", "sum", "less"] and found.names[2] == "math/less/0"


def test_without_a_template_the_question_stands_in_plain_text(base):
    own = harness.own([tasks.ranked("math", ITEMS, chat=False)])
    found = harness.score(base.model, base.tokenizer, own, chat=False).ranked["math"]
    prompt = f"Question: {ITEMS[0].question}\nAnswer:"
    assert found.loglikelihood[0, 0] == pytest.approx(nats(base, prompt, " 42"), abs=1e-4)


def test_answers_are_right_to_the_letter_or_not_and_another_form_is_counted_apart(base):
    found = scored(base).greedy["math"]
    assert list(found.said) == ["42", "15", "86"]
    assert found.exact.all() and not found.misformatted.any()
    worded = [SuiteItem("math/word/0", "math", "word", "word", "word", "What is 12+30?", ("many", "few"), 0, r"[a-z]+")]
    own = harness.own([tasks.greedy("math", worded, chat=True)])
    other = harness.score(base.model, base.tokenizer, own, chat=True).greedy["math"]
    assert other.misformatted.all() and not other.exact.any()  # "42" is no bare word


def test_texts_are_scored_whole_in_bits_per_byte(base):
    found = scored(base).text["text"]
    start = base.tokenizer.decode([base.tokenizer.bos_token_id or base.tokenizer.eos_token_id])
    expected = [-nats(base, start, text.text) for text in TEXTS]
    assert found.nll == pytest.approx(expected, abs=1e-3)
    count = sum(len(text.text.encode()) for text in TEXTS)
    assert found.bits_per_byte == pytest.approx(sum(expected) / np.log(2) / count, abs=1e-4)


def test_twice_gives_the_same_digits_and_a_fresh_adapter_changes_none(base):
    first = scored(base)
    again = scored(base)
    model = attach(base, r=2, alpha=4, seed=0)
    try:
        model.train()
        adapted = scored(base, model)
        assert model.training  # as it was found
    finally:
        detach(model)
    for other in (again, adapted):
        assert np.array_equal(first.ranked["math"].loglikelihood, other.ranked["math"].loglikelihood)
        assert np.array_equal(first.text["text"].nll, other.text["text"].nll)
        assert list(first.greedy["math"].said) == list(other.greedy["math"].said)


def foreign(name, count, **config):
    """A task as the harness's own are, with its rows at hand."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = [{"q": f"What is {n}+1?", "options": [str(n + 1), str(n + 2)], "right": 0, "word": str(n + 1)}
            for n in range(count)]
    metric = {"metric": config.pop("metric", "acc"), "aggregation": "mean", "higher_is_better": True}
    return ConfigurableTask(config={
        "task": name, "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)}, "test_split": "test",
        "doc_to_text": "q", "doc_to_choice": "options", "doc_to_target": "right", "output_type": "multiple_choice",
        "metric_list": [metric], **config})


def test_of_a_named_task_a_seed_draws_the_items_and_its_parts_stand_together(base):
    def found(seed):
        both = {"sums": [foreign("sums_a", 30), foreign("sums_b", 10)]}
        return harness.score(base.model, base.tokenizer, both, chat=True, items=12, seed=seed).ranked["sums"]

    first, again, other = found(0), found(0), found(1)
    assert len(first.names) == 12 and first.names == again.names != other.names
    assert set(first.kinds) == {"sums_a", "sums_b"} and len(set(first.clusters)) == 12
    assert first.accuracy > 0.9


def test_a_named_task_with_exact_answers_is_right_or_wrong(base):
    task = foreign("said", 6, output_type="generate_until", metric="exact_match", doc_to_choice=None, doc_to_target="word",
                   generation_kwargs={"until": ["\n"], "do_sample": False, "max_gen_toks": 8})
    found = harness.score(base.model, base.tokenizer, {"said": [task]}, chat=True).greedy["said"]
    assert found.exact.mean() > 0.8 and not found.misformatted.any()


def test_an_unknown_task_is_refused_with_near_names():
    with pytest.raises(OptionError, match=r"tasks=arc_esy is unknown; did you mean arc_easy"):
        harness.named(["arc_esy"])


def test_a_task_whose_data_is_not_here_is_refused():
    with pytest.raises(DataError, match="tasks=arc_easy: its data is not on this machine"):
        harness.named(["arc_easy"])


def test_a_task_that_judges_no_single_item_is_refused():
    manager = type("Manager", (), {"load": lambda self, names: {"tasks": {"f1": foreign("f1", 3, metric="f1",
                   output_type="generate_until", doc_to_choice=None, doc_to_target="word",
                   generation_kwargs={"until": ["\n"]})}}})()
    with pytest.raises(OptionError, match="tasks=f1: f1 is scored by f1, which says of no single item"):
        harness._loaded(manager, "f1")
