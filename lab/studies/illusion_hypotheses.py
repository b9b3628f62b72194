"""What is claimed before anything is trained, in the paper's words, and what may not be concluded either way."""

from typing import Any

from lab.tracking.hypotheses import Hypothesis

ALMOST_NONE = 0.1  # of the weights have an intruder at all
HARDLY = 0.05  # of what was learned
SIGNIFICANT = 0.05
MATCHED = "lora_has_more_intruders_than_full"
NONE_IN_FULL = "full_has_almost_no_intruders"
BEYOND_RANDOM = "lora_has_more_intruders_than_random_directions"
WITH_FORGETTING = "more_intruders_more_forgetting"
AT_EQUAL_NORM = "more_intruders_more_forgetting_at_equal_norm"
SAVES = "scaling_intruders_saves"
BEYOND_SHRINKING = "scaling_intruders_saves_more_than_shrinking"
BEYOND_NEIGHBOURS = "scaling_intruders_saves_more_than_neighbours"
LEARNING_KEPT = "scaling_intruders_hardly_costs_learning"
SCALING = (SAVES, BEYOND_SHRINKING, BEYOND_NEIGHBOURS, LEARNING_KEPT)
LIMITS = [
    "Forgetting is what held-out documents cost more than under the base, in bits per byte, as in the paper; lost points "
    "of accuracy stand beside it. Documents are the finer measure: each of their tokens counts, a question only when it "
    "flips.",
    "Matched is the loss of the last step, as near as the rates tried come, of trainings that learned at least half of what "
    "the best did; losses further apart than a twentieth of what was learned are not called matched. The gap that is left "
    "stands in the table; a gap above 0 means that the whole model learned more.",
    "An intruder is a direction that no single direction of the base resembles. Almost every random direction is one: it "
    "shows that an update is strong there, not that it is wrong. What random directions of the same sizes make stands "
    "beside every count.",
    "Trainings differ in rank and rate, and the rate drives size, intruders and forgetting together: a correlation over "
    "them is no cause. Held fixed is the size by its rank only, in a straight line. The interval over trainings treats "
    "them as drawn from many alike, which a grid of rates is not.",
    "Scaling an intruder shrinks what the base has along it too. The whole update is shrunk to the same norm over all "
    "weights together, not weight by weight; neighbours are scaled by the same factor and hold more of the base.",
    "One small model and one task: another base, width or task may come out otherwise.",
]


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what the study claims.

    Args:
        config: Of the study.
    """
    return [*_counts(config), *_correlations(), *_scaling(config)]


def _counts(config: Any) -> list[Hypothesis]:
    at, k = f"ε = {config.epsilon:g}", config.k
    over = "training seeds" if config.seeds > 1 else "layers"
    return [
        Hypothesis(MATCHED, f"Paper: LoRA at r ≤ 16 (RoBERTa) always has intruder dimensions where full fine-tuning has "
                            f"almost none. Here: at matched loss adapters have more per weight, of {k} at {at}.",
                   f"intruders per weight, adapter minus whole model, mean over ranks: supported if the 95 % interval over "
                   f"{over} lies above 0, refuted if below", "0: alike"),
        Hypothesis(NONE_IN_FULL, "Paper: full fine-tuning has almost none, even at ε = .6 to .9. Here: of the weights of "
                                 f"the whole models that are matched fewer than {ALMOST_NONE:.0%} have any at {at}.",
                   f"{ALMOST_NONE:g} minus the share of weights with an intruder: supported if its exact 95 % interval lies "
                   "above 0, refuted if below", f"0: {ALMOST_NONE:.0%} of weights"),
        Hypothesis(BEYOND_RANDOM, "Not in the paper: the matched adapters have more intruders than the same updates turned "
                                  "into random directions.",
                   "intruders per weight minus those of random directions of the same sizes, mean over ranks: supported if "
                   "the 95 % interval of its difference to single draws, over layers and draws, lies above 0, refuted if "
                   "below", "0: as random directions of the same sizes"),
    ]


def _correlations() -> list[Hypothesis]:
    rule = (f"supported if its 95 % bootstrap interval over trainings lies above 0 and the permutation p is under "
            f"{SIGNIFICANT:g}, refuted if the interval lies below 0 with such a p; undecided under 8 trainings")
    return [
        Hypothesis(WITH_FORGETTING, "Paper: intruders and forgetting correlate, Spearman .971 (RoBERTa on MNLI over "
                                    "learning rates), .59 (Llama-2-7B). Here: over adapters of all ranks and rates.",
                   f"Spearman's correlation: {rule}", "0: no relation"),
        Hypothesis(AT_EQUAL_NORM, "Not in the paper: they correlate also when the size of the update, ‖Δ‖ / ‖W‖, is held "
                                   "fixed.",
                   f"partial rank correlation: {rule}", "0: no relation at equal size"),
    ]


def _scaling(config: Any) -> list[Hypothesis]:
    factor = config.factors[0]
    which = "all intruders" if config.scaled is None else f"the {config.scaled} strongest intruders"
    here = f"Here: {which} among the {config.k} strongest directions of every weight times {factor:g}"
    by_documents = "supported if its 95 % interval over documents lies above 0, refuted if below"
    return [
        Hypothesis(SAVES, "Paper: the top intruder times 0.7 takes away 33.2 % of forgetting (RoBERTa on QQP, r=8). "
                          f"{here} makes documents cost less.",
                   f"bits per byte saved beside the whole adapter: {by_documents}", "0: nothing saved"),
        Hypothesis(BEYOND_SHRINKING, "Implied by the paper, which has no such control: this saves more than the whole "
                                     f"update shrunk to the same norm. {here}.",
                   f"bits per byte saved beside the shrunk update: {by_documents}", "0: as shrunk"),
        Hypothesis(BEYOND_NEIGHBOURS, "Paper: neighbours that are no intruders, scaled alike, do not do so. "
                                      f"{here} saves more than its neighbours times {factor:g}.",
                   f"bits per byte saved beside scaled neighbours: {by_documents}", "0: as neighbours"),
        Hypothesis(LEARNING_KEPT, "Paper: accuracy falls by 0.0 % (QQP, r=8, times 0.7). "
                                  f"{here} takes away less than {HARDLY:.0%} of what was learned.",
                   f"{HARDLY:g} minus the share of the fall of held-out loss that is gone: supported if its 95 % interval "
                   "over rows lies above 0, refuted if below", f"0: {HARDLY:.0%} gone"),
    ]
