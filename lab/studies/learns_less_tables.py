"""The tables of arms, rates, checkpoints and suites, and the numbers by which such studies are compared."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.evaluation.intervals import Estimate
from lab.studies.learns_less_arms import FULL, Tuned
from lab.studies.learns_less_curves import combined
from lab.studies.learns_less_hypotheses import BITS, NATS, POINTS
from lab.studies.learns_less_verdicts import Evidence, difference
from lab.studies.training_options import compact
from lab.studies.trials import Trial
from lab.tracking.hypotheses import Verdict
from lab.tracking.report import cell

MEASURES = (("learned", "learned", NATS), ("lost", "lost", POINTS), ("text", "text lost", BITS))


def arms(evidence: Evidence, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Returns one line for each arm at its best rate, at the last step, with intervals over seeds and items."""
    return [_arm(evidence, one, trials) for one in evidence.tuned]


def rates(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Returns one line for each arm and rate tried."""
    return [{"arm": one.arm.name, "lr": compact(lr), f"loss on the rows for choosing ({NATS})":
             None if np.isnan(loss) else round(loss, 4), "chosen": lr == one.lr,
             "remark": "diverged" if np.isnan(loss) else one.remark if lr == one.lr else None}
            for one in tuned for lr, loss in one.losses.items()]


def checkpoints(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns one line for each training at a best rate and each of its checkpoints."""
    return [{"arm": arm, "seed": seed, "step": int(step), f"learned ({NATS})": round(float(curve.learned[0, at]), 4),
             f"lost ({POINTS})": round(float(curve.lost[0, at]), 3),
             f"text lost ({BITS})": round(float(curve.text[0, at]), 5)}
            for seed, of_seed in evidence.curves.items() for arm, curve in of_seed.items()
            for at, step in enumerate(curve.steps)]


def suites(evidence: Evidence, chosen: Sequence[tuple[str, Trial]]) -> list[dict[str, Any]]:
    """Returns one line for each suite: what the base could, and how many points each arm lost of it, mean over seeds.

    Args:
        evidence: Of the study.
        chosen: Arm and training, of those at the best rates that ran to their end.
    """
    if not chosen:
        return []
    table = []
    for suite, right in chosen[0][1].correct.items():
        row: dict[str, Any] = {"suite": suite, "questions": right.shape[1],
                               "right under the base (%)": round(100 * float(right[0].mean()), 1)}
        for one in evidence.tuned:
            mine = [trial.correct[suite] for arm, trial in chosen if arm == one.arm.name]
            lost = [100 * float(each[0].mean() - each[-1].mean()) for each in mine]
            row[f"lost by {one.arm.name} (points)"] = round(float(np.mean(lost)), 2) if lost else None
        table.append(row)
    return table


def metrics(evidence: Evidence, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Returns the figures by which studies are compared, under their metric names."""
    names = {"lora_learns_less": "learning/full_minus_lora_nats_per_token",
             "lora_forgets_less": "forgetting/full_minus_lora_lost_points",
             "lora_forgets_less_text": "forgetting/full_minus_lora_text_bits_per_byte",
             "forgets_less_at_equal_learning": "forgetting/full_minus_lora_at_equal_learning_points",
             "full_update_high_rank": "geometry/full_update_rank_90_share"}
    found = {names[each.name]: each.value for each in verdicts if each.name in names and each.value is not None}
    for one in evidence.tuned:
        for measure, _, _ in MEASURES:
            value = _own(evidence, one.arm.name, measure)
            if value is not None:
                unit = {"learned": "nats_per_token", "lost": "points", "text": "bits_per_byte"}[measure]
                room = "learning" if measure == "learned" else "forgetting"
                found[f"{room}/{one.arm.name.replace('=', '_')}_{measure}_{unit}"] = value.value
    return found


def _arm(evidence: Evidence, one: Tuned, trials: Sequence[Trial]) -> dict[str, Any]:
    name = one.arm.name
    mine = [trial for trial in trials if trial.r == one.arm.r and trial.lr == one.lr]
    came_apart = [str(trial.seed) for trial in mine if trial.diverged_at is not None]
    row: dict[str, Any] = {"arm": name, "best rate": compact(one.lr) if one.lr is not None else None,
                           "trainable parameters": mine[0].parameters if mine else None,
                           "seeds": sum(name in of_seed for of_seed in evidence.curves.values())}
    for measure, words, unit in MEASURES:
        row[f"{words} ({unit})"] = _shown(_own(evidence, name, measure))
    for measure, words, unit in MEASURES[:2]:
        row[f"{words}, full minus it ({unit})"] = None if name == FULL else _shown(difference(evidence, measure, [name]))
    remarks = [one.remark, f"diverged: seed {', '.join(came_apart)}" if came_apart else ""]
    return {**row, "remark": "; ".join(filter(None, remarks)) or None}


def _own(evidence: Evidence, name: str, measure: str) -> Estimate | None:
    seeds = [of_seed[name] for of_seed in evidence.curves.values() if name in of_seed]
    if not seeds:
        return None
    return combined(np.array([getattr(curve, measure)[:, -1] for curve in seeds]),
                    least=seeds[0].least if measure == "lost" else 0.0)


def _shown(found: Estimate | None) -> str | None:
    return None if found is None else f"{cell(found.value)} ({cell(found.low)} to {cell(found.high)})"
