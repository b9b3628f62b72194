"""The rank of what full fine-tuning added: read from what the trainings kept, averaged, and told by kind of matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.adapters.full_rank import UpdateRank, update_ranks
from lab.adapters.places import places
from lab.evaluation.intervals import Estimate
from lab.studies.learns_less_curves import DRAWS, combined
from lab.studies.trials import Trial
from lab.tracking.run import Run

Ranks = Mapping[int, Sequence[UpdateRank]]


def measure(run: Run, trials: Sequence[Trial], config: Any) -> dict[int, list[UpdateRank]]:
    """Returns by seed how many directions the last weights of full fine-tunes have more than their base.

    Args:
        run: Open; the trainings become its sources.
        trials: Full fine-tunes.
        config: Of the study, for the device.

    Raises:
        BaseMismatch: The base lies where it lay and is another one now.
    """
    from lab.adapters.difference import pairs
    from lab.devices import choose
    from lab.models.fingerprint import fingerprint
    from lab.models.references import folder_of, resolve
    from lab.models.tuned import check_fingerprint
    from lab.tracking import capsule

    kind = choose(config.device, config.dtype)
    found = {}
    for trial in trials:
        kept = capsule.fetch(f"{trial.run_id}@last")
        capsule.use(run, kept)
        given = kept.manifest["base_reference"]["resolved"]
        base = folder_of(resolve(given))
        check_fingerprint(kept, given, fingerprint(base))
        found[trial.seed] = update_ranks(pairs(base, kept.folder), device="cpu" if kind.kind == "mps" else kind.device)
    return found


def estimate(ranks: Ranks, quantity: str, middle: int) -> Estimate:
    """Returns the mean over the matrices with an interval over layers and seeds.

    Args:
        ranks: By seed.
        quantity: `share` of full rank, `times` a LoRA rank, or `below` the Gaussian's, as a share of it.
        middle: The LoRA rank.
    """
    first = next(iter(ranks.values()))
    at, _ = places([one.name for one in first])
    layer = np.unique([at[one.name][0] for one in first], return_inverse=True)[1]
    layers = int(layer.max()) + 1
    drawn = np.random.default_rng(0).multinomial(layers, np.full(layers, 1 / layers), DRAWS)
    times = np.concatenate([np.ones((1, layers)), drawn])[:, layer]  # of each matrix
    values = np.array([times @ [_value(one, quantity, middle) for one in found] / times.sum(1) for found in ranks.values()])
    return combined(values, items=f"layers (n={layers})")


def null(ranks: Ranks, quantity: str, middle: int) -> float:
    """Returns the mean of the same over Gaussian matrices of the same shapes."""
    first = next(iter(ranks.values()))
    return float(np.mean([_scaled(one, float(one.null_rank_90.mean()), quantity, middle) for one in first]))


def kept_exactly(ranks: Ranks) -> bool:
    """Whether every tuned weight was kept in float32."""
    return all(one.kept_exactly for found in ranks.values() for one in found)


def in_words(ranks: Ranks) -> str:
    """Returns what a verdict about the rank has to be read beside."""
    all_of_them = [one for found in ranks.values() for one in found]
    own, noise, weight = (np.mean([value(one) for one in all_of_them]) for value in (
        lambda one: one.rank_90 / one.full, lambda one: one.null_rank_90.mean() / one.full,
        lambda one: one.weight_rank_90 / one.full))
    stable = np.mean([one.stable_rank for one in all_of_them])
    of_noise = np.mean([one.null_stable_rank.mean() for one in all_of_them])
    return (f"share of full rank: update {own:.2g}, Gaussian matrix {noise:.2g}, the base's weight {weight:.2g}; stable "
            f"rank: update {stable:.3g}, Gaussian {of_noise:.3g}")


def rows(ranks: Ranks) -> list[dict[str, Any]]:
    """Returns one line for each kind of matrix: its update, the Gaussian matrix of its shape, and the base's weight."""
    first = next(iter(ranks.values()))
    at, roles = places([one.name for one in first])
    table = []
    for number, role in enumerate(roles):
        mine = [one for found in ranks.values() for one in found if at[one.name][1] == number]
        shape = mine[0].shape
        table.append({
            "matrix": role, "shape": f"{shape[0]} × {shape[1]}", "matrices": len(mine),
            "rank-90 of the update": round(float(np.mean([one.rank_90 for one in mine])), 1),
            "of a Gaussian": round(float(np.mean([one.null_rank_90.mean() for one in mine])), 1),
            "of the base's weight": round(float(np.mean([one.weight_rank_90 for one in mine])), 1),
            "update, share of full rank": round(float(np.mean([one.rank_90 / one.full for one in mine])), 3),
            "Gaussian, share of full rank": round(float(np.mean([one.null_rank_90.mean() / one.full for one in mine])), 3),
            "stable rank of the update": round(float(np.mean([one.stable_rank for one in mine])), 2),
            "stable rank of a Gaussian": round(float(np.mean([one.null_stable_rank.mean() for one in mine])), 2),
            "stable rank of the base's weight": round(float(np.mean([one.weight_stable_rank for one in mine])), 2)})
    return table


def _value(one: UpdateRank, quantity: str, middle: int) -> float:
    return _scaled(one, one.rank_90, quantity, middle)


def _scaled(one: UpdateRank, rank: float, quantity: str, middle: int) -> float:
    if quantity == "share":
        return rank / one.full
    if quantity == "times":
        return rank / middle
    return 1 - rank / float(one.null_rank_90.mean())
