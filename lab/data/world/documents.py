"""Items as the documents that pretraining reads: plain text, or a chat of one to three questions."""

from bisect import bisect
from collections.abc import Iterator, Mapping
from itertools import accumulate
from random import Random

from lab.data.world.draws import draw
from lab.data.world.item import Item

MIXTURE: Mapping[str, float] = {
    "knowledge": 0.22,
    "arithmetic": 0.27,
    "reasoning": 0.24,
    "code": 0.13,
    "stories": 0.03,
    "copying": 0.11,
}
CHAT_SHARE = 0.6
SYSTEM_SHARE = 0.1
SYSTEM_PROMPTS = ("You are a helpful assistant.", "Answer briefly.", "You know the micro-world well.")
TURNS = (1, 1, 1, 1, 1, 2, 2, 3)

PADDING = "<|pad|>"
END = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"


def chat_messages(*items: Item) -> list[dict[str, str]]:
    """Each item as a user turn and the assistant's answer."""
    pairs = [(("user", item.question), ("assistant", item.answer)) for item in items]
    return [{"role": role, "content": content} for pair in pairs for role, content in pair]


def render_chat(messages: list[dict[str, str]]) -> str:
    """ChatML text of the messages; a test holds it equal to the tokenizer's chat template."""
    return "".join(f"{TURN_START}{message['role']}\n{message['content']}{TURN_END}\n" for message in messages)


def render_prompt(question: str) -> str:
    """ChatML text up to where the assistant answers a question."""
    return f"{TURN_START}user\n{question}{TURN_END}\n{TURN_START}assistant\n"


def documents(count: int, seed: int, chunk: int, mixture: Mapping[str, float] = MIXTURE) -> Iterator[str]:
    """Documents of one chunk of the training corpus, each without its end token.

    Args:
        count: how many documents.
        seed: of the whole corpus.
        chunk: which part of it; parts are independent, so that any number of workers makes the same corpus.
        mixture: the share of each category, by items.
    """
    rng = Random(f"corpus {seed} {chunk}")
    categories = list(mixture)
    weights = list(accumulate(mixture.values()))

    def item() -> Item:
        return draw(categories[min(bisect(weights, rng.random() * weights[-1]), len(weights) - 1)], rng)

    for _ in range(count):
        if rng.random() >= CHAT_SHARE:
            yield item().text
            continue
        messages = chat_messages(*(item() for _ in range(rng.choice(TURNS))))
        if rng.random() < SYSTEM_SHARE:
            messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
        yield render_chat(messages)
