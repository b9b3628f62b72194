"""What to show for each token of a text: one readable label a token, never empty, with white space made visible."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any

from lab.errors import DataError

WHITE_SPACE = {" ": "␣", "\n": "↵", "\t": "→"}
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")  # sentencepiece's fallback for characters it does not have
LONGEST_CHARACTER = 4  # bytes of UTF-8


def token_labels(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Returns a label for each token, such as `␣red`, `↵`, `<|im_end|>` or, of a wave in four tokens, `🌊(1/4)`.

    A space is ␣, a line break ↵, a tab →; other characters that cannot be seen are written `<U+200B>`. Special tokens
    stand by name. Where several tokens spell one character, each shows the character and which piece of it the token
    is; bytes that spell none are written `<0xF0>`, and what still shows nothing as `<id 7>`.

    Args:
        tokenizer: The one that made the tokens.
        ids: [T], one text in order, so that the pieces of a character lie side by side.

    Raises:
        DataError: The tokenizer is a slow one, which does not say how it spells.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(f"{type(tokenizer).__name__} does not say how its tokens are spelled; choose a model with a fast "
                        "tokenizer (a tokenizer.json)")
    spelled = _spellings(tokenizer, ids)
    ends = list(accumulate(map(len, spelled)))
    labels = [""] * len(ids)
    at = 0
    for character, size in _characters(b"".join(spelled)):
        first, last = bisect_right(ends, at), bisect_right(ends, at + size - 1)
        pieces = [t for t in range(first, last + 1) if spelled[t]]
        for k, t in enumerate(pieces, start=1):
            labels[t] += character if len(pieces) == 1 else f"{character}({k}/{len(pieces)})"
        at += size
    return [_standing(label) or f"<id {token}>" for label, token in zip(labels, ids, strict=True)]


def _spellings(tokenizer: Any, ids: Sequence[int]) -> list[bytes]:
    """The UTF-8 bytes that each token stands for, whatever marks its vocabulary is written in."""
    added = {index: str(token) for index, token in tokenizer.added_tokens_decoder.items()}
    byte_level = b'"ByteLevel"' in tokenizer.backend_tokenizer.decoder.__getstate__() \
        if tokenizer.backend_tokenizer.decoder else False
    spelled = []
    for index, token in zip(ids, tokenizer.convert_ids_to_tokens(list(ids)), strict=True):
        if index in added:  # text as it stands, also where it looks like a mark of the vocabulary
            spelled.append(added[index].encode())
        elif byte_level:
            spelled.append(b"".join(_byte_of().get(letter, letter.encode()) for letter in token))
        elif byte := BYTE_TOKEN.fullmatch(token):
            spelled.append(bytes.fromhex(byte[1]))
        else:
            spelled.append(token.replace("▁", " ").encode())
    return spelled


@cache
def _byte_of() -> dict[str, bytes]:
    """The byte behind each letter of a byte-level vocabulary (GPT-2): itself if it prints, else one from U+0100 on."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {**{chr(byte): bytes([byte]) for byte in printing},
            **{chr(256 + i): bytes([byte]) for i, byte in enumerate(others)}}


def _characters(spelled: bytes) -> list[tuple[str, int]]:
    """Each character as it is shown, with its size in bytes; a byte that belongs to none by its number."""
    found = []
    at = 0
    while at < len(spelled):
        character, size = _character(spelled[at:at + LONGEST_CHARACTER])
        found.append((character, size))
        at += size
    return found


def _character(spelled: bytes) -> tuple[str, int]:
    for size in range(1, len(spelled) + 1):
        try:
            return _visible(spelled[:size].decode()), size
        except UnicodeDecodeError:
            continue
    return f"<0x{spelled[0]:02X}>", 1


def _visible(character: str) -> str:
    if character in WHITE_SPACE:
        return WHITE_SPACE[character]
    return character if character.isprintable() else f"<U+{ord(character):04X}>"


def _standing(label: str) -> str:
    # an accent that combines with the letter before it would be drawn onto whatever stands beside the label
    return f"◌{label}" if label and unicodedata.category(label[0]).startswith("M") else label
