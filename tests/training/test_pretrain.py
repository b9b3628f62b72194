"""Pretraining: the same twice, accuracy equal to real decoding, and the shipped weights as good as their card says."""

from types import SimpleNamespace

import pytest
import torch

from lab.data.tokenizer import train_tokenizer, wrap
from lab.data.world import CATEGORIES, distinct_questions
from lab.data.world.documents import render_prompt
from lab.models.references import EMBEDDED
from lab.training.pretrain import build_model, learning_rate_at, pretrain
from lab.training.pretrain_accuracy import RANDOM_COPY, accuracy, answered_exactly, held_out_questions, random_copy

TINY = dict(steps=4, batch_tokens=256, sequence_length=64, width=32, feed_forward=32, layers=1, heads=1, kv_heads=1,
            final_questions=4)  # fmt: skip
BARS = {"knowledge": 0.98, "arithmetic": 0.95, "reasoning": 0.95, "code": 0.90, "copying": 0.99}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shipped():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(EMBEDDED)


def test_the_same_seed_gives_the_same_weights_and_every_step_is_reported():
    heard, evaluated = [], []
    first = pretrain(**TINY, eval_every=2, eval_questions=3, log_every=3,
                     on_step=lambda step, values: heard.append((step, values)),
                     on_eval=lambda step, accuracies, model: evaluated.append((step, set(accuracies))))  # fmt: skip
    second = pretrain(**TINY)
    for (name, a), (_, b) in zip(first.model.named_parameters(), second.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    other = pretrain(**{**TINY, "seed": 1})
    assert not torch.equal(first.model.lm_head.weight, other.model.lm_head.weight)
    assert [step for step, _ in heard] == [1, 2, 3, 4]
    assert set(heard[0][1]) == {"train/loss", "train/grad_norm", "train/learning_rate", "train/tokens_per_second"}
    measured = {*CATEGORIES, RANDOM_COPY}
    assert evaluated == [(2, measured), (4, measured)]
    assert first.steps == 4 and 0 < first.tokens <= 4 * 256
    assert all(found.count == 4 and 0 < found.chance < 1 for found in first.accuracies.values())


def test_saved_weights_are_those_that_were_measured(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trained = pretrain(**TINY)
    trained.save(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for (name, a), (_, b) in zip(trained.model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert tokenizer("What is 12+7?")["input_ids"] == trained.tokenizer("What is 12+7?")["input_ids"]


def test_the_rate_rises_then_falls_to_zero():
    rates = [learning_rate_at(step, steps=100, lr=1.0, warmup=0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0 and all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0.0)


def test_loss_falls():
    losses = []
    pretrain(**{**TINY, "steps": 30, "batch_tokens": 512, "lr": 1e-2, "final_questions": 1},
             on_step=lambda _, values: losses.append(values["train/loss"]))  # fmt: skip
    assert losses[0] == pytest.approx(7.6, abs=0.3)
    assert sum(losses[-5:]) / 5 < losses[0] - 1.5


def decode(model, tokenizer, item):
    ids = tokenizer(render_prompt(item.question), return_tensors="pt")
    made = model.generate(**ids, max_new_tokens=40)
    return tokenizer.decode(made[0, ids["input_ids"].shape[1] :])


def test_one_pass_says_what_greedy_decoding_does(shipped):
    model, tokenizer = shipped
    items = distinct_questions("arithmetic", 40, 1) + distinct_questions("code", 20, 1)
    items = [item for item in items if item.kind in ("multiplication", "sorted", "total", "addition", "span")]
    right = answered_exactly(model, tokenizer, items, batch_tokens=200)
    assert right == [decode(model, tokenizer, item) == item.answer + "<|im_end|>" for item in items]
    assert set(right) == {True, False}


class Copier(torch.nn.Module):
    """Predicts, from the second copy's first token on, what stood `distance` tokens before the next one."""

    device = torch.device("cpu")

    def __init__(self, distance):
        super().__init__()
        self.distance = distance

    def forward(self, input_ids, use_cache):
        guess = torch.zeros_like(input_ids)  # (B, T)
        guess[:, self.distance :] = input_ids[:, 1 : input_ids.shape[1] - self.distance + 1]
        return SimpleNamespace(logits=torch.nn.functional.one_hot(guess, 2048))


def test_copying_is_counted_against_a_model_that_only_copies():
    tokenizer = wrap(train_tokenizer())
    right = random_copy(Copier(32), tokenizer, 41)
    assert dict(right.by_kind) == {"32 tokens": (21, 21), "64 tokens": (0, 20)}
    assert right.share == 21 / 41 and right.chance == 1 / 2044
    assert random_copy(Copier(64), tokenizer, 41).by_kind["64 tokens"] == (20, 20)
    assert random_copy(Copier(31), tokenizer, 41).correct == 0
    assert random_copy(Copier(32), tokenizer, 1).count == 1


def test_the_shipped_weights_pass_their_bars(shipped):
    found = accuracy(*shipped, held_out_questions(100))
    for category, bar in BARS.items():
        # Three standard errors of a hundred questions: the bars themselves are held on a thousand, in the card.
        slack = 3 * (bar * (1 - bar) / 100) ** 0.5
        assert found[category].share >= bar - slack, category
        assert found[category].share > found[category].chance


def test_the_shipped_weights_copy_any_tokens(shipped):
    assert random_copy(*shipped, 100).share >= 0.97


def test_the_shipped_model_is_small_and_in_bfloat16(shipped):
    from safetensors import safe_open

    path = EMBEDDED / "model.safetensors"
    assert path.stat().st_size <= 12_000_000
    assert 3_000_000 <= shipped[0].num_parameters() <= 6_000_000
    with safe_open(path, "pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"BF16"}  # noqa: SIM118


def test_the_model_is_what_its_arguments_say():
    tokenizer = wrap(train_tokenizer())
    model = build_model(tokenizer, width=64, feed_forward=96, layers=2, heads=4, kv_heads=2)
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.weight.shape == (4 * 32, 64) and attention.k_proj.weight.shape == (2 * 32, 64)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert len(model.model.layers) == 2
