"""A model's tokenizer: loaded, given a pad token that never ends a turn, and identified by what it does."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lab.errors import ModelUnsupported

_PAD_NAMES = ("<|pad|>", "<pad>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>", "<|endoftext|>")
_UNUSED = re.compile(r"reserved|unused|placeholder|dummy|[^a-z]pad[^a-z]", re.IGNORECASE)
_VOCABULARIES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")
_NEW_PAD = "<|pad|>"


def load_tokenizer(folder: Path, rows: int, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer in `folder`, with a pad token.

    Args:
        folder: A model folder.
        rows: Rows of the model's embedding, which a new pad token may not exceed.
        trust_remote_code: Whether its own Python code may run.

    Raises:
        ModelUnsupported: There is no tokenizer, or it needs its own code.
    """
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    # without its files Transformers 5 makes an empty tokenizer of the class that the model's type suggests
    if not trust_remote_code and not any(file for name in _VOCABULARIES for file in folder.glob(name)):
        raise ModelUnsupported(f"{folder} holds no tokenizer: none of {', '.join(_VOCABULARIES)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise ModelUnsupported(f"{folder}: its tokenizer cannot be loaded ({error})") from error
    for passing in ("local_files_only", "is_local"):  # how it was loaded here is no property of the tokenizer
        tokenizer.init_kwargs.pop(passing, None)
    set_pad_token(tokenizer, rows)
    return tokenizer


def set_pad_token(tokenizer: Any, rows: int) -> None:
    """Makes the pad token one that ends neither a text nor a turn, so that padding cannot hide a trained token.

    Its own one if it qualifies; else a special token that it has and does not use; else a new one in a free row of the
    embedding; else, where the vocabulary has no room, the unknown or the end token: the lab masks padding by position,
    so that this is safe too.

    Args:
        tokenizer: Changed in place.
        rows: Rows of the model's embedding.
    """
    template = str(tokenizer.chat_template or "")
    special = {str(token): index for index, token in tokenizer.added_tokens_decoder.items()}
    unused = sorted((index, token) for token, index in special.items() if _UNUSED.search(token))
    candidates = [tokenizer.pad_token, *(name for name in _PAD_NAMES if name in special), *(t for _, t in unused)]
    for token in candidates:
        if token and token not in (tokenizer.eos_token, tokenizer.bos_token) and token not in template:
            tokenizer.pad_token = token
            return
    if len(tokenizer) < rows:
        tokenizer.add_special_tokens({"pad_token": _NEW_PAD})
    else:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token


def tokenizer_sha256(tokenizer: Any) -> str:
    """SHA-256 of what decides which ids a text becomes: its rules, special tokens and chat template; not its files."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else dict(tokenizer.get_vocab())
    for passing in ("padding", "truncation"):  # state of the last call
        rules.pop(passing, None)
    special = {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())}
    content = json.dumps([rules, special, tokenizer.chat_template], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def chat_template_sha256(tokenizer: Any) -> str | None:
    """SHA-256 of the chat template, None if there is none."""
    if not tokenizer.chat_template:
        return None
    template = tokenizer.chat_template
    return hashlib.sha256((template if isinstance(template, str) else json.dumps(template, sort_keys=True)).encode()
                          ).hexdigest()
