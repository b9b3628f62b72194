import math

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from lab.training.evaluate import evaluate, greedy_answers, split_row

torch.set_num_threads(1)
VOCABULARY = 40


def tiny_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                        num_attention_heads=2, num_key_value_heads=1, head_dim=8, eos_token_id=2))


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    words = {f"w{i}": i for i in range(VOCABULARY)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")), pad_token="w1",
                                   eos_token="w2")


def rows(count: int) -> list[dict]:
    generator = np.random.default_rng(1)
    made = []
    for _ in range(count):
        ids = generator.integers(3, VOCABULARY, generator.integers(4, 12)).tolist()
        trained = int(generator.integers(1, len(ids)))
        made.append({"input_ids": ids, "labels": [-100] * trained + ids[trained:], "trained_bytes": 7})
    return made


def test_losses_equal_one_row_at_a_time_in_float64_whatever_the_batches():
    model, data = tiny_model(), rows(17)
    expected = []
    reference = tiny_model().double()
    for row in data:
        logits = reference(input_ids=torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1).detach()
        expected.append(-sum(float(logits[t - 1, label]) for t, label in enumerate(row["labels"]) if label != -100))
    for size in (1, 40, 10_000):
        found = evaluate(model, data, step=3, pad_id=1, tokens_per_batch=size)
        np.testing.assert_allclose(found.nll, expected, atol=2e-5)
    assert math.isclose(found.loss, sum(expected) / sum(sum(x != -100 for x in r["labels"]) for r in data), rel_tol=1e-5)
    assert math.isclose(found.bits_per_byte, sum(expected) / math.log(2) / (7 * 17), rel_tol=1e-5)


def test_the_training_mode_is_restored():
    model = tiny_model().train()
    evaluate(model, rows(2), step=0, pad_id=1)
    assert model.training


def test_greedy_answers_do_not_depend_on_the_padding_of_their_neighbours():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    prompts = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 3]]
    together = greedy_answers(model, tokenizer, prompts, 6)
    alone = [greedy_answers(model, tokenizer, [prompt], 6)[0] for prompt in prompts]
    assert together == alone and all(together)


def test_a_row_splits_before_its_first_answer_and_ends_with_it():
    row = {"input_ids": [1, 2, 3, 4, 5, 6], "labels": [-100, -100, 3, 4, -100, 6]}
    assert split_row(row) == ([1, 2], [3, 4])


def test_plain_text_is_cut_in_the_middle():
    assert split_row({"input_ids": [1, 2, 3, 4], "labels": [-100, 2, 3, 4]}) == ([1, 2], [3, 4])
