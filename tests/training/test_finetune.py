"""Looking at a model in the middle of its training changes nothing about the training."""

import random

import numpy as np
import pytest
import torch

from lab.data.dataset import build
from lab.models.adapters import attach, detach
from lab.models.loading import load_base
from lab.randomness import seed_everything
from lab.training.checkpoints import set_aside, spread
from lab.training.finetune import finetune, trainable

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, STEPS = 12, 4


@pytest.fixture(scope="module")
def base():
    return load_base("embedded", device="cpu")


@pytest.fixture(scope="module")
def data(base):
    return build("embedded:facts", base.tokenizer, max_length=64, eval_split=0.1, seed=0, facts=ROWS, answers=16)


def train(base, data, *, lr=5e-3, checkpoints=(), look=None):
    """The last weights, the steps at which `look` was called, and what `finetune` returned."""
    seed_everything(0)
    model, seen = attach(base, r=4, alpha=8.0, targets="all-linear", seed=0), []

    def on_checkpoint(step):
        seen.append((step, model.training, any(module.training for module in model.modules())))
        look(model)

    try:
        trained = finetune(model, base.tokenizer, data.train, data.evaluation, steps=STEPS, batch_size=4, accumulate=1,
                           lr=lr, schedule="constant", warmup=0.0, seed=0, device="cpu", bf16=False, eval_every=STEPS,
                           on_step=lambda step, values: None, checkpoints=checkpoints, on_checkpoint=on_checkpoint)
        return trainable(model), seen, trained
    finally:
        detach(model)


def draws_and_scores(model):
    random.random(), np.random.random(), torch.rand(3)
    torch.nn.functional.dropout(torch.ones(9))
    with torch.no_grad():
        model(input_ids=torch.arange(5, 15)[None])


def test_a_training_that_is_looked_at_ends_with_the_same_weights(base, data):
    alone, seen, _ = train(base, data)
    assert seen == []
    watched, seen, _ = train(base, data, checkpoints=(0, 2, STEPS), look=draws_and_scores)
    assert seen == [(0, False, False), (2, False, False), (STEPS, False, False)]
    assert alone.keys() == watched.keys() and all(torch.equal(alone[name], watched[name]) for name in alone)


def test_at_step_0_the_model_is_the_bare_base_and_at_the_end_the_trained_one(base, data):
    ids, seen = torch.arange(5, 25)[None], []
    with torch.no_grad():
        bare = base.model(input_ids=ids).logits

    def look(model):
        with torch.no_grad():
            seen.append(model(input_ids=ids).logits)

    train(base, data, checkpoints=(0, STEPS), look=look)
    assert torch.equal(seen[0], bare) and not torch.equal(seen[1], bare)


def test_after_a_divergence_nobody_looks_any_more(base, data):
    _, seen, trained = train(base, data, lr=1e30, checkpoints=(0, 1, 2, 3, STEPS), look=lambda model: None)
    assert trained.diverged_at is not None and all(step < trained.diverged_at for step, *_ in seen)


def test_a_model_that_is_set_aside_is_put_back_as_it_was():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)).train()
    model[1].eval()
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    with pytest.raises(ZeroDivisionError), set_aside(model):
        assert not any(module.training for module in model.modules())
        torch.rand(1), random.random(), np.random.random()
        raise ZeroDivisionError
    assert [module.training for module in model] == [True, False] and model.training
    assert torch.equal(state[0], torch.get_rng_state()) and state[1] == random.getstate()
    assert (state[2] == np.random.get_state()[1]).all()


@pytest.mark.parametrize("steps, count, expected", [
    (900, 5, (0, 180, 360, 540, 720, 900)), (10, 3, (0, 3, 7, 10)), (2, 5, (0, 1, 2)), (7, 1, (0, 7)), (1, 4, (0, 1))])
def test_checkpoints_are_evenly_spread_and_the_last_step_is_one(steps, count, expected):
    assert spread(steps, count) == expected
