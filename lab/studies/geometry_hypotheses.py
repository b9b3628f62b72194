"""What the geometry of an update is asked, stated before anything is computed."""

from collections.abc import Sequence

from lab.adapters.ablation import Ablation
from lab.tracking.hypotheses import Hypothesis

MINIMUM_LAYERS = 3  # layers are resampled whole; of fewer a bootstrap says nothing
AS_RANDOM_FACTORS = "0: as random factors of the same shapes"
AS_GAUSSIAN = "0: as a Gaussian matrix of the same shape"
AS_RANDOM = "0: as random directions of the same sizes"
AS_WEIGHT = "0: as large as the weight there"
NO_DEPTH = "0: depth makes no difference"
NO_RANK = "0: rank makes no difference"
AS_SHRUNK = "0: as shrunk"
TO_DRAWS = "the 95 % interval of its difference to single draws, over layers and draws,"
_BY_ROWS = "supported if its 95 % interval lies above 0, refuted if below"
OVER_LAYERS = "its 95 % interval over layers"


def hypotheses(*, layers: int, ranks: Sequence[int] = (), seeds: int = 1, pairs: int = 0, dense: bool = False,
               ablations: Sequence[Ablation] = (), held_out: bool = False, base_text: bool = False) -> list[Hypothesis]:
    """Returns what there is the data to ask.

    Args:
        layers: That the update changes; of fewer than 3 nothing is asked about modules.
        ranks: Of the adapters.
        seeds: Of every rank, where the ranks are compared.
        pairs: Of adapters that differ in the seed only.
        dense: Whether the update is a difference of whole weights.
        ablations: What is taken away.
        held_out: Whether the loss on held-out rows is measured.
        base_text: Whether that on what the base was good at is.
    """
    found = []
    if layers >= MINIMUM_LAYERS:
        found += [_of_modules(name, dense) for name in (
            "fewer_directions_than_chance", "more_intruders_than_random", "aligned_with_weight", "exceeds_weight_along_it",
            "deeper_layers_change_more") if dense or max(ranks, default=0) > 1 or name != "fewer_directions_than_chance"]
        if pairs:
            found.append(_of_modules("seeds_share_top_direction", dense))
        if len(set(ranks)) > 1:
            found.append(_of_ranks(seeds))
    for ablation in ablations:
        if ablation.kind == "scale":  # it is its own control
            continue
        if held_out:
            found.append(_of_loss(ablation))
        if base_text:
            found.append(_of_base(ablation))
    return found


def _of_modules(name: str, dense: bool) -> Hypothesis:
    chance = ("a Gaussian matrix of the same shape", AS_GAUSSIAN) if dense else (
        "random factors of the same shapes", AS_RANDOM_FACTORS)
    statement, rule, null = {
        "fewer_directions_than_chance": (
            f"The update has a lower effective rank than {chance[0]}.",
            f"log2(effective rank of {chance[0]} / that of the update), mean over modules: supported if {TO_DRAWS} lies "
            "above 0, refuted if below", chance[1]),
        "more_intruders_than_random": (
            "The tuned weights have more intruder dimensions than the same update in random directions would make.",
            f"intruders per module minus those with Haar-random directions: supported if {TO_DRAWS} lies above 0, refuted "
            "if below", AS_RANDOM),
        "aligned_with_weight": (
            "The update points along directions in which the weight is stronger than in random ones.",
            f"log2(‖PᵀWQ‖ / that of random P, Q), mean over modules: supported if {TO_DRAWS} lies above 0, refuted if below",
            AS_RANDOM),
        "exceeds_weight_along_it": (
            "Along its own directions the update is larger than the weight (LoRA's amplification factor above 1).",
            f"log2(‖Δ‖ / ‖PᵀWQ‖), mean over modules: supported if {OVER_LAYERS} lies above 0, refuted if below; whether "
            "that is due to the directions is told by the factor in random ones, given beside it",
            AS_WEIGHT),
        "deeper_layers_change_more": (
            "Deeper layers change more, relative to their weights.",
            "slope of log2(‖Δ‖ / ‖W‖) from the first layer to the last, each kind of module around its own mean: supported "
            f"if {OVER_LAYERS} lies above 0, refuted if below", NO_DEPTH),
        "seeds_share_top_direction": (
            "Trainings that differ in the seed write and read along the same strongest direction more than random ones.",
            "φ(1, 1) of B·A, mean of both sides, modules and pairs, minus that of random directions: supported if "
            f"{TO_DRAWS} lies above 0, refuted if below", "0: as random directions"),
    }[name]
    return Hypothesis(name, statement, rule, null)


def _of_ranks(seeds: int) -> Hypothesis:
    over = "training seeds" if seeds > 1 else "layers"
    return Hypothesis("effective_rank_grows_with_rank", "A larger rank uses more directions.",
                      "least-squares slope of log2(effective rank) on log2(rank), mean over modules: supported if its 95 % "
                      f"interval over {over} lies above 0, refuted if below; 1 would be in proportion", NO_RANK)


def _of_loss(ablation: Ablation) -> Hypothesis:
    return Hypothesis(f"{ablation.name}_costs_more_than_shrinking",
                      f"The adapter {ablation.words} (`{ablation.text}`) has lost more of what was learned than the whole "
                      "one shrunk to its norm.",
                      f"held-out loss minus that of the shrunk update: {_BY_ROWS}", AS_SHRUNK)


def _of_base(ablation: Ablation) -> Hypothesis:
    return Hypothesis(f"{ablation.name}_keeps_more_of_the_base",
                      f"The adapter {ablation.words} (`{ablation.text}`) leaves more of what the base was good at than the "
                      "whole one shrunk to its norm.",
                      f"loss of the shrunk update on the base's text minus its own: {_BY_ROWS}", AS_SHRUNK)
