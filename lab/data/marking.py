"""Tokenises rows and says which tokens are the assistant's own."""

from dataclasses import dataclass
from typing import Any

from lab.data.conversation import Conversation
from lab.data.positions import Positions
from lab.data.template import ChatTemplate, Span
from lab.data.turns import assistant_turns
from lab.errors import DataError


@dataclass(frozen=True)
class Marked:
    """One tokenised row.

    Attributes:
        text: What was tokenised.
        positions: Its tokens.
        runs: First and one past the last token of each part that is to be trained.
    """

    text: str
    positions: Positions
    runs: list[Span]


def mark_chats(tokenizer: Any, template: ChatTemplate, conversations: list[Conversation], places: list[str]
               ) -> list[Marked]:
    """Returns conversations as tokens, with the assistant's turns as runs.

    Args:
        tokenizer: Makes the tokens.
        template: Its chat template.
        conversations: With `messages`.
        places: How errors name each of them.

    Raises:
        DataError: The template refuses a conversation or writes it inconsistently, or what comes before a turn makes
            other tokens alone, as a model is asked, than inside the whole.
    """
    rows = [assistant_turns(template, row, where) for row, where in zip(conversations, places, strict=True)]
    prompts = [turns.text[:start] for turns in rows for start, _ in turns.spans]
    asked = iter(tokenizer(prompts, add_special_tokens=False, verbose=False)["input_ids"] if prompts else [])
    marked = []
    for turns, positions, where in zip(rows, _tokenise(tokenizer, [turns.text for turns in rows]), places, strict=True):
        runs = []
        for start, end in turns.spans:
            first, last = positions.tokens_before(start), positions.tokens_before(end)
            if first is None or positions.ids[:first] != next(asked):
                raise _joined(where, turns.text, start, "beginning")
            if last is None:
                raise _joined(where, turns.text, end, "end")
            runs.append((first, last))
        marked.append(Marked(turns.text, positions, runs))
    return marked


def mark_texts(tokenizer: Any, texts: list[str]) -> list[Marked]:
    """Returns plain texts as tokens, all of them one run, each with an end-of-sequence token.

    Args:
        tokenizer: Makes the tokens; a beginning-of-sequence token is there if the tokenizer adds one.
        texts: May already begin and end with those tokens, which are not doubled.

    Raises:
        DataError: The tokenizer has no end-of-sequence token.
    """
    if tokenizer.eos_token is None:
        raise DataError("this model's tokenizer has no end-of-sequence token, so plain text would never end; "
                        "choose another model, or give rows in the form messages")
    bare = [text.removeprefix(tokenizer.bos_token or "").removesuffix(tokenizer.eos_token) for text in texts]
    marked = []
    for text, positions in zip(bare, _tokenise(tokenizer, bare, add_special_tokens=True), strict=True):
        whole = text + tokenizer.eos_token
        if positions.ids[-1:] != [tokenizer.eos_token_id]:
            positions.ids.append(tokenizer.eos_token_id)
            positions.ends.append(len(whole))
        marked.append(Marked(whole, positions, [(0, len(positions.ids))]))
    return marked


def _tokenise(tokenizer: Any, texts: list[str], *, add_special_tokens: bool = False) -> list[Positions]:
    batch = tokenizer(texts, add_special_tokens=add_special_tokens, return_offsets_mapping=True,
                      return_attention_mask=False, return_token_type_ids=False, verbose=False)
    return [Positions(tokenizer, *row) for row in zip(texts, batch["input_ids"], batch["offset_mapping"], strict=True)]


def _joined(where: str, text: str, char: int, edge: str) -> DataError:
    return DataError(
        f"{where}: the tokenizer makes other tokens of the text before the {edge} of an assistant turn than of the "
        f"whole, between {text[max(0, char - 20):char]!r} and {text[char:char + 20]!r}; a model would not be asked as "
        "it was trained. Remove white space at that place from the row, or from the chat template")
