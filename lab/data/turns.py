"""Which characters of a rendered conversation are the assistant's own, each turn with its end-of-turn token."""

import os
from dataclasses import dataclass

from lab.data.conversation import Conversation
from lab.data.template import ChatTemplate, Messages, Span
from lab.errors import DataError


@dataclass(frozen=True)
class Turns:
    """A conversation as text, and what of it is trained.

    Attributes:
        text: The whole conversation.
        spans: Characters, first and one past the last, of each assistant turn.
    """

    text: str
    spans: list[Span]


def assistant_turns(template: ChatTemplate, conversation: Conversation, where: str) -> Turns:
    """Returns the text of a conversation and the characters of its assistant turns.

    A turn begins where the generation prompt ends, because there the model takes over, and ends with its end-of-turn
    token, because there it stops: white space that the template writes after that token is not trained.

    Args:
        template: The chat template.
        conversation: With `messages`.
        where: Row, for errors.

    Raises:
        DataError: The template refuses the messages, marks only some assistant turns, or writes the beginning of a
            conversation differently once it goes on.
    """
    messages, tools = conversation["messages"], conversation.get("tools")
    if template.marks_answers(tools):
        text, spans = template.write_marked(messages, tools, where)
        spans = [_completed(template, text, span) for span in spans]
        _check_markers(messages, text, spans, where)
    else:
        text = template.write(messages, tools, where)
        spans = [_between_prefixes(template, conversation, i, text, where)
                 for i, message in enumerate(messages) if message["role"] == "assistant"]
    return Turns(text, [span for span in spans if span[0] < span[1]])


def _between_prefixes(template: ChatTemplate, conversation: Conversation, i: int, text: str, where: str) -> Span:
    messages, tools = conversation["messages"], conversation.get("tools")
    named = f"{where}, message {i + 1} (assistant)"
    if i:
        head = template.write(messages[:i], tools, named, answer_next=True)
    else:  # many templates cannot write an empty conversation, so two other answers show what comes before any
        head = os.path.commonprefix([text, *(template.write([{"role": "assistant", "content": other}, *messages[1:]],
                                                            tools, named) for other in ("A", "B"))])
    until = text if i + 1 == len(messages) else template.write(messages[:i + 1], tools, named)
    for prefix, when in ((head, "before it is answered"), (until, "when it ends there")):
        if not text.startswith(prefix):
            raise DataError(
                f"{named}: the chat template writes the conversation up to here differently {when} than inside the "
                f"whole ({_difference(prefix, text)}), so what the model has to say cannot be told from what it is "
                "given. Some templates drop earlier thinking parts or move the system text: give each exchange as a "
                "row of its own, or use a tokenizer whose template has {% generation %} markers")
    return _without_tail(template, text, (len(head), len(until)))


def _difference(prefix: str, text: str) -> str:
    same = len(os.path.commonprefix([prefix, text]))
    return f"{prefix[same:same + 30]!r} against {text[same:same + 30]!r}"


def _without_tail(template: ChatTemplate, text: str, span: Span) -> Span:
    body = text[slice(*span)].rstrip()
    return (span[0], span[0] + len(body)) if body.endswith(tuple(template.special_tokens.values())) else span


def _completed(template: ChatTemplate, text: str, span: Span) -> Span:
    # markers may leave the end-of-turn token out, or take the line break after it in
    if text.startswith(tuple(template.special_tokens.values()), span[1]):
        end = template.end_of_turn
        if end and text.startswith(end, span[1]):
            return span[0], span[1] + len(end)
    return _without_tail(template, text, span)


def _check_markers(messages: Messages, text: str, spans: list[Span], where: str) -> None:
    answers = [(i, message["content"].split()) for i, message in enumerate(messages) if message["role"] == "assistant"]
    if len(spans) < len(answers):
        raise DataError(f"{where}: the chat template has generation markers around {len(spans)} of {len(answers)} "
                        "assistant turns; allowed are templates that mark every one. Remove its markers, or mark all")
    if len(spans) > len(answers):
        return  # thinking and answer of one turn may be marked one by one
    for (i, words), span in zip(answers, spans, strict=True):
        if words and words[-1] not in text[slice(*span)]:
            raise DataError(f"{where}, message {i + 1} (assistant): the chat template's generation markers enclose "
                            f"{text[slice(*span)][:60]!r}, which does not hold the answer's last word {words[-1]!r}. "
                            "Markers inside a macro are counted wrongly: write them outside, or remove them")
