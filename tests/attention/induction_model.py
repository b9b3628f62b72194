"""An ordinary GPT-2 whose weights are set by hand to the circuit of Olsson et al. 2022 (arXiv 2209.11895)."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

VOCABULARY, COPY, HEADS, WIDTH = 40, 32, 3, 92  # tokens, tokens of one copy, heads of a layer, width of a head
POSITIONS = 2 * COPY
TOKEN, POSITION, BEFORE, NEXT = 0, VOCABULARY, VOCABULARY + POSITIONS, 2 * VOCABULARY + POSITIONS  # in the residual stream
PREVIOUS, INDUCTION = (0, 1), (1, 2)  # layer and head
SHARP = 30.0


def induction_model():
    """Layer 0, head 1 writes each position's previous token beside it; layer 1, head 2 looks for its own token there."""
    size = HEADS * WIDTH
    model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=size, n_layer=2, n_head=HEADS,
                                       tie_word_embeddings=False, bos_token_id=None,
                                       eos_token_id=None)).eval()
    tokens, places = torch.eye(VOCABULARY), torch.eye(POSITIONS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ln_" not in name:
                parameter.zero_()
        model.transformer.wte.weight[:, TOKEN:TOKEN + VOCABULARY] = tokens
        model.transformer.wpe.weight[:, POSITION:POSITION + POSITIONS] = places
        first, second = _Head(model, *PREVIOUS), _Head(model, *INDUCTION)
        first.query[POSITION + 1:POSITION + POSITIONS, :POSITIONS - 1] = SHARP * places[1:, 1:]
        first.key[POSITION:POSITION + POSITIONS, :POSITIONS] = places
        first.value[TOKEN:TOKEN + VOCABULARY, :VOCABULARY] = tokens
        first.output[:VOCABULARY, BEFORE:BEFORE + VOCABULARY] = tokens
        second.query[TOKEN:TOKEN + VOCABULARY, :VOCABULARY] = SHARP * tokens
        second.key[BEFORE:BEFORE + VOCABULARY, :VOCABULARY] = tokens
        second.query_bias[VOCABULARY] = SHARP  # the first position sees only itself and would pass for its own successor
        second.key[POSITION, VOCABULARY] = -SHARP
        second.value[TOKEN:TOKEN + VOCABULARY, :VOCABULARY] = tokens
        second.output[:VOCABULARY, NEXT:NEXT + VOCABULARY] = tokens
        model.lm_head.weight[:, NEXT:NEXT + VOCABULARY] = SHARP * tokens
    return model


class _Head:
    """Views of one head's weights."""

    def __init__(self, model, layer, head):
        attention = model.transformer.h[layer].attn
        size = HEADS * WIDTH
        self.query, self.key, self.value = (
            attention.c_attn.weight[:, part * size + head * WIDTH:part * size + (head + 1) * WIDTH] for part in range(3))
        self.query_bias = attention.c_attn.bias[head * WIDTH:(head + 1) * WIDTH]
        self.output = attention.c_proj.weight[head * WIDTH:(head + 1) * WIDTH]


def said_twice(rows=4, seed=0):
    """Different random tokens, repeated: [rows, 2·COPY]."""
    generator = torch.Generator().manual_seed(seed)
    once = torch.stack([torch.randperm(VOCABULARY, generator=generator)[:COPY] for _ in range(rows)])
    return torch.cat([once, once], dim=1)
