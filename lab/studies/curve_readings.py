"""Everything measured on one run's curves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.studies.curve_sources import FRESH, Source
from lab.training.curve_comparison import LawComparison, compare_laws
from lab.training.curve_fits import FloorFit, fit_floor
from lab.training.curve_laws import EXPONENTIAL
from lab.training.curve_overfitting import Overfitting, overfitting
from lab.training.curve_plateau import Plateau, plateau
from lab.training.curve_smoothing import Smoothed, smooth
from lab.training.curve_spikes import Spikes, spikes
from lab.training.curves import Curve


@dataclass(frozen=True)
class Reading:
    """What one run's curves say.

    Attributes:
        source: The run.
        smoothed: Its train loss.
        fitted: The held-out points that the laws are fitted to.
        power: Power law with floor.
        exponential: Exponential with floor.
        comparison: Which of them predicts the end.
        plateau: Of the held-out loss.
        overfitting: Of the held-out loss against the train loss.
        spikes: Of the train loss.
        known_floor: Entropy of the data in nats per token and how it is known, or None.
    """

    source: Source
    smoothed: Smoothed
    fitted: Curve
    power: FloorFit
    exponential: FloorFit
    comparison: LawComparison
    plateau: Plateau
    overfitting: Overfitting
    spikes: Spikes
    known_floor: tuple[float, str] | None

    @property
    def usable(self) -> bool:
        """Whether the laws could be fitted."""
        return not self.power.problem


def read(source: Source, config: Any, known_floor: tuple[float, str] | None) -> Reading:
    """Returns what a run's curves say.

    A law that falls cannot describe a curve that rises: where the run overfits, the laws are fitted up to its minimum.

    Args:
        source: The run's curves.
        config: Of `loss_curves`.
        known_floor: Entropy of the data in nats per token and how it is known.
    """
    train, held_out = source.train, source.held_out
    over = (Overfitting(None, problem="every batch is new: there is nothing to overfit") if source.held_out_is == FRESH else
            overfitting(held_out.steps, held_out.values, train.steps, train.values, seed=config.seed))
    fitted = held_out.after(config.fit_after)
    if over.overfits and over.step is not None:
        falls = fitted.steps <= over.step
        fitted = Curve(fitted.steps[falls], fitted.values[falls], fitted.diverged_at)
    steps, losses = fitted.steps.astype(np.float64), fitted.values
    return Reading(
        source,
        smooth(train.values, window=config.window, method=config.smoothing),
        fitted,
        fit_floor(steps, losses, seed=config.seed),
        fit_floor(steps, losses, seed=config.seed, law=EXPONENTIAL),
        compare_laws(steps, losses, seed=config.seed),
        plateau(held_out.steps, held_out.values, share=config.plateau_share, within=config.plateau_steps),
        over,
        spikes(train.steps, train.values, threshold=config.spike_threshold),
        known_floor,
    )


def row(reading: Reading) -> dict[str, Any]:
    """Returns one line of the table: the run and what its curves say."""
    source, power, compared = reading.source, reading.power, reading.comparison
    held_out = source.held_out
    low, high = power.floor_interval or (None, None)
    return {
        "run": source.name,
        "steps": int(source.train.steps[-1]) if len(source.train) else None,
        "held-out points": source.points,
        "last (nats/token)": float(held_out.values[-1]) if len(held_out) else None,
        "lowest at step": int(held_out.steps[held_out.values.argmin()]) if len(held_out) else None,
        "floor (nats/token)": power.floor,
        "floor, low": low,
        "floor, high": high,
        "floor identified": None if power.problem else power.floor_identified,
        "known floor": reading.known_floor[0] if reading.known_floor else None,
        "exponent": power.shape if power.shape_identified else None,
        "error, power law": compared.power_error,
        "error, exponential": compared.exponential_error,
        "better": compared.problem or compared.better,
        "plateau from": reading.plateau.step,
        "overfits": {True: "yes", False: "no", None: "open"}[reading.overfitting.overfits],
        "spikes": len(reading.spikes.found),
        "diverged at": source.train.diverged_at,
        "id": source.run_id,
    }


def spike_rows(reading: Reading, batches: np.ndarray | None) -> list[dict[str, Any]]:
    """Returns one line a spike, highest first: the step, how high, and the rows of the batch that made it.

    Args:
        reading: Of the run.
        batches: [steps, rows] of the run's training data by step, -1 where a batch was smaller; None if not kept.
    """
    found = sorted(reading.spikes.found, key=lambda spike: spike.z, reverse=True)
    return [{
        "run": reading.source.name,
        "step": spike.step,
        "height (nats/token)": spike.height,
        "robust z": spike.z,
        "gradient norm": reading.source.gradient.get(spike.step),
        "batch": f"the batch of step {spike.step}" if batches is None else _rows(batches, spike.step),
    } for spike in found]


def _rows(batches: np.ndarray, step: int, most: int = 32) -> str:
    numbers = [int(number) for number in batches[step - 1] if number >= 0] if step <= len(batches) else []
    shown = ", ".join(map(str, numbers[:most]))
    return f"rows {shown}" + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
