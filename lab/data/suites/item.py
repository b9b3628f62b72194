"""What one question of a suite is, and one text: generated from a seed, the answer known."""

from dataclasses import dataclass
from typing import Literal, get_args

SUITES = ("math", "reasoning", "code", "knowledge")
Language = Literal["world", "english"]
LANGUAGES: tuple[str, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class SuiteItem:
    """A question with its alternatives, of which one is right.

    Attributes:
        name: Suite, kind and number, `math/addition/17`; the same item has the same name wherever the seed is the same.
        suite: One of `SUITES`.
        kind: What is asked, such as `addition`.
        template: Its wording.
        cluster: Items of one cluster are no independent evidence.
        question: The whole prompt, without a chat template.
        choices: Different alternatives, in an order that says nothing; none is shown in the prompt as a lettered list.
        gold: Which of them is right.
        form: Regular expression that a bare answer of this kind matches as a whole, right or wrong.
    """

    name: str
    suite: str
    kind: str
    template: str
    cluster: str
    question: str
    choices: tuple[str, ...]
    gold: int
    form: str

    @property
    def answer(self) -> str:
        """The right alternative."""
        return self.choices[self.gold]

    @property
    def chance(self) -> float:
        """Accuracy of picking an alternative blindly."""
        return 1 / len(self.choices)


@dataclass(frozen=True, slots=True)
class Text:
    """A document that a model's loss is measured on.

    Attributes:
        name: Kind and number.
        kind: What it is; documents of one kind are no independent evidence of another kind.
        text: The document.
    """

    name: str
    kind: str
    text: str
