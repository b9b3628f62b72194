"""A tiny randomly initialised model of every architecture that Transformers lists for causal language modelling."""

import json
import logging
import sys
import warnings

import torch

LARGEST = 3e7  # parameters; what stays larger has parts that no option makes small
_SMALL = {
    "vocab_size": 64,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embedding_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "d_ff", "n_inner", "dff",
                     "feed_forward_size", "d_inner"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers",
                     "num_encoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
                     "encoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    "num_key_value_heads": 2, "head_dim": 8, "moe_intermediate_size": 16, "num_experts_per_tok": 2,
    "shared_expert_intermediate_size": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}
_LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
           "num_key_value_heads": 4, "head_dim": None, "n_group": 1, "topk_group": 1}
_HYBRID = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8}
_OWN = {  # what an architecture needs beside; None takes a value back out
    "bamba": {**_HYBRID, "attn_layer_indices": [1]},
    "granitemoehybrid": {**_HYBRID, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 24},
    "granitemoeshared": {"shared_intermediate_size": 24},
    "granite": {"residual_multiplier": 0.22},
    "codegen": {"rotary_dim": 4}, "gptj": {"rotary_dim": 4},
    "falcon": {"head_dim": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gemma3n_text": {"layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0,
                     "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 64, "laurel_rank": 4,
                     "activation_sparsity_pattern": [0.0, 0.0]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"]},
    "reformer": {"is_decoder": True, "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attention_head_size": 8,
                 "attn_layers": ["local", "local"]},
    "olmo_hybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "gemma4_text": {"vocab_size_per_layer_input": 64, "hidden_size_per_layer_input": 8, "global_head_dim": 8},
    "zaya": {"num_experts_per_tok": 1},
    "falcon_h1": {**_HYBRID, "mamba_d_ssm": 64, "mamba_chunk_size": 16},
    "nemotron_h": {"ssm_state_size": 8, "chunk_size": 16},
    "longcat_flash": {"head_dim": 8, "ffn_hidden_size": 48, "expert_ffn_hidden_size": 16, "n_routed_experts": 4,
                      "zero_expert_num": 2, "moe_topk": 2, "num_layers": 2},
    "dbrx": {"ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
             "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "prophetnet": {"num_hidden_layers": None, "num_layers": None, "is_decoder": True},
    "xmod": {"default_language": "en_XX"},
}


def outcome(kind: str) -> tuple[str, str]:
    """What becomes of an architecture: `closes`, `refused` or `not built`, and how or why."""
    from lab.errors import LabError
    from lab.probing.decomposition import decompose

    try:
        model = build(kind)
        with torch.no_grad():
            model(input_ids=torch.randint(3, 64, (2, 16), generator=torch.Generator().manual_seed(1)), use_cache=False)
    except Exception as error:
        return "not built", f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    try:
        found = decompose(model)
    except LabError as error:
        return "refused", str(error)
    return "closes", described(found)


def described(found) -> str:
    """What every layer's attention and feed-forward add, equal layers once: `self_attn | mlp`."""
    return "; ".join(dict.fromkeys(
        f"{_sum(parts.attention)} | {_sum(parts.feed_forward)}{' (parallel)' if parts.virtual else ''}"
        for parts in found.layers))


def _sum(terms):
    return " + ".join(term.path if term.factor == 1 else f"{term.factor:g} {term.path}" for term in terms) or "nothing"


def kinds() -> list[str]:
    """Every model type that Transformers maps to a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def build(kind: str) -> torch.nn.Module:
    """A float32 model with random weights, biases and gains.

    Raises:
        Exception: Whatever stands in the way; ValueError if it stays too large.
    """
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = _config(kind)
        with torch.device("meta"):
            size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
        if size > LARGEST:
            raise ValueError(f"{size:,} parameters however small its options")
        model = AutoModelForCausalLM.from_config(config).float().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator) * 0.2
            weight.copy_(noise if weight.dim() >= 2 else weight + noise)
    return model


def _config(kind):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    made = CONFIG_MAPPING[kind]
    default = made()
    inner = getattr(default, "text_config", None)
    around = inner if inner is not None else default
    latent = _LATENT if hasattr(around, "kv_lora_rank") else {}
    small = {**_SMALL, **latent, **_OWN.get(kind, {})}
    given = {name: value for name, value in small.items()
             if value is not None and (_has(around, name) or name in _OWN.get(kind, {}))}
    if inner is not None:
        seeing = getattr(default, "vision_config", None)
        small = {name: value for name, value in _SMALL.items() if seeing is not None and _has(seeing, name)}
        return made(text_config=given, **({"vision_config": small} if small else {}))
    return made(**given)


def _has(config, name):
    try:
        return hasattr(config, name)
    except Exception:  # an attribute that differs by layer is there
        return True


def report() -> dict[str, dict[str, str]]:
    """Every architecture by what becomes of it, with how or why."""
    found: dict[str, dict[str, str]] = {"closes": {}, "refused": {}, "not built": {}}
    for kind in sorted(kinds()):
        what, why = outcome(kind)
        found[what][kind] = why
    return found


if __name__ == "__main__":  # python -m tests.probing.tiny_models > results/architectures.json
    logging.disable(logging.CRITICAL)
    json.dump({"command": "python -m tests.probing.tiny_models", **report()}, sys.stdout, indent=1)
    print()
