"""The figures of loss curves: all runs beside one another, then each run with its fits."""

import os.path
from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.figures.curves import curve_fit, overlay
from lab.figures.layout import panels
from lab.figures.training import loss_curve
from lab.studies.curve_readings import Reading
from lab.tracking.run import Run
from lab.training.curve_laws import EXPONENTIAL, POWER

MOST_SINGLE = 12


def draw(run: Run, readings: Sequence[Reading], config: Any) -> None:
    """Draws the overlay of all runs, and up to twelve runs by themselves."""
    if len(readings) > 1:
        _together(run, readings)
    for reading in readings[:MOST_SINGLE]:
        _alone(run, reading, f"curve_{reading.source.run_id[:8]}")


def short_names(names: Sequence[str]) -> list[str]:
    """Returns what tells names apart: without the words that all begin or end with."""
    if len(names) < 2:
        return list(names)
    words = [name.split() for name in names]
    first = len(os.path.commonprefix(words))
    last = len(os.path.commonprefix([line[first:][::-1] for line in words]))
    return [" ".join(line[first:len(line) - last]) or name for line, name in zip(words, names, strict=True)]


def _together(run: Run, readings: Sequence[Reading]) -> None:
    sources = [reading.source for reading in readings]
    labels = short_names([source.name for source in sources])
    values, value_name = _swept(readings)
    figure, axes = panels(2, width=5.6, height=4.2)
    diverged = [source.train.diverged_at for source in sources]
    overlay([(s.held_out.steps, s.held_out.values) for s in sources], axes[0], labels=labels, values=values,
            value_name=value_name, diverged=diverged)
    overlay([(s.train.steps, r.smoothed.smooth) for s, r in zip(sources, readings, strict=True)], axes[1], labels=labels,
            values=values, value_name=value_name, diverged=diverged, ylabel="smoothed train loss (nats/token)")
    arrays: dict[str, np.ndarray] = {"names": np.array([s.name for s in sources]),
                                     "run_ids": np.array([s.run_id for s in sources])}
    for source, reading in zip(sources, readings, strict=True):
        series = {"eval_steps": source.held_out.steps, "eval_loss": source.held_out.values,
                  "train_steps": source.train.steps, "train_loss": source.train.values,
                  "train_smoothed": reading.smoothed.smooth}
        arrays |= {f"{source.run_id}.{name}": values for name, values in series.items()}
    run.figure("curves", figure, arrays)


def _swept(readings: Sequence[Reading]) -> tuple[list[float] | None, str]:
    """Returns what the runs differ in, if it is one number: their rank or their learning rate."""
    for name, words in (("r", "LoRA rank"), ("lr", "learning rate")):
        values = [_number(reading.source.config.get(name)) for reading in readings]
        known = [value for value in values if value is not None]
        if len(known) == len(values) and len(set(known)) > 1:
            return known, words
    return None, ""


def _number(value: Any) -> float | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, int | float) else None


def _alone(run: Run, reading: Reading, name: str) -> None:
    source, fitted = reading.source, reading.fitted
    figure, axes = panels(3, columns=3, width=5.2, height=4.2)
    loss_curve(source.train.steps, source.train.values, source.held_out.steps, source.held_out.values, axes[0],
               smooth=reading.smoothed.smooth, diverged_at=source.train.diverged_at,
               spikes=[spike.step for spike in reading.spikes.found])
    axes[0].set_title(source.name, loc="left")
    arrays = {"train_steps": source.train.steps, "train_loss": source.train.values,
              "train_smoothed": reading.smoothed.smooth, "eval_steps": source.held_out.steps,
              "eval_loss": source.held_out.values, "fitted_steps": fitted.steps, "fitted_loss": fitted.values}
    fits = {}
    if reading.usable:
        dense = np.geomspace(fitted.steps[0], fitted.steps[-1], 200)
        for fit in (reading.power, reading.exponential):
            assert fit.fit is not None
            fits[fit.law.name] = (dense, fit.fit.at(dense))
            arrays |= {f"fit.{fit.law.name}": fit.fit.at(dense), "fit.steps": dense}
    if reading.power.floor_interval is not None:
        arrays["floor_interval"] = np.array(reading.power.floor_interval)
    curve_fit(fitted.steps, fitted.values, fits, axes[1], floor=reading.power.floor_interval,
              floor_words=reading.power.words, known_floor=reading.known_floor[0] if reading.known_floor else None)
    axes[1].set_title(reading.power.problem or f"{source.held_out_is}, and the laws fitted to it", loc="left")
    arrays |= _predicted(reading, axes[2])
    run.figure(name, figure, arrays)


def _predicted(reading: Reading, ax: Any) -> dict[str, np.ndarray]:
    """Draws the laws fitted to the early points alone, which the comparison judges by the late ones."""
    fitted, compared = reading.fitted, reading.comparison
    lines = dict(zip((POWER.name, EXPONENTIAL.name), compared.early_fits or (), strict=False))
    curve_fit(fitted.steps, fitted.values, {name: (fitted.steps, line) for name, line in lines.items()}, ax,
              predicted_from=compared.held_back_from)
    ax.set_title(compared.problem or f"which law predicts the end: {compared.better}", loc="left")
    return {f"early.{name}": line for name, line in lines.items()}
