"""Checks a list of chat messages and writes it in the one shape that templates read."""

import json
from typing import Any

from lab.data.malformed import listed, malformed

ROLES = ("system", "developer", "user", "assistant", "tool")
SPEAKERS = {"human": "user", "gpt": "assistant", "observation": "tool"}  # ShareGPT's names for `from`


def checked_messages(messages: Any, column: str, where: str) -> list[dict[str, Any]]:
    """Returns the messages with `role` and `content`, whichever pair of names they came with.

    Other keys are kept, because templates read them; a null is as good as an absent key.

    Args:
        messages: The cell, or its JSON text (all that a csv cell can hold).
        column: Its column, for errors.
        where: File and row, for errors.

    Raises:
        DataError: The cell is no list of messages.
    """
    found = _parsed(messages)
    if not isinstance(found, list) or not found:
        raise malformed(where, column, messages, "a list of messages, each {role, content} or {from, value}")
    return [_message(message, f"{column}[{i}]", where) for i, message in enumerate(found)]


def checked_tools(tools: Any, where: str) -> list[dict[str, Any]] | None:
    """Returns the tools of a row as JSON schemas; some files hold them as JSON text.

    Raises:
        DataError: The cell is no list of objects.
    """
    if tools is None or tools == "":
        return None
    found = _parsed(tools)
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise malformed(where, "tools", tools, "a list of JSON schemas, as a list or as JSON text")
    return found or None


def _message(message: Any, column: str, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise malformed(where, column, message, "an object {role, content} or {from, value}")
    message = {key: value for key, value in message.items() if value is not None}
    role_key, content_key = ("from", "value") if "from" in message and "role" not in message else ("role", "content")
    role = message.pop(role_key, None)
    names = (*ROLES, *SPEAKERS) if role_key == "from" else ROLES
    if role not in names:
        raise malformed(where, f"{column}.{role_key}", role, f"one of {listed(names)}")
    calls = message.pop("tool_calls", None) or []
    text = message.pop(content_key, "" if calls else None)  # a message that only calls tools has no content
    if not isinstance(text, str):
        raise malformed(where, f"{column}.{content_key}", text, "text")
    weight = message.pop("weight", 1)
    if weight != 1:
        raise malformed(where, f"{column}.weight", weight, "1, or no weight: every assistant turn is trained")
    checked = {"role": SPEAKERS.get(role, role), "content": text, **message}
    if calls:
        checked["tool_calls"] = _tool_calls(calls, f"{column}.tool_calls", where)
    return checked


def _tool_calls(calls: Any, column: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(calls, list):
        raise malformed(where, column, calls, "a list of calls")
    checked = []
    for i, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise malformed(where, f"{column}[{i}]", call, "an object {function: {name, arguments}}")
        # as JSON text the arguments would be quoted a second time by a template's `tojson`
        arguments = _parsed(function.get("arguments", {}))
        if not isinstance(arguments, dict):
            raise malformed(where, f"{column}[{i}].function.arguments", function["arguments"],
                            "an object, or the JSON text of one")
        checked.append({**call, "function": {**function, "arguments": arguments}})
    return checked


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
