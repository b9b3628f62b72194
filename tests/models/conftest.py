"""Tiny models: random weights, two layers, a byte tokenizer; made once, on one thread, without network."""

from pathlib import Path
from types import SimpleNamespace

import pytest

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The URI of a tracking store, made at its first use and shared by the tests of this room."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(autouse=True)
def quiet(store, tmp_path_factory, monkeypatch):
    """Every test has its own cache, one thread, and a store that is not the user's."""
    import torch

    monkeypatch.setenv("LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    torch.set_num_threads(1)


def byte_tokenizer(special=SPECIAL, pad="<|pad|>"):
    """A tokenizer with one token per byte (ids 0 to 255) and the special tokens behind them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    rules = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    rules.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rules.decoder = decoders.ByteLevel()
    rules.add_special_tokens(list(special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=rules, eos_token="<|im_end|>", pad_token=pad)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_model(seed=0, **changes):
    """A Qwen3 of two layers with random weights, in bfloat16."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    settings = {"vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
                "tie_word_embeddings": True, "initializer_range": 0.3}
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**{**settings, **changes})).to(torch.bfloat16)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """A function that writes a tiny model folder and returns its path; equal arguments give the same folder."""
    made: dict[tuple, Path] = {}

    def make(seed=0, **changes):
        key = seed, *sorted(changes.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("model")
            tiny_model(seed, **changes).save_pretrained(made[key])
            byte_tokenizer().save_pretrained(made[key])
        return made[key]

    return make


@pytest.fixture(scope="session")
def tiny():
    """The makers of tiny parts: `tiny.model(seed, **changes)` and `tiny.tokenizer(special, pad)`."""
    return SimpleNamespace(model=tiny_model, tokenizer=byte_tokenizer)


@pytest.fixture(scope="session")
def folder(make_model):
    """A tiny model folder; not to be changed."""
    return make_model()


@pytest.fixture
def ids():
    """Two rows of token ids, B T."""
    import torch

    return torch.arange(24).reshape(2, 12) * 7 % 256


@pytest.fixture
def train():
    """A function that moves the trainable weights by a few steps of SGD and returns the losses."""
    import torch

    def run(model, ids, steps=3, lr=0.1):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
        model.train()
        losses = []
        for _ in range(steps):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        model.eval()
        return losses

    return run


@pytest.fixture
def logits():
    """A function: logits of a model on ids, B T V."""
    import torch

    def compute(model, ids, **options):
        with torch.no_grad():
            return model.eval()(input_ids=ids, **options).logits

    return compute
