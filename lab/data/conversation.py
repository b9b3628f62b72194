"""One row of instruction data: what it is, what makes it itself, and how it is named in an error."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

Conversation = dict[str, Any]
"""`messages` (role, content, tool_calls, …) and perhaps `tools`, or `text`; and `meta`, which no model sees.

`meta` of a row that was read: `row` (1-based), `form`, and where there is one `conversation` (an id shared by rows that
belong together) and `unused` (columns that were not read). Of a generated row: `fact`, `bits`, and what its maker adds.
"""


def place(conversation: Conversation, source: str) -> str:
    """Returns how an error names this row: its source and, where known, its number."""
    row = conversation.get("meta", {}).get("row")
    return source if row is None else f"{source} row {row}"


def canonical(value: Any) -> str:
    """Returns the one JSON text of a value: keys sorted, no spaces, no escapes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def content(conversation: Conversation) -> str:
    """Returns all that a model can see of a row; two rows with the same content are duplicates."""
    return canonical({key: value for key, value in conversation.items() if key != "meta"})


def prompt(conversation: Conversation) -> str:
    """Returns what comes before the first answer; rows that share it must not be on both sides of a split."""
    if "text" in conversation:
        return canonical(conversation["text"])
    messages = conversation["messages"]
    first = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
    # a conversation that opens with an answer has no prompt of its own: it is only identical to itself
    return canonical([conversation.get("tools"), messages[:first] or messages])


def digest(conversations: Iterable[Conversation]) -> str:
    """Returns the SHA-256 over every row in order, metadata included, independent of file format and folder."""
    sha = hashlib.sha256()
    for conversation in conversations:
        sha.update(canonical(conversation).encode() + b"\n")
    return sha.hexdigest()
