"""What a comparison of attention is asked, stated before anything is computed."""

from collections.abc import Sequence

from lab.tracking.hypotheses import Hypothesis

MINIMUM_PROMPTS = 5  # a bootstrap over fewer says nothing
MAJORITY = 0.5
TOP = 0.1
NO_DIRECTIONS = "0.95 to 1: the directions of the update do not matter"
AS_RANDOM = "0: as random directions"
NO_LEARNING = "0: as an adapter that had nothing to learn"
NO_AGREEMENT = "0: as a draw of the other seed's size"
NO_RANK = "0: rank makes no difference"
TO_DRAWS = "the 95 % interval of its difference to single draws from the null, over prompts and draws,"


def hypotheses(*, prompts: int, null: bool = True, direct: bool = True, placebo: bool = False, seeds: int = 1,
               ranks: Sequence[int] = ()) -> list[Hypothesis]:
    """Returns what a comparison has the data to ask.

    Args:
        prompts: How many; with fewer than 5 nothing is asked.
        null: Whether there are draws from the null.
        direct: Whether direct change is measured, of the draws too.
        placebo: Whether there is a placebo adapter.
        seeds: Adapters with a null that differ in the training seed only.
        ranks: Of a sweep that is compared as a whole.
    """
    asked = {
        "more_than_placebo": placebo, "most_heads_unchanged": null, "later_layers_change_more": null and direct,
        "change_is_concentrated": null, "reproducible_over_seeds": null and seeds >= 2,
        "change_grows_with_rank": len(set(ranks)) >= 2}
    return [_STATED[name] for name, has in asked.items() if has and prompts >= MINIMUM_PROMPTS]


_STATED = {hypothesis.name: hypothesis for hypothesis in (
    Hypothesis(
        "most_heads_unchanged", "Most heads attend no more differently than after an update of the same size in random "
        "directions.",
        "share of heads not called by the max-statistic test over all heads, base and tuned against draws with the same "
        "singular values; the interval goes down to the share within 95 % of their own draws alone, each end with its 95 % "
        "interval over prompts: supported if it lies above half, refuted if below, which says that directions matter, not "
        "that anything was learned", NO_DIRECTIONS),
    Hypothesis(
        "later_layers_change_more", "By their own weights later layers change their attention more, for the size of their "
        "update.",
        "slope over layers of ln(direct change / its mean over the draws), mean over heads, minus that slope of draws held "
        f"against the other draws: supported if {TO_DRAWS} lies above 0, refuted if below", AS_RANDOM),
    Hypothesis(
        "change_is_concentrated", "The change is held by fewer heads than an update of the same size in random directions "
        "would move.",
        f"share of all divergence in the most changed {TOP:.0%} of heads, minus that of draws: supported if {TO_DRAWS} "
        "lies above 0, refuted if below", AS_RANDOM),
    Hypothesis(
        "more_than_placebo", "The tuned adapter changes attention more than one trained as long on the base's own data.",
        "divergence of the tuned minus that of the placebo adapter on the same prompts, mean over heads: supported if its "
        "95 % interval over prompts lies above 0, refuted if below", NO_LEARNING),
    Hypothesis(
        "reproducible_over_seeds", "Another training seed changes the same heads.",
        "rank correlation over heads of ln(change / its mean over the draws) between seeds, minus that of a seed with draws "
        f"of another seed's size: supported if {TO_DRAWS} lies above 0, refuted if below", NO_AGREEMENT),
    Hypothesis(
        "change_grows_with_rank", "A larger rank changes attention more.",
        "least-squares slope of log2(mean divergence) on log2(rank): supported if its 95 % interval (over training seeds if "
        "there are several, else over prompts) lies above 0, refuted if below", NO_RANK))}
