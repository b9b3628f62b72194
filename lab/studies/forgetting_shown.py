"""What `forgetting` keeps of a comparison in its run: metrics, tables of every item, and figures."""

from typing import Any

import numpy as np

from lab.studies import forgetting_calibration, forgetting_drift, forgetting_figures
from lab.studies import forgetting_tables as tables
from lab.studies.forgetting_calibration import Calibrated
from lab.studies.forgetting_compared import Compared
from lab.studies.forgetting_scored import Measured
from lab.studies.forgetting_tasks import Suites
from lab.tracking.run import Run


def record(run: Run, suites: Suites, measured: Measured, found: Compared,
           calibrated: dict[str, tuple[Calibrated, Calibrated]]) -> None:
    """Keeps metrics and tables; nothing in them differs when the same is measured again.

    Args:
        run: Open.
        suites: What was asked.
        measured: The scores.
        found: The comparison.
        calibrated: From `lab.studies.forgetting_calibration.measure`.
    """
    run.summary(metrics(found) | (forgetting_drift.metrics(measured.drift, measured.resolution) if measured.drift else {}))
    for name, rows in {"suites": tables.suite_rows(found), "kinds": tables.kind_rows(found),
                       "answers": tables.answer_rows(found), "texts": tables.text_rows(found),
                       "items": tables.item_rows(found, suites.items), "answered": tables.answered_rows(found),
                       "documents": tables.document_rows(found),
                       "calibration": forgetting_calibration.rows(found, calibrated), **_drift(measured)}.items():
        if rows:
            run.table(name, rows)
    forgetting_figures.draw(run, measured, found, calibrated)


def _drift(measured: Measured) -> dict[str, list[dict[str, Any]]]:
    if measured.drift is None:
        return {}
    return {"drift": forgetting_drift.kind_rows(measured.drift, measured.resolution)}


def metrics(found: Compared) -> dict[str, float]:
    """Returns the figures that runs are compared by, under their metric names."""
    values: dict[str, float] = {}
    for one in found.judged:
        values |= {f"forgetting/{one.name}_lost_points": one.change.estimate.value,
                   f"forgetting/{one.name}_base_accuracy": one.change.base,
                   f"forgetting/{one.name}_accuracy": one.change.tuned}
    for text in found.documents:
        values |= {f"forgetting/{text.name}_base_bits_per_byte": text.shift.base,
                   f"forgetting/{text.name}_bits_per_byte": text.shift.tuned}
    for asked in found.questions:
        if asked.said is not None:
            values[f"forgetting/{asked.name}_misformatted_share"] = float(np.mean(asked.said[1].misformatted))
    return values | ({"forgetting/lost_points": found.mean.value} if found.mean is not None else {})
