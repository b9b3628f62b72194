"""What a patching study claims before it patches, and what came out."""

from dataclasses import dataclass

import numpy as np

from lab.probing.patching_effects import SUFFICIENCY
from lab.probing.sites import DELTA_FFN
from lab.studies.patching_cells import Effects, Plan
from lab.studies.patching_contrasts import SUBJECT
from lab.studies.patching_intervals import mean, ratio
from lab.studies.patching_ranking import NORM, PATCHING, RANDOM, RELATIVE, Ranking
from lab.studies.rules import exceeds
from lab.tracking.hypotheses import Hypothesis, Verdict

MINIMUM_PROMPTS = 6
CARRIES = 0.1
CONCENTRATED = 0.5
FEED_FORWARD, FEW, NAMED = "feed_forward_at_subject", "few_places_carry_it", "named_by_patching_change_more"


@dataclass(frozen=True)
class Asked:
    """What can be decided.

    Attributes:
        subject: Whether prompts have a subject, and patches go from source to destination.
        ranked: Whether places are ranked.
        top: How many are named.
        pool: Of how many.
    """

    subject: bool
    ranked: bool
    top: int
    pool: int


def hypotheses(asked: Asked, prompts: int, *, trained: bool) -> list[Hypothesis]:
    """Returns what is claimed; nothing with few prompts.

    Args:
        asked: What can be decided.
        prompts: How many.
        trained: Whether base and tuned are patched, not two prompts.
    """
    if prompts < MINIMUM_PROMPTS:
        return []
    what = "what training changed in the answer" if trained else "the answer"
    found = []
    if asked.subject:
        found.append(Hypothesis(
            FEED_FORWARD, f"What the feed-forward blocks add at the subject's tokens carries {what} (as Meng et al. 2022 "
            "found of facts).",
            f"effect of patching it in all layers, minus that of unrelated prompts, over the effect of patching everything "
            f"(ratio of means): supported if its 95 % interval over prompts lies above {CARRIES:g}, refuted if below",
            "0: as much as the change of unrelated prompts does there"))
    if asked.ranked:
        found += [Hypothesis(
            FEW, f"{asked.top} of {asked.pool} places (what a block of a layer adds, at one group of tokens) carry most of "
            f"{what}.",
            f"effect of patching the {asked.top} places named on the other half of the prompts, over the effect of patching "
            f"everything (ratio of means): supported if its 95 % interval over prompts lies above {CONCENTRATED:g}, or "
            "above what places drawn by chance do if that is more; refuted if below",
            f"the same of {asked.top} places drawn by chance"), Hypothesis(
            NAMED, "Places named by patching change the answer more than places ranked by the norm of their change.",
            f"effect of patching the k best places by patching minus that of the k best by norm, mean over k from 1 to "
            f"{asked.top} and over directions, named on one half of the prompts and patched on the other: supported if its "
            "95 % interval over prompts, paired, lies above 0 nats, refuted if below", "0: both name equally good places")]
    return found


def verdicts(asked: Asked, plan: Plan, found: Effects, ranking: Ranking | None, roles: list[str]) -> list[Verdict]:
    """Returns a verdict on each of `hypotheses`."""
    if len(found.total) < MINIMUM_PROMPTS:
        return []
    made = []
    if asked.subject:
        made.append(_feed_forward(plan, found, roles))
    if ranking is not None:
        made += [_few(found, ranking), _named(ranking)]
    return made


def _feed_forward(plan: Plan, found: Effects, roles: list[str]) -> Verdict:
    at = next(index for index, cells in enumerate(plan.joined) if (cells[0].site, cells[0].role) == (DELTA_FFN, SUBJECT))
    one = found.of(plan, "joined")[SUFFICIENCY]
    effect, null = one.effect[:, at], np.nanmean(one.null[..., at], 1)
    share = float(np.nanmean(null) / np.mean(found.total))
    return exceeds(FEED_FORWARD, ratio(effect - null, found.total), threshold=CARRIES, unit="of the whole effect",
                   null=f"{share:.2g}: unrelated prompts",
                   detail=f"{np.nanmean(effect):.2f} of {np.mean(found.total):.2f} nats, unrelated {np.nanmean(null):.2f}")


def _few(found: Effects, ranking: Ranking) -> Verdict:
    direction = next(iter(ranking.effects))
    effects = {method: values[:, -1] for method, values in ranking.effects[direction].items()}
    chance = float(effects[RANDOM].mean() / found.total.mean())
    return exceeds(FEW, ratio(effects[PATCHING], found.total), threshold=max(CONCENTRATED, chance),
                   unit="of the whole effect", null=f"{chance:.2g}: places drawn by chance",
                   detail=f"{direction}: {_places(ranking)}")


def _named(ranking: Ranking) -> Verdict:
    def of(method: str) -> np.ndarray:
        return np.mean([effects[method].mean(1) for effects in ranking.effects.values()], axis=0)

    words = ", ".join(f"{method} {of(method).mean():.2f}" for method in (PATCHING, NORM, RELATIVE, RANDOM))
    other = mean(of(PATCHING) - of(RELATIVE))
    words += f"; patching minus relative norm {other.value:.2f}, {other.low:.2f} to {other.high:.2f}"
    return exceeds(NAMED, mean(of(PATCHING) - of(NORM)), threshold=0.0, unit="nats",
                   null=f"{of(RANDOM).mean():.2g} nats: what places drawn by chance do", detail=f"nats by {words}")


def _places(ranking: Ranking) -> str:
    halves = [", ".join(f"{cell.site} {cell.layers[0]} {cell.role}" for cell in cells) for cells in ranking.named[PATCHING]]
    return "named " + "; on the other half ".join(halves)
