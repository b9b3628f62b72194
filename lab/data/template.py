"""A tokenizer's chat template, applied to lists of messages; what it refuses is a `DataError`."""

import re
from functools import cached_property
from typing import Any, cast

from lab.data.malformed import listed
from lab.errors import DataError

Messages = list[dict[str, Any]]
Span = tuple[int, int]

MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
PROBE = "the answer of the probe"


class ChatTemplate:
    """Writes messages as the text that a model is trained on.

    The template writes the special tokens itself, the beginning-of-sequence token too: the text must be tokenised
    with `add_special_tokens=False`, or that token is there twice.
    """

    def __init__(self, tokenizer: Any):
        """Reads what templates refer to once, because a tokenizer recomputes it at every access."""
        self._tokenizer = tokenizer
        self._names = dict(tokenizer.special_tokens_map)

    @cached_property
    def special_tokens(self) -> dict[int, str]:
        """Ids and texts of the tokens that are no text of the user's."""
        added = {i: str(token) for i, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        return {**added, **dict(zip(self._tokenizer.all_special_ids, self._tokenizer.all_special_tokens, strict=True))}

    @cached_property
    def end_of_turn(self) -> str | None:
        """The special token that the template writes right after an answer, if it writes one."""
        exchange = [{"role": "user", "content": "the question of the probe"}, {"role": "assistant", "content": PROBE}]
        tail = self.write(exchange, None, "a plain exchange of user and assistant").rpartition(PROBE)[2]
        return max((token for token in self.special_tokens.values() if tail.startswith(token)), key=len, default=None)

    def marks_answers(self, tools: list[dict[str, Any]] | None) -> bool:
        """Whether the template that these tools select has generation markers."""
        return bool(MARKER.search(self._source(tools)))

    def write(self, messages: Messages, tools: list[dict[str, Any]] | None, where: str, *, answer_next: bool = False
              ) -> str:
        """Returns the text of the messages.

        Args:
            messages: Checked messages.
            tools: JSON schemas, or None.
            where: Row, for errors.
            answer_next: Whether the text ends with the generation prompt, as a model sees it before it answers.

        Raises:
            DataError: There is no template, or it refuses these messages.
        """
        return self._render(messages, tools, where, answer_next, marked=False)[0]

    def write_marked(self, messages: Messages, tools: list[dict[str, Any]] | None, where: str
                     ) -> tuple[str, list[Span]]:
        """Returns the text and the characters, first and one past the last, between generation markers.

        Args:
            messages: Checked messages.
            tools: JSON schemas, or None.
            where: Row, for errors.

        Raises:
            DataError: The template refuses these messages.
        """
        return self._render(messages, tools, where, False, marked=True)

    def _source(self, tools: list[dict[str, Any]] | None) -> str:
        if not self._tokenizer.chat_template:
            raise DataError("this model's tokenizer has no chat template, so conversations cannot be written for it; "
                            "choose a model with one (an -Instruct or -Chat model), or give rows in the form text")
        try:
            return self._tokenizer.get_chat_template(tools=tools)
        except ValueError as error:  # several templates, none of them the default
            raise DataError("this model's tokenizer has none of its chat templates for these rows (found "
                            f"{listed(self._tokenizer.chat_template)}); choose a model with a default one") from error

    def _render(self, messages: Messages, tools: list[dict[str, Any]] | None, where: str, answer_next: bool, *,
                marked: bool) -> tuple[str, list[Span]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        source, render = self._source(tools), cast(Any, render_jinja_template)  # its annotation is not what it returns
        try:
            texts, spans = render(
                [messages], tools=tools, chat_template=source, add_generation_prompt=answer_next,
                return_assistant_tokens_mask=marked, **self._names)
        except Exception as error:  # a template is a program: besides its own refusals, anything can go wrong in it
            roles = ", ".join(message["role"] for message in messages) or "none"
            raise DataError(f"{where}: the model's chat template refuses these messages (roles: {roles}): {error}. "
                            "Change the rows to roles and an order that the template takes, or choose another model"
                            ) from error
        return texts[0], spans[0] if marked else []
