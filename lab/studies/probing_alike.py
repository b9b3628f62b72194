"""Similarity of the stream between layers and between tokens, of some questions read in one batch."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from lab.data.prompts import batches
from lab.data.questions import Question
from lab.figures.residual_lines import MODELS, by_layer, depth_names, figure_legend
from lab.figures.residual_maps import model_maps
from lab.figures.theme import color
from lab.models.batch import inputs
from lab.models.rows import adapter_rows
from lab.probing.decomposition import Decomposition
from lab.probing.similarity import Similarity, similarity
from lab.studies.attention_intervals import over_prompts
from lab.studies.probing_measure import as_prompt
from lab.studies.probing_shown import choose
from lab.tracking.run import Run

_FIELDS = ("layers", "layers_centred", "tokens", "tokens_centred")
MOST = 48  # questions, in turn from all categories: their mean is taken off, so they are read together


def similarities(model: Any, questions: Sequence[Question], decomposition: Decomposition, adapters: Sequence[str] | None
                 ) -> list[Similarity]:
    """Returns the similarities of each model.

    Args:
        model: In evaluation mode.
        questions: Some of them are read, of all categories alike.
        decomposition: Of the model or its base.
        adapters: See `lab.studies.probing_measure.measure`.
    """
    models = len(adapters or [None])
    read = [as_prompt(questions[i]) for i in choose(questions, MOST)]
    _, ids, mask = next(batches(read, 0, len(read) * max(len(prompt.input_ids) for prompt in read)))
    given = inputs(model, torch.from_numpy(ids).repeat(models, 1), torch.from_numpy(mask).bool().repeat(models, 1))
    groups = torch.arange(models).repeat_interleave(len(read))
    rows = adapter_rows(model, [name for name in adapters for _ in read]) if adapters else contextlib.nullcontext()
    with rows:
        found = similarity(model, given, decomposition, groups=groups)
    return [Similarity(*(getattr(found, name)[groups.numpy() == number] for name in _FIELDS)) for number in range(models)]


def draw(run: Run, found: Mapping[str, Similarity]) -> None:
    """Keeps maps of layer against layer and lines of token against token.

    Args:
        run: Open.
        found: Model -> its similarities.
    """
    names = depth_names(next(iter(found.values())).layers.shape[1] - 1, embedding=True)
    for name, words, title in (("layers", "cosine of a token's stream", "similarity of layers"),
                               ("layers_centred", "cosine, mean over tokens taken off",
                                "similarity of layers, mean taken off")):
        values = {model: getattr(each, name) for model, each in found.items()}
        run.figure(f"similar_{name}", model_maps(
            {model: each.mean(0) for model, each in values.items()}, names, names, label=words, title=title,
            xlabel="after layer", ylabel="after layer", signed=False), values)
    lines, intervals, looks, arrays = {}, {}, {}, {}
    for kind, (name, words) in enumerate((("tokens", ""), ("tokens_centred", ", mean taken off"))):
        for number, (model, each) in enumerate(found.items()):
            looks[f"{model}{words}"] = (color(kind), *MODELS[number])
            arrays[f"{model}.{name}"] = getattr(each, name)
            mean, low, high = over_prompts(getattr(each, name))
            lines[f"{model}{words}"], intervals[f"{model}{words}"] = mean, np.stack([low, high], -1)
    ax = by_layer(lines, ylabel="cosine of two tokens of a prompt", intervals=intervals, embedding=True, zero="",
                  looks=looks, keys=False,
                  covers=f"questions (n={len(next(iter(found.values())).tokens)})")
    ax.set_title("similarity of tokens", loc="left")
    assert isinstance(ax.figure, Figure)
    figure_legend(ax.figure, ax, columns=2)
    run.figure("similar_tokens", ax.figure, arrays)
