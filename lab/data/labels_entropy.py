"""Is it readable how sure the model is of its next token?"""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from lab.data.labelled import Labelled
from lab.data.labels_places import Writer
from lab.data.labels_rows import Row, gathered
from lab.data.prompts import Prompt
from lab.data.world import CATEGORIES, distinct_questions
from lab.errors import DataError

PLACES = ("inside",)
CLASSES = 4
TOKENS_PER_TEXT = 8

# prompts, which of them [N], which token [N] -> bits of the model's next-token distribution [N]
Entropy = Callable[[list[Prompt], np.ndarray, np.ndarray], np.ndarray]


def next_token_entropy(tokenizer: Any, *, count: int, seed: int, entropy: Entropy, place: str) -> Labelled:
    """Returns tokens of texts of every category, labelled with the quarter their next-token entropy falls in.

    Only tokens that occur in several of the texts are read, and never a text's last.

    Args:
        tokenizer: The model's, a fast one.
        count: Rows, at most.
        seed: Of texts and tokens.
        entropy: Gives the bits at each row; of the model whose certainty is asked for.
        place: `inside`, the only one.

    Raises:
        DataError: The entropies are not finite, or so much alike that they make no two classes.
    """
    prompts, templates, chosen = _tokens(tokenizer, count, seed)
    prompt, position = (np.array(column, dtype=np.int64) for column in zip(*chosen, strict=True))
    label, classes = by_quantile(np.asarray(entropy(prompts, prompt, position), dtype=np.float64), CLASSES)
    rows = [Row(p, t, classes[k], prompts[p].input_ids[t], p, p, templates[p])
            for (p, t), k in zip(chosen, label, strict=True)]
    return gathered(
        rows, prompts, classes, name=f"next_token_entropy@{place}",
        question="How many bits has the model's own next-token distribution at this token?",
        type_is="the token that is read", context_is="a text", follows=("position", "template", "token"))


def by_quantile(bits: np.ndarray, classes: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a class of about the same size for each value [N], from the lowest up, and what each class is called.

    Args:
        bits: [N].
        classes: How many; values that are equal stay together, so there may be fewer.

    Raises:
        DataError: A value is not finite, or all of them fall in one class.
    """
    if not np.isfinite(bits).all():
        raise DataError(f"next_token_entropy: {np.sum(~np.isfinite(bits))} of {len(bits)} entropies are not finite; the "
                        "model gives no distribution there: check it with study `ask`, or choose another model")
    edges = np.quantile(bits, np.arange(1, classes) / classes)
    edges = np.unique(np.where(edges == bits.min(), np.nextafter(edges, np.inf), edges))  # nothing is below the lowest
    label = np.searchsorted(edges, bits, side="right")
    present, label = np.unique(label, return_inverse=True)
    if len(present) < 2:
        raise DataError(f"next_token_entropy: all {len(bits)} entropies are about {np.median(bits):.3g} bits, which makes "
                        "one class; a probe needs two: choose another task or model")
    return label, tuple(f"{bits[label == k].min():.3g} to {bits[label == k].max():.3g} bits" for k in range(len(present)))


def _tokens(tokenizer: Any, count: int, seed: int) -> tuple[list[Prompt], list[str], list[tuple[int, int]]]:
    """Texts, their templates, and which tokens of which text are read."""
    rng, writer = Random(f"next_token_entropy {seed}"), Writer(tokenizer)
    each = max(2, -(-count // (TOKENS_PER_TEXT * len(CATEGORIES))))
    items = [item for category in CATEGORIES for item in distinct_questions(category, each, seed)]
    prompts = [writer.tell(f"{item.category} {i}", item.category, item.text).prompt for i, item in enumerate(items)]
    texts_with: dict[int, set[int]] = {}
    for p, prompt in enumerate(prompts):
        for token in prompt.input_ids[:-1]:
            texts_with.setdefault(token, set()).add(p)
    chosen = []
    for p, prompt in enumerate(prompts):
        readable = [t for t, token in enumerate(prompt.input_ids[:-1]) if len(texts_with[token]) > 1]
        chosen += [(p, t) for t in sorted(rng.sample(readable, min(TOKENS_PER_TEXT, len(readable))))]
    return prompts, [item.template for item in items], sorted(rng.sample(chosen, min(count, len(chosen))))
