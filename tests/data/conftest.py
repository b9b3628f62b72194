"""Tiny tokenizers in the manner of four model families, with chat templates written after their published formats."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parent / "templates"
LINES = ["Who lives in Oslo? Mira lives in Oslo.", "What is the weather in Oslo? It rains in Oslo, says Mira.",
         "user assistant system tool model ipython weather city call name arguments parameters",
         "Oslo\n\n\nMira \n\n\n\n Oslo"] * 4
SPECIALS = {
    "chatml": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "mistral": ["<s>", "</s>", "<unk>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
                "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"],
    "gemma": ["<bos>", "<eos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
}
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LINE = r"\n+|[^\n]+"
NAMED = {
    "chatml": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "mistral": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "gemma": {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"},  # the turn does not end with eos
}


@cache
def _backend(family: str) -> str:
    byte_level = family in ("chatml", "llama3")
    tokenizer = Tokenizer(models.BPE(byte_fallback=not byte_level, unk_token=None if byte_level else "<unk>"))
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tokenizer.decoder = decoders.ByteLevel()
    elif family == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
            pre_tokenizers.Split(Regex(LINE), "isolated")])
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(LINE), "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else [*map(chr, range(32, 127)), "\n", "▁"]
    bytes_ = [] if byte_level else [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(LINES, trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIALS[family] + bytes_, initial_alphabet=alphabet, show_progress=False))
    if "bos_token" in NAMED[family]:
        bos = NAMED[family]["bos_token"]
        add_bos = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        offsets = [processors.ByteLevel(trim_offsets=True)] if byte_level else []
        tokenizer.post_processor = processors.Sequence([*offsets, add_bos])
    stored = json.loads(tokenizer.to_str())  # the bytes are ordinary tokens, which the trainer cannot be told
    stored["added_tokens"] = [token for token in stored["added_tokens"] if token["content"] not in bytes_]
    return json.dumps(stored)


@pytest.fixture
def make_tokenizer():
    """Makes a tokenizer of a family: `make_tokenizer("gemma", markers=False, template="gemma2")`."""

    def make(family: str, *, markers: bool = True, template: str | None = "same") -> PreTrainedTokenizerFast:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_backend(family)), **NAMED[family])
        tokenizer.add_special_tokens({"additional_special_tokens": SPECIALS[family]})
        if template is not None:
            text = (TEMPLATES / f"{family if template == 'same' else template}.jinja").read_text(encoding="utf-8")
            tokenizer.chat_template = text if markers else re.sub(r"\{%-? (end)?generation -?%\}", "", text)
        return tokenizer

    return make
