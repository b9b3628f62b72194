"""Induction heads of a model: found on random tokens said twice, and held to what their ablation costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lab.attention.copying import InductionAblation, induction_ablation
from lab.attention.induction import induction
from lab.data.prompts import Prompt
from lab.data.repeated import ordinary_tokens, repeated_random
from lab.data.token_labels import token_labels
from lab.errors import OptionError
from lab.evaluation.intervals import Estimate, over_items
from lab.figures.attention_grids import head_grid
from lab.figures.attention_induction import ablation
from lab.figures.layout import panels
from lab.studies.rules import exceeds, undecided
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.run import Run

RESAMPLES = 2000
NULL = "0: as random heads of the same layers"


@dataclass(frozen=True)
class Copied:
    """Induction scores and what copying loses without the heads that score highest.

    Attributes:
        tokens: [sequences, 2·S].
        vocabulary: Number of tokens that they are drawn from.
        scores: [half of the sequences, L, H], share above uniform, on the half that finds heads.
        ablation: On the other half.
    """

    tokens: np.ndarray
    vocabulary: int
    scores: np.ndarray
    ablation: InductionAblation


def hypotheses() -> list[Hypothesis]:
    """Returns what is claimed of copying before anything is measured."""
    return [
        Hypothesis("copies_random_tokens", "The model copies random tokens that it has seen once before.",
                   "ln(tokens drawn from) − loss on the second copy, nats per token: supported if its 95 % interval over "
                   "sequences lies above 0, refuted if below", "0: guessing among the tokens"),
        Hypothesis("induction_heads_copy", "The heads with the highest induction scores are what copying rests on.",
                   "loss on the second copy without these heads − without as many random others of the same layers, nats "
                   "per token, heads and loss on different sequences: supported if its 95 % interval over sequences and "
                   "random choices lies above 0 and the model copies, refuted if below; undecided if it does not copy",
                   NULL)]


def check(config: Any, model: Any, tokenizer: Any) -> np.ndarray:
    """Returns the tokens that random sequences are drawn from, if all that is asked of them can be done.

    Raises:
        OptionError: The model has too few positions, tokens or heads.
    """
    vocabulary = ordinary_tokens(tokenizer)
    vocabulary = vocabulary[vocabulary < model.get_input_embeddings().weight.shape[0]]
    text = model.config.get_text_config(decoder=True)
    positions = getattr(text, "max_position_embeddings", None)
    if positions is not None and 2 * config.copied > positions:
        raise OptionError(f"copied={config.copied}: {2 * config.copied} tokens are more than this model's {positions} "
                          f"positions; type copied={positions // 2}")
    if config.copied > len(vocabulary):
        raise OptionError(f"copied={config.copied}: this model has {len(vocabulary)} different ordinary tokens; type "
                          f"copied={len(vocabulary)}")
    heads = text.num_attention_heads * text.num_hidden_layers
    if config.ablated is not None and config.ablated > heads:
        raise OptionError(f"ablated={config.ablated}: this model has {heads} heads; type ablated=none")
    return vocabulary


def measure(config: Any, model: Any, vocabulary: np.ndarray, *, routed: bool) -> Copied:
    """Returns where induction heads are and what copying loses without them.

    Args:
        config: Of `attention`.
        model: In evaluation mode.
        vocabulary: From `check`.
        routed: See `lab.attention.induction.induction`.
    """
    tokens = repeated_random(vocabulary, config.copied, config.sequences, config.seed)
    half = config.sequences // 2
    finding, testing = torch.from_numpy(tokens[:half]), torch.from_numpy(tokens[half:])
    scores = induction(model, finding, routed=routed).scores
    lost = induction_ablation(model, testing, scores.mean(0), top=config.ablated or _strong(scores.mean(0)),
                              draws=config.choices, seed=config.seed)
    return Copied(tokens, len(vocabulary), scores.numpy(), lost)


def _strong(scores: torch.Tensor) -> int:
    """How many heads score at least half as high as the best, at most a tenth of all, one at the least."""
    scored = scores[~scores.isnan()]
    return max(1, min(int((scored >= scored.max() / 2).sum()), math.ceil(len(scored) / 10)))


def verdicts(found: Copied) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses`."""
    gain = np.log(found.vocabulary) - found.ablation.intact.nats.numpy()
    accuracy = float(found.ablation.intact.accuracy.mean())
    copies = exceeds("copies_random_tokens", _mean(gain), threshold=0,
                     unit="nats/token", null="0: guessing among the tokens", detail=f"{accuracy:.0%} of the tokens right")
    name = "induction_heads_copy"
    heads = ", ".join(f"{layer}.{head}" for layer, head in found.ablation.top_heads)
    shared = f"; {found.ablation.shared} of them are in every random choice too" if found.ablation.shared else ""
    if copies.outcome != "supported":
        reason = "the model does not copy: there is nothing that heads could be needed for"
        return [copies, undecided(name, unit="nats/token", null=NULL, detail=reason)]
    return [copies, exceeds(name, _cost(found.ablation), threshold=0, unit="nats/token", null=NULL,
                            detail=f"heads {heads}{shared}")]


def draw(run: Run, found: Copied) -> None:
    """Draws induction scores by head, and loss intact, without top heads and without random ones."""
    lost, scores = found.ablation, found.scores.mean(0)
    marks = np.zeros(scores.shape, dtype=bool)
    marks[tuple(np.array(lost.top_heads).T)] = True
    figure, axes = panels(2, width=6.0, height=max(4.4, 2.2 + 0.14 * len(scores)))
    head_grid(scores, "induction", axes[0], marks=marks, marked="ablated")
    ends = {name: _mean(nats.numpy()) for name, nats in (("intact", lost.intact.nats), ("top", lost.top.nats))}
    random = np.array([float(choice.nats.mean()) for choice in lost.random])
    ablation(ends["intact"].value, ends["top"].value, random, axes[1], vocabulary=found.vocabulary,
             heads=len(lost.top_heads), intact_interval=(ends["intact"].low, ends["intact"].high),
             top_interval=(ends["top"].low, ends["top"].high), covers=f"sequences (n={len(lost.intact.nats)})")
    run.figure("induction", figure, {
        "scores": found.scores, "intact_nats": lost.intact.nats.numpy(), "top_nats": lost.top.nats.numpy(),
        "random_nats": np.stack([choice.nats.numpy() for choice in lost.random]), "top_heads": np.array(lost.top_heads),
        "tokens": found.tokens, "intact_accuracy": lost.intact.accuracy.numpy(), "top_accuracy": lost.top.accuracy.numpy()})


def as_prompt(found: Copied, tokenizer: Any) -> Prompt:
    """Returns the first of the sequences that measured the heads, to be shown."""
    ids = found.tokens[len(found.tokens) // 2].tolist()
    return Prompt("random tokens twice", "random tokens", tokenizer.decode(ids), ids, token_labels(tokenizer, ids))


def summary(found: Copied) -> dict[str, float]:
    """Returns the metrics of copying."""
    lost = found.ablation
    return {"attention/induction_best_share": float(np.nanmax(found.scores.mean(0))),
            "attention/second_copy_nats": float(lost.intact.nats.mean()),
            "attention/second_copy_right_share": float(lost.intact.accuracy.mean()),
            "attention/induction_ablation_cost_nats": float(lost.cost.mean())}


def _mean(values: np.ndarray) -> Estimate:
    return replace(over_items(lambda rows: float(values[rows].mean()), len(values)), covers=f"sequences (n={len(values)})")


def _cost(lost: InductionAblation) -> Estimate:
    """What the top heads cost beyond random ones, sequences and choices resampled together."""
    top, random = lost.top.nats.numpy(), np.stack([choice.nats.numpy() for choice in lost.random])  # choices × sequences
    rng = np.random.default_rng(0)

    def cost(rows: Sequence[int] | np.ndarray, choices: Sequence[int] | np.ndarray) -> float:
        return float(top[rows].mean() - random[choices][:, rows].mean())

    drawn = [cost(rng.integers(0, len(top), len(top)), rng.integers(0, len(random), len(random))) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(cost(np.arange(len(top)), np.arange(len(random))), float(low), float(high),
                    f"sequences (n={len(top)}) and random choices of heads (n={len(random)})")
