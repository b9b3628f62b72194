"""The prompts that analyses read: written and tokenised as in training, with a label for every token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.data.chat import render_each
from lab.data.conversation import Conversation
from lab.data.prompt_sources import Passage, check_sources, gather
from lab.data.template import ChatTemplate
from lab.data.token_labels import token_labels
from lab.errors import DataError, OptionError

CHAT = ("auto", "true", "false")


@dataclass(frozen=True)
class Prompt:
    """One text as a model reads it.

    Attributes:
        name: Tells it apart, such as `knowledge 2`.
        category: A category of the micro-world, `english`, `text`, or what its file or dataset is called.
        text: What was tokenised, chat template included.
        input_ids: [T], special tokens included.
        tokens: [T], what to show for each token.
    """

    name: str
    category: str
    text: str
    input_ids: list[int]
    tokens: list[str]


def read(tokenizer: Any, sources: Sequence[str], *, text: str | None = None, column: str | None = None,
         chat: str = "auto", count: int = 4, seed: int = 0, longest: int | None = None,
         also: Sequence[str] = ()) -> list[Prompt]:
    """Returns prompts, the same for the same arguments.

    Questions of the world, and rows in one of the four known forms, come with their answers, so that a model is seen
    while it answers. Everything else is free text: it gets the special tokens that the tokenizer adds, once.

    Args:
        tokenizer: The model's.
        sources: Any of `world` (held-out questions of all categories), one category by name, `english`, `text`; a
            `.txt` file, which is one prompt, whole but for the line breaks at its end; a `.jsonl`, `.json`, `.csv` or
            `.parquet` file, a dataset folder or a Hub id, `owner/name[:configuration[:split]]`. A name of the lab's
            goes before a folder that is called the same; write `./code` for the folder.
        text: What the source `text` stands for.
        column: Column of data files and datasets that holds free text; None if their rows are in a known form.
        chat: `auto`: questions and rows of chats through the chat template where the tokenizer has one, free text as
            it is. `true`: free text is a user's turn too, up to where the assistant answers. `false`: no template;
            a question of the world is then its sentence, a chat the contents of its messages with empty lines between.
        count: Prompts of each category, of `english` and of each dataset; one that has fewer gives all it has.
        seed: Of questions, and of which passages and rows are taken.
        longest: Tokens that a prompt may have, such as the model's positions; None for any number.
        also: Names of sources that only the caller knows, for what an error says is allowed.

    Raises:
        OptionError: A source or another argument is not allowed, or a prompt has more than `longest` tokens.
        DataError: A file is missing, empty or malformed, or lacks the column.
    """
    check_how(tokenizer, chat, count)
    check_sources(sources, text, column, also)
    prompts = [as_prompt(tokenizer, passage, chat) for passage in gather(sources, text, column, count, seed)]
    check_lengths(prompts, longest)
    return prompts


def check_how(tokenizer: Any, chat: str, count: int) -> None:
    """Refuses a `chat` or `count` that cannot be.

    Args:
        tokenizer: The model's.
        chat: As `read` takes it.
        count: As `read` takes it.

    Raises:
        OptionError: Either is not allowed, or there is no template to write a chat with.
    """
    if chat not in CHAT:
        raise OptionError(f"chat={chat}: allowed are {', '.join(CHAT)}; type chat=auto")
    if count < 1:
        raise OptionError(f"count={count}: allowed is 1 or more; type count=1")
    if chat == "true" and not tokenizer.chat_template:
        raise OptionError("chat=true: this model's tokenizer has no chat template; type chat=auto or chat=false, or "
                          "choose a model with one (an -Instruct or -Chat model)")


def batches(prompts: Sequence[Prompt], pad_id: int, tokens_at_once: int
            ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields rectangular batches, longest prompts first, so that little is padded and memory is soon known to suffice.

    Args:
        prompts: In any order; equal lengths keep theirs.
        pad_id: Token that fills short rows on the left; it is masked. Models with learned positions (GPT-2) need
            position ids that count from the first real token.
        tokens_at_once: Padded tokens in one batch; a prompt longer than that is a batch of its own.

    Yields:
        Indices into `prompts` [B], token ids [B, T], and attention mask [B, T], 1 for real tokens; all int64.

    Raises:
        OptionError: `tokens_at_once` is not positive.
    """
    if tokens_at_once < 1:
        raise OptionError(f"tokens_at_once={tokens_at_once}: allowed is 1 or more; type tokens_at_once=4096")
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i].input_ids))
    while order:
        width = len(prompts[order[0]].input_ids)
        chosen, order = order[:max(1, tokens_at_once // width)], order[max(1, tokens_at_once // width):]
        ids = np.full((len(chosen), width), pad_id, dtype=np.int64)                        # B T
        mask = np.zeros((len(chosen), width), dtype=np.int64)                              # B T
        for row, i in enumerate(chosen):
            start = width - len(prompts[i].input_ids)
            ids[row, start:] = prompts[i].input_ids
            mask[row, start:] = 1
        yield np.array(chosen, dtype=np.int64), ids, mask


def as_prompt(tokenizer: Any, passage: Passage, chat: str) -> Prompt:
    """Returns a passage as a model reads it.

    Args:
        tokenizer: The model's.
        passage: From `lab.data.prompt_sources.gather`.
        chat: As `read` takes it.

    Raises:
        DataError: It has no tokens, or cannot be written this way.
    """
    text, ids = _written(tokenizer, passage, chat)
    if not ids:
        raise DataError(f"{passage.name}: the tokenizer makes no tokens of {text!r}; a prompt needs at least one")
    return Prompt(passage.name, passage.category, text, ids, token_labels(tokenizer, ids))


def _written(tokenizer: Any, passage: Passage, chat: str) -> tuple[str, list[int]]:
    row, text = passage.conversation, passage.text
    if row is not None and "messages" in row and chat != "false" and tokenizer.chat_template:
        return _as_trained(tokenizer, row, passage.category)
    if text is None:
        raise DataError(f"{passage.name}: calls tools, which only a chat template can write; type chat=auto, with a "
                        "model that has a chat template, or leave such rows out")
    if chat == "true":
        return _as_turn(tokenizer, text, passage.name)
    if row is not None and "text" in row:
        return _as_trained(tokenizer, row, passage.category)
    return _as_it_is(tokenizer, text)


def _as_trained(tokenizer: Any, row: Conversation, source: str) -> tuple[str, list[int]]:
    rendered = next(render_each(tokenizer, [row], source=source))
    return rendered.text, rendered.input_ids


def _as_turn(tokenizer: Any, text: str, where: str) -> tuple[str, list[int]]:
    turn = {"role": "user", "content": text.removeprefix(tokenizer.bos_token or "")}
    asked = ChatTemplate(tokenizer).write([turn], None, where, answer_next=True)
    return asked, tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"]


def _as_it_is(tokenizer: Any, text: str) -> tuple[str, list[int]]:
    added = tokenizer("a")["input_ids"]  # what the tokenizer adds by itself is not given to it a second time
    if tokenizer.bos_token and added[0] == tokenizer.bos_token_id:
        text = text.removeprefix(tokenizer.bos_token)
    if tokenizer.eos_token and added[-1] == tokenizer.eos_token_id:
        text = text.removesuffix(tokenizer.eos_token)
    return text, tokenizer(text, add_special_tokens=True, verbose=False)["input_ids"]


def check_lengths(prompts: Sequence[Any], longest: int | None) -> None:
    """Refuses prompts that a model cannot read.

    Args:
        prompts: Anything with a `name` and `input_ids`.
        longest: Tokens that one may have; None for any number.

    Raises:
        OptionError: One has more.
    """
    if longest is None:
        return
    over = [prompt for prompt in prompts if len(prompt.input_ids) > longest]
    if over:
        most = max(over, key=lambda prompt: len(prompt.input_ids))
        others = f" ({len(over)} of {len(prompts)} prompts are too long)" if len(over) > 1 else ""
        raise OptionError(f"prompt {most.name} has {len(most.input_ids)} tokens; allowed are {longest}{others}. Shorten "
                          "or divide it, choose other prompts, or a model that reads more")
