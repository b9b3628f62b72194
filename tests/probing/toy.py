"""A decoder whose layers do exactly what a test says, around the embedding and head of a tiny Llama."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

WIDTH, TOKENS = 32, 12


class ToyLayer(torch.nn.Module):
    """A layer with an attention-like and a feed-forward-like part; `rule` says how they reach the stream."""

    def __init__(self, rule):
        super().__init__()
        self.input_norm, self.mid_norm = torch.nn.LayerNorm(WIDTH), torch.nn.LayerNorm(WIDTH)
        self.self_attn, self.mlp, self.shared_mlp = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.gain = torch.nn.Parameter(torch.rand(WIDTH) + 0.5)
        self.rule = rule

    def forward(self, hidden_states, *args, **kwargs):
        return self.rule(self, hidden_states)


def sequential(layer, x):
    x = x + layer.self_attn(layer.input_norm(x))
    return x + layer.mlp(layer.mid_norm(x))


def parallel(layer, x):
    normed = layer.input_norm(x)
    return x + layer.self_attn(normed) + layer.mlp(normed)


def scaled(layer, x):
    x = x + layer.self_attn(layer.input_norm(x)) * 0.37
    return x + layer.mlp(layer.mid_norm(x)) * 1.6


def nearly_one(layer, x):
    x = x + layer.self_attn(layer.input_norm(x))
    return x + layer.mlp(layer.mid_norm(x)) * 0.985


def two_branches(layer, x):
    x = x + layer.self_attn(layer.input_norm(x))
    return x + layer.mlp(layer.mid_norm(x)) + layer.shared_mlp(layer.mid_norm(x))


def writes_into_output(layer, x):
    normed = layer.input_norm(x)
    fed, attended = layer.mlp(normed), layer.self_attn(normed)
    fed += attended
    return fed + x


def writes_into_input(layer, x):
    x += layer.self_attn(layer.input_norm(x))
    return x + layer.mlp(layer.mid_norm(x))


def gained(layer, x):
    return x + layer.gain * layer.self_attn(layer.input_norm(x)) + layer.mlp(layer.mid_norm(x))


def post_norm(layer, x):
    x = layer.input_norm(x + layer.self_attn(x))
    return layer.mid_norm(x + layer.mlp(x))


def only_mixes(layer, x):
    return x + layer.self_attn(layer.input_norm(x))


def only_feeds(layer, x):
    return x + layer.mlp(layer.mid_norm(x))


def nothing(layer, x):
    return x.clone()


def feeds_twice(layer, x):
    x = x + layer.self_attn(layer.input_norm(x))
    layer.mlp(x)
    return x + layer.mlp(layer.mid_norm(x))


def faint_feed_forward(layer, x):
    x = x + layer.self_attn(layer.input_norm(x)) * 4
    return x + layer.mlp(layer.mid_norm(x)) * 0.03


def toy(*rules, dtype=torch.float32):
    """A causal language model with a layer for each rule."""
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=50, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=len(rules), num_attention_heads=4,
        max_position_embeddings=64))
    model.model.layers = torch.nn.ModuleList([ToyLayer(rule) for rule in rules])
    return model.to(dtype).eval()


def some_tokens(rows=2, length=TOKENS):
    return torch.randint(0, 50, (rows, length), generator=torch.Generator().manual_seed(9))
