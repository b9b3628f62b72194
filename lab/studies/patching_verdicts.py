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
_AS_UNRELATED, _AS_GOOD = "0: as much as unrelated prompts do there", "0 nats: both name equally good places"
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
            _AS_UNRELATED))
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
            "95 % interval over prompts, paired, lies above 0 nats, refuted if below", _AS_GOOD)]
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
    return exceeds(FEED_FORWARD, ratio(effect - null, found.total), threshold=CARRIES,
                   unit="of the whole effect", null=_AS_UNRELATED,
                   detail=f"held against {CARRIES:g}; patching it does {np.nanmean(effect):.2f} of "
                          f"{np.mean(found.total):.2f} nats, unrelated prompts {np.nanmean(null):.2f} there, which is "
                          "taken off")


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
    beaten = ("relative norm is beaten too" if other.low > 0 else "relative norm does better" if other.high < 0 else
              "relative norm is not beaten: the interval includes 0")
    words += f"; {beaten} (patching minus relative norm {other.value:.2f}, {other.low:.2f} to {other.high:.2f} nats)"
    return exceeds(NAMED, mean(of(PATCHING) - of(NORM)), threshold=0.0, unit="nats",
                   null=_AS_GOOD,
                   detail=f"patching minus norm; what places named by each do, in nats: {words}")


def _places(ranking: Ranking) -> str:
    halves = [", ".join(f"{cell.site} {cell.layers[0]} {cell.role}" for cell in cells) for cells in ranking.named[PATCHING]]
    return "named " + "; on the other half ".join(halves)
