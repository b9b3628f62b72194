"""Where a prompt ends and its answer begins among tokens, and what is asked there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.data.token_labels import token_labels


@dataclass(frozen=True)
class Question:
    """A prompt up to and including the position whose next token is the first of the answer.

    Attributes:
        name: Tells it apart, such as `knowledge 2`.
        category: Of the world, `english`, or what its file or dataset is called.
        kind: What sort of thing is asked; answers and foils of one kind can stand for one another.
        template: The words around what is asked; questions that share it ask about different things alike.
        entities: What is asked about, such as a person, two operands, or the people of an order from its top.
        text: What `input_ids` spell, chat template included.
        input_ids: [T], special tokens included.
        tokens: [T], what to show for each token.
        answer: What is right.
        foil: Wrong, of the same kind, and begins with another token.
        answer_id: Token of the answer that comes next.
        foil_id: Token that comes next if the foil is said; never `answer_id`.
    """

    name: str
    category: str
    kind: str
    template: str
    entities: tuple[str, ...]
    text: str
    input_ids: list[int]
    tokens: list[str]
    answer: str
    foil: str
    answer_id: int
    foil_id: int


@dataclass(frozen=True)
class Asked:
    """What becomes a question once it has a foil.

    Attributes:
        name: See `Question`.
        category: See `Question`.
        kind: See `Question`.
        template: See `Question`.
        entities: See `Question`.
        prompt: Everything before the answer, chat template included.
        answer: As it stands behind the prompt, a space before it included where there is one.
        foils: What may be its foil, best first; empty if that is the answer of another question.
        special: Whether the tokenizer adds its special tokens; not to what a template wrote.
    """

    name: str
    category: str
    kind: str
    template: str
    entities: tuple[str, ...]
    prompt: str
    answer: str
    foils: tuple[str, ...] = ()
    special: bool = False


def question(tokenizer: Any, asked: Asked, foils: Sequence[str]) -> Question | None:
    """Returns the question with the first foil that can be told from the answer by the next token; None if none can.

    The prompt's tokens are the longest that prompt-and-answer and prompt-and-foil have in common, so that both next
    tokens are what the tokenizer makes in this context: where a token takes the prompt's last characters together with
    the first of the answer (`is ` and `Oslo` as `is`, ` Oslo`), the prompt ends before it. Beyond the prompt's end only
    white space is common; what shares a letter or a digit, or reaches the end in one of the two only, is no foil.

    Args:
        tokenizer: The model's, a fast one.
        asked: What is asked.
        foils: Candidates, best first.
    """
    right, ends = _tokens(tokenizer, asked, asked.answer)
    for foil in foils:
        wrong, wrong_ends = _tokens(tokenizer, asked, foil)
        n = next((t for t, (a, f) in enumerate(zip(right, wrong, strict=False)) if a != f), 0)
        border = len(asked.prompt)
        if n == 0 or min(ends[n], wrong_ends[n]) <= border:
            continue
        spelled = (asked.prompt + asked.answer)[:max(ends[:n])]
        if spelled[border:].strip():
            continue
        return Question(asked.name, asked.category, asked.kind, asked.template, asked.entities, spelled, right[:n],
                        token_labels(tokenizer, right[:n]), asked.answer.strip(), foil.strip(), right[n], wrong[n])
    return None


def _tokens(tokenizer: Any, asked: Asked, answer: str) -> tuple[list[int], list[int]]:
    """Tokens of the prompt and an answer, and one past the last character of each; 0 for what the tokenizer adds."""
    made = tokenizer(asked.prompt + answer, add_special_tokens=asked.special, return_offsets_mapping=True, verbose=False)
    return made["input_ids"], [end for _, end in made["offset_mapping"]]
