"""The figures of `forgetting`, each with the arrays behind it."""

import numpy as np

from lab.evaluation import drift_readings as readings
from lab.figures import forgetting_accuracy, forgetting_answers, forgetting_drift, forgetting_flips
from lab.figures import forgetting_calibration as calibration_figure
from lab.studies import forgetting_tables as tables
from lab.studies.forgetting_calibration import Calibrated, arrays
from lab.studies.forgetting_compared import Compared
from lab.studies.forgetting_scored import Measured
from lab.tracking.run import Run


def draw(run: Run, measured: Measured, found: Compared, calibrated: dict[str, tuple[Calibrated, Calibrated]]) -> None:
    """Keeps every figure that there is something for.

    Args:
        run: Open.
        measured: The scores.
        found: The comparison.
        calibrated: From `lab.studies.forgetting_calibration.measure`.
    """
    if found.questions or found.answers:
        _accuracy(run, found)
    if found.questions:
        _flips(run, found)
        _calibration(run, found, calibrated)
    if any(one.said for one in found.questions):
        _answers(run, found)
    if measured.drift is not None:
        _drift(run, measured)


def _accuracy(run: Run, found: Compared) -> None:
    every = found.judged
    chance = [one.base.chance for one in found.questions] + [np.nan for _ in found.answers]
    changes = [one.change for one in every]
    kept = {"suites": np.array([one.name for one in every]), "base": np.array([one.base for one in changes]),
            "tuned": np.array([one.tuned for one in changes]), "chance": np.array(chance),
            "lost": np.array([(one.estimate.value, one.estimate.low, one.estimate.high) for one in changes]),
            "p": np.array([one.p for one in every]),
            "readings": np.array([tables.reading(one.change, one.p) for one in every])}
    run.figure("accuracy", forgetting_accuracy.accuracy_change(
        kept["suites"].tolist(), kept["base"], kept["tuned"], kept["chance"], kept["lost"], kept["p"],
        kept["readings"].tolist(), covers="items"), kept)


def _flips(run: Run, found: Compared) -> None:
    rows = tables.kind_rows(found)
    kept = {"kinds": np.array([f"{row['suite']}: {row['kind']}" for row in rows]),
            "lost": np.array([row["right→wrong"] for row in rows]), "gained": np.array([row["wrong→right"] for row in rows]),
            "items": np.array([row["items"] for row in rows])}
    run.figure("flips", forgetting_flips.flips(kept["kinds"].tolist(), kept["lost"], kept["gained"], kept["items"]), kept)


def _answers(run: Run, found: Compared) -> None:
    said = {one.name: one.said for one in found.questions if one.said is not None}
    shares = [np.array([[pair[model].exact.mean(), (~pair[model].exact & ~pair[model].misformatted).mean(),
                         (pair[model].misformatted & ~pair[model].exact).mean()] for pair in said.values()])
              for model in (0, 1)]
    run.figure("answers", forgetting_answers.answers(list(said), *shares),
               {"suites": np.array(list(said)), "base": shares[0], "tuned": shares[1]})


def _calibration(run: Run, found: Compared, calibrated: dict[str, tuple[Calibrated, Calibrated]]) -> None:
    sure, right = arrays(found)
    errors = {part: {label: np.array([getattr(pair[model].error, part) for pair in calibrated.values()])
                     for model, label in enumerate(("base", "tuned"))} for part in ("error", "null", "null_high")}
    kept = {f"{part}.{label}": values for part, each in {"confidence": sure, "right": right, **errors}.items()
            for label, values in each.items()}
    run.figure("calibration", calibration_figure.calibration(
        list(calibrated), sure, right, errors["error"], errors["null"], errors["null_high"]),
        {"suites": np.array(list(calibrated)), **kept})


def _drift(run: Run, measured: Measured) -> None:
    drift, null = measured.drift, measured.resolution
    assert drift is not None
    kinds = readings.by_kind(drift)
    rounding = {} if null is None else {
        kind: readings.read(null, drift.good & (drift.kinds == kind)).kl.value for kind in kinds}
    nothing = np.zeros(len(readings.EDGES) - 1)
    kept = {"edges": readings.EDGES, "counts": readings.histogram(drift.kl[drift.good]),
            "null_counts": nothing if null is None else readings.histogram(null.kl[drift.good]),
            "kinds": np.array(list(kinds)),
            "kl": np.array([(one.kl.value, one.kl.low, one.kl.high) for one in kinds.values()]),
            "changed": np.array([one.changed.value for one in kinds.values()]),
            "null": np.array([rounding.get(kind, np.nan) for kind in kinds]), "bar": np.array(drift.bar)}
    run.figure("drift", forgetting_drift.drift(
        kept["edges"], kept["counts"], None if null is None else kept["null_counts"], list(kinds), kept["kl"],
        kept["changed"], kept["null"], bar=drift.bar), kept)
