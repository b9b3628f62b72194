"""Which suites a run is held to: the lab's own in the model's language, and tasks of the harness by name."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.data import suites
from lab.data.suites.item import SUITES, SuiteItem, Text
from lab.errors import OptionError
from lab.evaluation import harness
from lab.evaluation.asking import TEXT
from lab.models.loading import Base
from lab.studies.attention_prompts import AUTO, knows_the_world
from lab.tracking.run import Run

OWN = (*SUITES, TEXT)
_WORLD, _ENGLISH = "world", "english"
_WITHOUT_DATA = {_ENGLISH: ("knowledge",)}  # what a language has no items for


@dataclass(frozen=True)
class Suites:
    """Everything that base and tuned model are asked.

    Attributes:
        items: The lab's own questions by suite.
        texts: The lab's own documents.
        named: Tasks of the harness by the names that were asked for.
        chat: Whether questions go through the chat template.
    """

    items: dict[str, list[SuiteItem]] = field(repr=False)
    texts: list[Text] = field(repr=False)
    named: dict[str, list[Any]] = field(repr=False)
    chat: bool

    @property
    def judged(self) -> list[str]:
        """Suites of which items are right or wrong."""
        return [*self.items, *(name for name, each in self.named.items() if each[0].OUTPUT_TYPE != "loglikelihood_rolling")]

    @property
    def read(self) -> list[str]:
        """Suites of texts."""
        return [*([TEXT] if self.texts else []), *(name for name in self.named if name not in self.judged)]


def named(config: Any) -> dict[str, list[Any]]:
    """Returns the harness's own tasks that a study asks for, before any model is loaded.

    Args:
        config: Of the study: `tasks`.

    Raises:
        OptionError, DataError: See `lab.evaluation.harness.named`.
    """
    asked = [name for name in dict.fromkeys(config.tasks) if name not in (AUTO, *OWN)]
    for name in asked:
        near = difflib.get_close_matches(name, [*OWN, AUTO], n=1, cutoff=0.75)
        if near:
            raise OptionError(f"tasks={name} is unknown; did you mean {near[0]}? Allowed are {AUTO}, {', '.join(OWN)} and "
                              "every task of the harness")
    return harness.named(asked)


def build(run: Run, config: Any, base: Base | None, others: dict[str, list[Any]]) -> Suites:
    """Returns what is asked, recorded as inputs of the run.

    Args:
        run: Open.
        config: Of the study: `tasks`, `items`, `documents`, `language`, `chat` and `seed`.
        base: The model; its tokenizer decides on the language and the template.
        others: From `named`.

    Raises:
        OptionError: A suite has no items in this language, or a chat template is asked for and there is none.
    """
    assert base is not None
    language = of(base) if config.language == AUTO else config.language
    wanted = _wanted(config.tasks, language)
    chat = _chat(config.chat, base.tokenizer)
    items = {name: suites.build(name, language, count=config.items, seed=config.seed) for name in wanted if name != TEXT}
    texts = suites.texts(language, count=config.documents, seed=config.seed) if TEXT in wanted else []
    recorded: dict[str, Sequence[Any]] = {**items, **({TEXT: texts} if texts else {})}
    for name, rows in recorded.items():
        digest = hashlib.sha256(json.dumps([asdict(row) for row in rows]).encode()).hexdigest()
        run.dataset(f"{language}:{name}", f"sha256:{digest}", f"{language}:{name} seed={config.seed}", "evaluation",
                    len(rows), {})
    run.params({"suites.language": language, "suites.chat": chat})
    return Suites(items, texts, others, chat)


def of(base: Base) -> str:
    """Returns the language that a model's suites are in: the micro-world's own, or English."""
    return _WORLD if knows_the_world(base) else _ENGLISH


def available(language: str) -> list[str]:
    """Returns the suites of questions that a language has."""
    return [name for name in SUITES if name not in _WITHOUT_DATA.get(language, ())]


def _wanted(asked: Sequence[str], language: str) -> list[str]:
    missing = _WITHOUT_DATA.get(language, ())
    for name in asked:
        if name in missing:
            raise OptionError(f"tasks={name}: {language} has no facts of its own that would be known without a dataset; "
                              "name tasks of the harness instead, such as tasks=auto,arc_easy,hellaswag")
    every = [*available(language), TEXT]
    return [name for name in every if AUTO in asked or name in asked]


def _chat(asked: str, tokenizer: Any) -> bool:
    has = bool(tokenizer.chat_template)
    if asked == "true" and not has:
        raise OptionError("chat=true: the tokenizer has no chat template; type chat=auto or chat=false")
    return has if asked == AUTO else asked == "true"
