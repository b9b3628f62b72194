"""The four forms of instruction data, recognised by their columns."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from lab.data.conversation import Conversation
from lab.data.malformed import listed, malformed
from lab.data.messages import checked_messages, checked_tools
from lab.errors import DataError

Row = dict[str, Any]
IDS = ("conversation_id", "dialogue_id", "dialog_id", "thread_id")


@dataclass(frozen=True)
class Form:
    """One way to write a training row.

    Attributes:
        name: Shown in profiles and errors.
        required: Columns every row has.
        optional: Columns that are read where they exist.
        convert: Makes a conversation, without `meta`, of a row and its place.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    convert: Callable[[Row, str], Conversation]


def _from_messages(row: Row, where: str) -> Conversation:
    column = "messages" if "messages" in row else "conversations"
    conversation = {"messages": checked_messages(row[column], column, where)}
    tools = checked_tools(row.get("tools"), where)
    return {**conversation, "tools": tools} if tools else conversation


def _from_alpaca(row: Row, where: str) -> Conversation:
    question = _text(row, "instruction", where)
    extra = "" if row.get("input") is None else _text(row, "input", where, empty=True)
    return _exchange(f"{question}\n\n{extra}" if extra.strip() else question, _text(row, "output", where, empty=True))


def _from_prompt(row: Row, where: str) -> Conversation:
    if isinstance(row["prompt"], list):
        return {"messages": [*checked_messages(row["prompt"], "prompt", where),
                             *checked_messages(row["completion"], "completion", where)]}
    return _exchange(_text(row, "prompt", where), _text(row, "completion", where, empty=True))


def _from_text(row: Row, where: str) -> Conversation:
    return {"text": _text(row, "text", where)}


def _exchange(question: str, answer: str) -> Conversation:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def _text(row: Row, column: str, where: str, *, empty: bool = False) -> str:
    # a number is no text: 0.1 or 007 would be trained in whatever spelling the file format left of it
    if not isinstance(row[column], str):
        raise malformed(where, column, row[column], "text (write a number as text)")
    if not empty and not row[column].strip():
        raise malformed(where, column, row[column], "text that is not empty")
    return row[column]


FORMS = (
    Form("messages", ("messages",), ("tools",), _from_messages),
    Form("messages", ("conversations",), ("tools",), _from_messages),
    Form("alpaca", ("instruction", "output"), ("input",), _from_alpaca),
    Form("prompt/completion", ("prompt", "completion"), (), _from_prompt),
    Form("text", ("text",), (), _from_text),
)
ALLOWED = ("alpaca (instruction, output, perhaps input), prompt/completion (prompt, completion), "
           "messages (messages: a list of {role, content}; or conversations: a list of {from, value}), text (text)")


def recognise(columns: Collection[str], where: str) -> Form:
    """Returns the form that these columns make. A `text` column beside another form is not read.

    Args:
        columns: Names of the first row.
        where: File, for errors.

    Raises:
        DataError: No form, or more than one.
    """
    found = [form for form in FORMS if set(form.required) <= set(columns)]
    if len(found) > 1 and found[-1].name == "text":
        found.pop()
    if not found:
        raise DataError(f"{where}: the columns {listed(columns)} make none of the four forms. Rename them to one of: "
                        f"{ALLOWED}")
    if len(found) > 1:
        both = " and ".join(listed(form.required) for form in found)
        raise DataError(f"{where}: the columns {both} are forms of their own; keep the one to train on")
    return found[0]


def convert(row: Row, form: Form, where: str) -> Conversation:
    """Returns one row as a conversation.

    Args:
        row: Column names to cells.
        form: The form of the file's first row.
        where: File and row, for errors.

    Raises:
        DataError: The row is of another form, lacks a column or holds a cell that cannot be used.
    """
    missing = [column for column in form.required if column not in row]
    if missing:
        others = [other.name for other in FORMS if set(other.required) <= set(row)]
        why = f"this row is in the form {others[0]}, the rows before it in the form {form.name}; one file, one form" \
            if others else f"its columns are {listed(row)}; every row needs {listed(form.required)}"
        raise DataError(f"{where}, column '{missing[0]}': missing; {why}")
    return form.convert(row, where)


def metadata(row: Row, form: Form, where: str) -> dict[str, Any]:
    """Returns the `meta` of a row but for its number: the form, a shared id, columns that were not read.

    Raises:
        DataError: The id is neither text nor a number.
    """
    meta: dict[str, Any] = {"form": form.name}
    key = next((name for name in IDS if name in row), None)
    if key is not None and row[key] is not None:
        if not isinstance(row[key], str | int):
            raise malformed(where, key, row[key], "text or a whole number")
        meta["conversation"] = str(row[key])
    unused = sorted(set(row) - set(form.required) - set(form.optional) - {key})
    return {**meta, "unused": unused} if unused else meta
