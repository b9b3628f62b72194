"""Heads that are shown whole: which, on which prompts, their maps as files and figure, and the page to browse them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lab.attention.map_request import request_each
from lab.attention.maps import Maps, maps, save
from lab.attention.routing import attention_layers
from lab.data.prompts import Prompt
from lab.errors import OptionError
from lab.figures.attention_maps import compare_maps
from lab.figures.attention_page import Text, page
from lab.models import anatomy
from lab.studies.attention_tables import by_category
from lab.tracking.run import Run

TEXTS = 8  # prompts with maps, at most one of each category while there are so many
LONGEST = 512  # tokens of a prompt that are shown unless others are asked for
READABLE = 40  # tokens whose names can all be read in a figure

Heads = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Shown:
    """The maps of one prompt; N heads over T tokens of it.

    Attributes:
        prompt: Where they were taken.
        first: First token that is shown.
        last: Behind the last.
        base: [N, T, T], of the base or of the only model.
        tuned: [N, T, T], or None.
    """

    prompt: Prompt
    first: int
    last: int
    base: np.ndarray
    tuned: np.ndarray | None


def named(config: Any, model: Any) -> list[tuple[int, int]] | None:
    """Returns the heads that `layers` and `heads` ask for, or None if they ask for none in particular."""
    if config.layers is None and config.heads is None:
        return None
    layers = attention_layers(model) if config.layers is None else config.layers
    heads = range(anatomy.n_heads(model)) if config.heads is None else config.heads
    return [(layer, head) for layer in layers for head in heads]


def token_range(text: str | None) -> tuple[int, int] | None:
    """Returns first and last of `tokens=first:last`.

    Raises:
        OptionError: It is not written so.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.strip().isdigit() and last.strip().isdigit()):
        raise OptionError(f"tokens={text}: allowed is first:last, two whole numbers from 0 on, the last one not included; "
                          "type tokens=0:64")
    return int(first), int(last)


def check(config: Any, model: Any, read: Sequence[Prompt], *, models: int) -> None:
    """Finds out whether the maps fit, before anything is computed: as if all prompts were as long as the longest.

    Args:
        config: With `layers`, `heads`, `tokens`, `shown` and `map_budget_gib`.
        model: A causal language model.
        read: The prompts.
        models: 1, or 2 for base and tuned.

    Raises:
        OptionError: There is no such layer, head or token, or the maps take more than the budget.
    """
    asked = named(config, model)
    if asked is None:  # whichever heads will be shown, they take as much as the first ones
        every = [(layer, head) for layer in attention_layers(model) for head in range(anatomy.n_heads(model))]
        asked = every[:config.shown]
    if not asked:
        return
    longest = max(len(prompt.input_ids) for prompt in read)
    first, last = token_range(config.tokens) or (0, min(LONGEST, longest))
    rows = min(TEXTS, len(read))
    request_each(model, _by_layer(asked), first, last, rows=rows, length=longest, models=models,
                 budget=int(config.map_budget_gib * 2**30))


def choose(read: Sequence[Prompt], strength: np.ndarray, tokens: tuple[int, int] | None) -> list[int]:
    """Returns indices of at most eight prompts: of each category the one where these heads change most, strongest first.

    Args:
        read: The prompts.
        strength: [prompts].
        tokens: A range that a prompt has to reach into.
    """
    there = [i for i, prompt in enumerate(read) if tokens is None or len(prompt.input_ids) > tokens[0]]
    best = [max(members, key=lambda i: strength[i])
            for category in by_category(read).values() if (members := [i for i in category if i in there])]
    others = [i for i in there if i not in best]
    ranked = sorted(best, key=lambda i: -strength[i]) + sorted(others, key=lambda i: -strength[i])
    return ranked[:TEXTS]


def whole_maps(model: Any, prompt: Prompt, heads: Heads, tokens: tuple[int, int] | None, *, adapter: str | None = None,
               routed: bool) -> Maps:
    """Returns the maps of a prompt: of base and adapter, or of the model as it is.

    Args:
        model: In evaluation mode.
        prompt: One that reaches into `tokens`.
        heads: (layer, head).
        tokens: Range that is shown; None for the first 512.
        adapter: Its name, or None.
        routed: See `lab.attention.maps.maps`.
    """
    first, last = tokens or (0, LONGEST)
    length = len(prompt.input_ids)
    asked = request_each(model, _by_layer(heads), first, min(last, length), rows=1, length=length, budget=2**63,
                         models=1 if adapter is None else 2)  # `check` has held it to the budget
    return maps(model, torch.tensor([prompt.input_ids]), None, asked, None if adapter is None else [adapter], routed=routed)


def show(run: Run, read: Sequence[Prompt], taken: Sequence[Maps], heads: Heads, *, facts: dict[str, np.ndarray],
         title: str) -> None:
    """Keeps maps under `maps/`, draws those of one prompt and writes the page.

    Args:
        run: Gets `maps/<prompt>/maps.safetensors`, figure `maps` and `attention.html`.
        read: Prompts to show, strongest first.
        taken: Their maps.
        heads: (layer, head), strongest first.
        facts: By name with its unit, [prompts, L, H] of the same prompts, shown on the page.
        title: Of the page.
    """
    found = [_shown(run, prompt, each, heads) for prompt, each in zip(read, taken, strict=True)]
    drawn = next((i for i, one in enumerate(found) if one.last - one.first <= READABLE),
                 min(range(len(found)), key=lambda i: found[i].last - found[i].first))
    _draw(run, found[drawn], heads, {name: values[drawn] for name, values in facts.items()})
    texts = [Text(one.prompt.name, one.prompt.tokens[one.first:one.last], one.base, one.tuned,
                  {name: np.array([values[i][at] for at in heads]) for name, values in facts.items()})
             for i, one in enumerate(found)]
    run.text("attention.html", page(_fitting(texts), list(heads), title=title))


def words(heads: Heads, read: Sequence[Prompt], which: str) -> str:
    """Returns what the report says of the maps.

    Args:
        heads: (layer, head).
        read: Prompts with maps.
        which: Heads these are: `that change most`.
    """
    return (f"Heads {which}: {', '.join(f'{layer}.{head}' for layer, head in heads)} (layer.head), on "
            f"{', '.join(prompt.name for prompt in read)}. Browse them in `attention.html` among the artifacts; whole maps "
            "are under `maps/`.")


def _shown(run: Run, prompt: Prompt, taken: Maps, heads: Heads) -> Shown:
    first, last = taken.request.first, taken.request.last
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        save(Path(name), taken, [prompt.tokens[first:last]])
        run.files(Path(name), f"maps/{prompt.name.replace('/', '-').replace(' ', '_')}")
    named = taken.request.heads
    whole = np.stack([taken.weights[layer][:, 0, list(named[layer]).index(head)].numpy() for layer, head in heads])
    return Shown(prompt, first, last, whole[:, 0], whole[:, 1] if whole.shape[1] > 1 else None)


def _draw(run: Run, shown: Shown, heads: Heads, facts: dict[str, np.ndarray]) -> None:
    divergence = facts.get("divergence (nats)")
    few = list(heads)[:6]  # more rows than that cannot be looked at in one figure; the page has all
    values = None if divergence is None else np.array([divergence[at] for at in few])
    base, tuned = shown.base[:len(few)], None if shown.tuned is None else shown.tuned[:len(few)]
    tokens = shown.prompt.tokens[shown.first:shown.last]
    figure = compare_maps(base, tuned, tokens, few, divergence=values)
    figure.suptitle(f"prompt: {shown.prompt.name}")
    run.figure("maps", figure, {"base": base, **({} if tuned is None else {"tuned": tuned}),
                                "heads": np.array(few), "tokens": np.array(tokens)})


def _fitting(texts: list[Text]) -> list[Text]:
    """The first texts of which at least every head can be on one page, one text at the least."""
    from lab.figures.attention_page import BUDGET, bytes_of_maps

    heads, paired = len(texts[0].base), texts[0].tuned is not None
    count = len(texts)
    while count > 1 and bytes_of_maps([len(text.tokens) for text in texts[:count]], heads, paired=paired) > 0.9 * BUDGET:
        count -= 1
    return texts[:count]


def _by_layer(heads: Heads) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for layer, head in heads:
        found.setdefault(layer, []).append(head)
    return found
