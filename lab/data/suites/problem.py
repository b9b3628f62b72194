"""What a question is before its alternatives are chosen, and the forms of bare answers."""

from collections.abc import Iterable
from dataclasses import dataclass

CHOICES = 4

# No form takes a full stop at the end: nothing that the suites ask is answered in a sentence, and a model that begins
# to end its answers so has changed its style, which is what forms are there to see.
NUMBER = r"-?\d+(\.\d+)?"
NUMBERS = r"-?\d+( -?\d+)+"
TRUTH = "True|False"
WORD = "[a-z]+"
LIST = r"\[[^\n]*\]"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its answer, and what may stand beside the answer.

    Attributes:
        kind: What is asked.
        template: Its wording.
        question: The whole prompt.
        answer: The right one.
        form: Regular expression of bare answers of this kind.
        slips: What somebody would say who slipped; the balance chooses among them.
        always: Slips that are among the alternatives in any case.
        choices: How many alternatives are wanted, the answer included.
        stratum: Problems of one kind are taken equally often from each stratum, such as "yes" and "no".
        parts: Values that recur from question to question, with the group each belongs to. Wrong alternatives are then
            made of the parts of other questions, and slips are not asked.
        cluster: Whatever makes problems depend on one another; the template where it is empty.
    """

    kind: str
    template: str
    question: str
    answer: str
    form: str
    slips: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    choices: int = CHOICES
    stratum: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    cluster: str = ""


def closed(words: Iterable[str]) -> str:
    """The form of answers that are one of these words."""
    return "|".join(words)
