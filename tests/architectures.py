"""Tiny models of many architectures, and their attention in float64 by plain dense formulas: `lab.attention` has no part.

The reference reads whole weight matrices from Transformers' eager attention, of a float64 copy of the model, one prompt
at a time and without any padding. Which keys are visible is not read from the weights but stated here, per layer.
"""

import contextlib
import copy
import re
from functools import cache

import torch
from torch.overrides import TorchFunctionMode

WIDTH, HEADS, GROUPS, VOCABULARY, LENGTH, RECENT = 64, 4, 2, 50, 40, 6
WINDOW, CHUNK, CAP, CAPPED = 7, 12, 2.0, "gemma2"
COMMON = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": 2,
           "num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "max_position_embeddings": 64, "pad_token_id": 0,
           "bos_token_id": 1, "eos_token_id": 2}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS, "n_positions": 64, "n_ctx": 64,
         "bos_token_id": 1, "eos_token_id": 2}
_SLIDING = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}

CONFIGURATIONS = {  # name: Transformers' model type, what differs from COMMON
    "llama": ("llama", {}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3_moe": ("qwen3_moe", {"head_dim": 16, **_EXPERTS}),
    "mistral": ("mistral", {"sliding_window": WINDOW}),
    "gemma2": ("gemma2", {"head_dim": 16, "query_pre_attn_scalar": 16, "attn_logit_softcapping": CAP, **_SLIDING}),
    "gemma3": ("gemma3_text", {"head_dim": 16, "query_pre_attn_scalar": 16, **_SLIDING}),
    "gpt2": ("gpt2", _GPT2),
    "gpt_neox": ("gpt_neox", {}),
    "phi": ("phi", {}),
    "olmo2": ("olmo2", {}),
    "granite": ("granite", {"attention_multiplier": 0.3}),
    "gpt_oss": ("gpt_oss", {"head_dim": 16, **_EXPERTS, **_SLIDING}),
    "deepseek_v3": ("deepseek_v3", {"num_key_value_heads": HEADS, "q_lora_rank": 32, "kv_lora_rank": 16, "v_head_dim": 12,
                                    "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "n_routed_experts": 8, "n_group": 2,
                                    "topk_group": 1, "first_k_dense_replace": 1, **_EXPERTS}),
    "llama4": ("llama4_text", {"head_dim": 16, "attention_chunk_size": CHUNK, "intermediate_size_mlp": 96, **_EXPERTS,
                               "layer_types": ["chunked_attention", "full_attention"], "no_rope_layers": [1, 0]}),
    "bloom": ("bloom", {"n_layer": 2, "n_head": HEADS}),
    "falcon": ("falcon", {"alibi": False, "new_decoder_architecture": False}),
    "falcon_alibi": ("falcon", {"alibi": True, "multi_query": False, "parallel_attn": False}),
    "gptj": ("gptj", {**_GPT2, "rotary_dim": 8}),
    "codegen": ("codegen", {**_GPT2, "rotary_dim": 8}),
    "gpt_neo": ("gpt_neo", {"num_layers": 2, "num_heads": HEADS, "window_size": WINDOW,
                            "attention_types": [[["global", "local"], 1]]}),
    "mpt": ("mpt", {"d_model": WIDTH, "n_heads": HEADS, "n_layers": 2}),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}),
    "qwen3_next": ("qwen3_next", {"head_dim": 16, **_EXPERTS, "layer_types": ["linear_attention", "full_attention"],
                                  "shared_expert_intermediate_size": 32, "linear_num_key_heads": 2,
                                  "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}),
    "diffllama": ("diffllama", {}),
    "doge": ("doge", {}),
}
ROUTED = ("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "phi", "olmo2",
          "granite", "gpt_oss", "deepseek_v3", "llama4")
EAGER = ("bloom", "falcon", "falcon_alibi", "gptj", "codegen", "gpt_neo", "mpt")
HYBRID = ("lfm2", "qwen3_next")  # softmax attention in their second layer only
_SHARP = ("q_proj", "k_proj", "q_b_proj", "kv_b_proj", "c_attn", "Wqkv", "qkv_proj", "query_key_value", "q_norm", "k_norm",
          "q_layernorm", "k_layernorm")


@cache
def model(name):
    """A tiny float32 model with random weights under which attention is far from uniform; not to be changed."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, changes = CONFIGURATIONS[name]
    config = AutoConfig.for_model(kind, **{**COMMON, **changes})
    torch.manual_seed(sum(map(ord, name)))
    made = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for path, weight in made.named_parameters():
            _randomise(path, weight)
    return made


def _randomise(path, weight):
    if weight.dim() >= 2:
        weight.normal_(std=1.0 if "embed" in path or "wte" in path else WIDTH**-0.5)
    else:
        weight.add_(torch.randn_like(weight) * (1.0 if "sinks" in path else 0.2))
    if any(part in path for part in _SHARP):
        weight.mul_(1.6)


class InFloat64(TorchFunctionMode):
    """Lets nothing fall back to float32, as softmax, norms and rotary embeddings do inside Transformers."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        widened = [torch.float64 if value is torch.float32 else value for value in args]
        return function(*widened, **{name: torch.float64 if value is torch.float32 else value
                                     for name, value in (kwargs or {}).items()})


@cache
def exact(name):
    """The same model in float64 with eager attention and eager experts."""
    return widened(model(name))


def widened(made):
    """A copy in float64, built with eager attention and eager experts (their fused product takes no float64)."""
    config = copy.deepcopy(made.config)
    double = type(made)._from_config(config, attn_implementation="eager", experts_implementation="eager").eval()
    double.load_state_dict(made.state_dict())
    return double.double()


ADAPTERS = ("strong", "weak")
_STRENGTH = {"strong": 0.1, "weak": 0.02, "faint": 0.001, "none": 0.0}


def with_adapters(made, names=ADAPTERS):
    """A PEFT model around a copy, with a random LoRA adapter of each name on every linear module that rows can share.

    Args:
        made: A model.
        names: Of `strong`, `weak`, `faint`, and `none`, whose update is zero.
    """
    from peft import LoraConfig, get_peft_model

    from lab.models.anatomy import linear_modules

    made = copy.deepcopy(made)
    mixing = any("experts" in path for path, _ in made.named_modules())
    leaves = sorted({one.leaf for one in linear_modules(made) if one.role == "attention" or not mixing})
    settings = LoraConfig(r=4, lora_alpha=4, target_modules=leaves, fan_in_fan_out="gpt2" in type(made).__name__.lower())
    tuned = get_peft_model(made, settings, names[0])
    for name in names[1:]:
        tuned.add_adapter(name, settings)
    generator = torch.Generator().manual_seed(5)
    for path, weight in tuned.named_parameters():
        if "lora_" in path:
            scale = _STRENGTH[path.split(".")[-2]] if "lora_B" in path else WIDTH**-0.5
            weight.data = (torch.randn(weight.shape, generator=generator) * scale).to(weight)
    return tuned.eval()


@cache
def tuned(name):
    """The tiny model with both adapters on it."""
    return with_adapters(model(name))


@cache
def exactly_tuned(name):
    """The same in float64 with eager attention."""
    return with_adapters(exact(name))


@contextlib.contextmanager
def under(double, adapter):
    """Runs a PEFT model with one adapter, or with none where its name is None."""
    with contextlib.ExitStack() as around:
        if adapter is None:
            around.enter_context(double.disable_adapter())
        else:
            double.set_adapter(adapter)
        yield


@torch.no_grad()
def run(double, tokens):
    """Attention weights by layer [H, Q, K] and logits [T, V] of one prompt [T], in float64."""
    with InFloat64():
        out = double(input_ids=tokens[None], output_attentions=True, use_cache=False)
    assert all(layer.dtype == torch.float64 for layer in out.attentions)
    return [layer[0] for layer in out.attentions], out.logits[0]


@cache
def runs(name, tokens, adapter=None):
    """`run` of a configuration's model on a prompt given as a tuple, with an adapter on it or without."""
    if adapter is None:
        return run(exact(name), torch.tensor(tokens))
    double = exactly_tuned(name)
    with under(double, adapter):
        return run(double.get_base_model(), torch.tensor(tokens))


@torch.no_grad()
def crossed(double, tokens, inputs_of, weights_of):
    """Attention by layer [H, Q, K] on what each layer gets under one adapter, by its weights under another."""
    calls, found = [], []
    plain = double.get_base_model()
    layers = [module for path, module in plain.named_modules() if re.fullmatch(r"(\w+\.)*(layers|h)\.\d+", path)]
    handles = [layer.register_forward_pre_hook(lambda *call: calls.append(call), with_kwargs=True) for layer in layers]
    with under(double, inputs_of):
        run(plain, tokens)
    for handle in handles:
        handle.remove()
    with under(double, weights_of), InFloat64():
        for layer, args, kwargs in calls:
            attention = next(getattr(layer, name) for name in ("self_attn", "attn", "attention", "self_attention")
                             if hasattr(layer, name))
            handle = attention.register_forward_hook(lambda module, given, out: found.append(out[-1][0]))
            layer(*args, **kwargs)
            handle.remove()
    return found


def visible(name, layer, length):
    """[Q, K] of bool: the keys that a layer's queries may attend to in a prompt without padding."""
    query, key = torch.arange(length)[:, None], torch.arange(length)[None]
    causal = key <= query
    if name == "mistral" or (layer == 0 and name in ("gemma2", "gemma3", "gpt_oss")) or (layer == 1 and name == "gpt_neo"):
        return causal & (query - key < WINDOW)
    if name == "llama4" and layer == 0:
        return causal & (query // CHUNK == key // CHUNK)
    return causal


def statistics(weights, tokens, seen, recent=RECENT):
    """Statistics by name, [H], of one prompt, straight from their definitions.

    Args:
        weights: [H, Q, K], of keys; they sum to less than one where there is a learned sink.
        tokens: [T].
        seen: [Q, K] of bool.
        recent: w.
    """
    assert not weights[:, ~seen].any(), "attention outside the stated mask"
    query, key = torch.arange(len(tokens))[:, None], torch.arange(len(tokens))[None]
    mass, visible = weights.sum(-1), seen.sum(-1)
    given = weights / mass[..., None]  # given that a key and not the sink is attended
    entropy = -torch.xlogy(given, given).sum(-1)
    same = seen & (tokens[:, None] == tokens[None]) & (key < query)
    everywhere = torch.ones(len(tokens), dtype=torch.bool)
    values = {
        "entropy": (entropy, everywhere),
        "entropy_share": (entropy / visible.double().log(), visible >= 2),
        "first_token": (weights[..., 0], seen[:, 0] & (query[:, 0] > 0)),
        "distance": ((given * (query - key)).sum(-1), everywhere),
        "recent": ((weights * (query - key < recent)).sum(-1), everywhere),
        "previous_token": ((weights * (key == query - 1)).sum(-1), (seen & (key == query - 1)).any(-1)),
        "duplicate_token": ((weights * same).sum(-1) - same.sum(-1) / visible, same.any(-1)),
        "learned_sink": (1 - mass, everywhere),
    }
    return {name: each[:, counted].mean(-1) for name, (each, counted) in values.items()}


def divergence(one, other):
    """Jensen–Shannon divergence, mean over queries, nats, [H]; what the keys lack to one is the learned sink's.

    Args:
        one: [H, Q, K], float64.
        other: [H, Q, K], float64.
    """
    p, q = (torch.cat([weights, (1 - weights.sum(-1, keepdim=True)).clamp(min=0)], dim=-1) for weights in (one, other))
    middle = (p + q) / 2
    terms = torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle)
    return torch.where(middle > 0, terms, 0).sum(-1).mean(-1) / 2


def prompts(count=2, length=LENGTH, seed=0):
    """[count, length] of tokens, in which some repeat."""
    return torch.randint(3, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(seed))


def padded(rows, side, length=LENGTH):
    """Prompts of several lengths as one batch: tokens [B, T] and which are real [B, T].

    Args:
        rows: Prompts, [T] each.
        side: `left` or `right`, where the padding goes.
        length: T.
    """
    tokens, real = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length, dtype=torch.bool)
    for index, row in enumerate(rows):
        place = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        tokens[index, place], real[index, place] = row, True
    return tokens, real
