"""Questions whose lens is drawn layer by layer and token by token."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.data.questions import Question
from lab.data.token_labels import token_labels
from lab.errors import OptionError
from lab.figures.lens_positions import MOST, lens_positions
from lab.models.batch import inputs
from lab.models.rows import adapter_rows
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.logit_lens import logit_lens
from lab.studies.attention_shown import token_range
from lab.studies.probing_questions import of_category
from lab.tracking.run import Run


@dataclass(frozen=True)
class Read:
    """What the lens puts first at every layer and token of one question.

    Attributes:
        said: [L, T], token ids.
        share: [L, T], their probabilities.
    """

    said: np.ndarray
    share: np.ndarray


def check(config: Any, questions: Sequence[Question]) -> None:
    """Refuses a range of tokens that a drawn question does not have.

    Raises:
        OptionError: It names the question and its length.
    """
    asked = token_range(config.tokens)
    if asked is None:
        return
    for index in choose(questions, config.shown):
        length = len(questions[index].input_ids)
        if not 0 <= asked[0] < asked[1] <= length:
            raise OptionError(f"tokens={config.tokens}: question {questions[index].name} has tokens 0 to {length - 1}; type "
                              f"tokens=0:{length}, or shown=0")


def choose(questions: Sequence[Question], count: int) -> list[int]:
    """Returns indices of so many questions, one of each category in turn."""
    groups = list(of_category(questions).values())
    in_turn = [group[place] for place in range(max(map(len, groups))) for group in groups if place < len(group)]
    return in_turn[:count]


def read(model: Any, questions: Sequence[Question], decomposition: Decomposition, final: Final,
         adapters: Sequence[str] | None) -> list[list[Read]]:
    """Returns of every model what the lens says first at every layer and token of each question.

    Args:
        model: In evaluation mode.
        questions: A few.
        decomposition: Of the model or its base.
        final: Likewise.
        adapters: See `lab.studies.probing_measure.measure`.
    """
    models = len(adapters or [None])
    found: list[list[Read]] = [[] for _ in range(models)]
    for question in questions:
        ids = torch.tensor([question.input_ids]).repeat(models, 1)
        places = torch.arange(ids.shape[1]).expand(models, -1)
        answer, foil = (torch.full((models,), each) for each in (question.answer_id, question.foil_id))
        with adapter_rows(model, adapters) if adapters else contextlib.nullcontext():
            lens = logit_lens(model, inputs(model, ids), decomposition, final, places, answer, foil, top=1)
        for number in range(models):
            found[number].append(Read(lens.top[number, :, :, 0], lens.top_probability[number, :, :, 0]))
    return found


def draw(run: Run, config: Any, tokenizer: Any, questions: Sequence[Question], found: dict[str, list[Read]]) -> None:
    """Draws each question for each model.

    Args:
        run: Open.
        config: With `tokens` and `layers`.
        tokenizer: Of the questions.
        questions: That were read.
        found: Model -> what the lens said.
    """
    for place, question in enumerate(questions):
        first, last = token_range(config.tokens) or (max(0, len(question.input_ids) - MOST), len(question.input_ids))
        for model, each in found.items():
            one = each[place]
            layers = list(range(len(one.said))) if config.layers is None else list(config.layers)
            said, share = one.said[layers, first:last], one.share[layers, first:last]
            figure = lens_positions(
                share, [token_labels(tokenizer, row.tolist()) for row in said], question.tokens[first:last],
                answer=token_labels(tokenizer, [question.answer_id])[0], names=[str(layer) for layer in layers],
                title=f"{question.name}, {model}", most=last - first, first=first)
            name = question.name.replace(" ", "_").replace("/", "_")
            run.figure(f"lens_tokens/{name}_{model.replace(' ', '_')}", figure,
                       {"said": one.said, "share": one.share, "tokens": np.array(question.input_ids)})
