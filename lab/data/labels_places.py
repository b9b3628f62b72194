"""Prompts of the micro-world with the tokens that hold given characters of them."""

from dataclasses import dataclass
from typing import Any

from lab.data.prompts import Prompt
from lab.data.template import ChatTemplate
from lab.data.token_labels import token_labels
from lab.errors import DataError


@dataclass(frozen=True)
class Placed:
    """A prompt and where its characters are.

    Attributes:
        prompt: As the model reads it.
        start: Where the words that were asked or told begin in `prompt.text`; what stands before is the template's.
        offsets: [T], first character of each token and one past its last.
    """

    prompt: Prompt
    start: int
    offsets: list[tuple[int, int]]

    @property
    def last(self) -> int:
        """The prompt's last token."""
        return len(self.prompt.input_ids) - 1

    def token_of(self, start: int, end: int) -> int:
        """Returns the last token that holds any of the characters from `start` to `end` - 1 of what was asked or told.

        Raises:
            DataError: No token holds them.
        """
        first, past = self.start + start, self.start + end
        held = [t for t, (a, b) in enumerate(self.offsets) if a < past and b > first]
        if not held:
            raise DataError(f"{self.prompt.name}: no token holds characters {start} to {end} of {self.prompt.text!r}; "
                            "choose characters that are text")
        return held[-1]


class Writer:
    """Writes questions as a model is asked them and texts as they stand, with the characters of every token."""

    def __init__(self, tokenizer: Any):
        """Reads the chat template once.

        Raises:
            DataError: The tokenizer is a slow one, which reports no offsets.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise DataError(f"{type(tokenizer).__name__} reports no offsets, so no token can be found by its characters; "
                            "choose a model with a fast tokenizer (a tokenizer.json)")
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer) if tokenizer.chat_template else None

    def ask(self, name: str, category: str, question: str) -> Placed:
        """Returns a question through the chat template, up to where the answer begins; without a template, as told."""
        if self._template is None:
            return self.tell(name, category, question)
        text = self._template.write([{"role": "user", "content": question}], None, name, answer_next=True)
        if question not in text:
            raise DataError(f"{name}: the model's chat template changes {question!r}, so its tokens cannot be found; "
                            "choose another model, or a text that begins and ends with no white space")
        return self._placed(name, category, text, text.index(question), special=False)

    def tell(self, name: str, category: str, text: str) -> Placed:
        """Returns a text as it stands, with the special tokens that the tokenizer adds."""
        return self._placed(name, category, text, 0, special=True)

    def _placed(self, name: str, category: str, text: str, start: int, *, special: bool) -> Placed:
        made = self._tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, verbose=False)
        ids = list(made["input_ids"])
        return Placed(Prompt(name, category, text, ids, token_labels(self._tokenizer, ids)), start,
                      [(int(a), int(b)) for a, b in made["offset_mapping"]])
