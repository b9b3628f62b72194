"""What `forgetting` says in words."""

from typing import Any

from lab.evaluation.asking import said as in_forms
from lab.evaluation.paired import TOLERATED
from lab.studies import forgetting_calibration, forgetting_drift
from lab.studies import forgetting_tables as tables
from lab.studies.closing import close
from lab.studies.forgetting_calibration import Calibrated
from lab.studies.forgetting_compared import Compared
from lab.studies.forgetting_scored import Measured, Models
from lab.studies.forgetting_tasks import Suites
from lab.tracking.hypotheses import Verdict
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

LIMITS = [
    "One training: another seed may lose something else. Intervals and tests cover the items (whole clusters where items "
    "share a template or an entity), not training seeds.",
    f"“Not lost” says that a loss of {TOLERATED:g} points or more is excluded for items like these, not that nothing "
    "changed; “cannot tell” says neither.",
    "Ranking alternatives shows what a model still tells apart, not what it would say; a changed form of answers is "
    "reported apart and is no forgetting.",
    "Suites are generated: they stand for arithmetic, reasoning, code and facts of this kind, not for all of them.",
]
EXAMPLES = 4  # of each suite
Calibration = dict[str, tuple[Calibrated, Calibrated]]


def close_run(run: Run, config: Any, suites: Suites, measured: Measured, found: Compared, calibrated: Calibration,
              models: Models, verdicts: list[Verdict], *, question: str) -> None:
    """Writes the report and ends the study.

    Args:
        run: Open.
        config: Of the study.
        suites: What was asked.
        measured: The scores.
        found: The comparison.
        calibrated: From `lab.studies.forgetting_calibration.measure`.
        models: Both.
        verdicts: One for each claim.
        question: Of the study.
    """
    source = models.capsule.run_id if models.capsule is not None else None
    sections = [("What was lost", in_words(found)), ("From right to wrong", _flipped(found, suites)),
                ("Answers and their form", _answers(measured, found)), ("Calibration", _calibration(found, calibrated)),
                ("Texts", table(tables.text_rows(found)) if found.documents else "")]
    if measured.drift is not None:
        sections.append(forgetting_drift.section(measured.drift, measured.resolution, models.tokenizer))
    close(run, verdicts, Report(
        question=question, table=tables.suite_rows(found) or tables.text_rows(found), limits=LIMITS,
        sources=[source] if source else [], prediction=config.predict,
        sections=[(title, text) for title, text in sections if text],
        next=[] if source is None else [
            next_command("mitigation", run_id=source), next_command("adapter_geometry", run_id=source),
            next_command("probing", run_id=source)]))


def in_words(found: Compared) -> str:
    """Returns what happened to each suite, in a sentence each."""
    lines = []
    for one in found.judged:
        change = one.change
        lines.append(
            f"- **{one.name}**: {100 * change.base:.1f} % → {100 * change.tuned:.1f} %, lost {change.estimate.value:.2f} "
            f"points ({tables.interval(change.estimate)}), {tables.reading(change, one.p)}: {change.lost} from right to "
            f"wrong, {change.gained} from wrong to right, p {one.p:.2g}.")
    for text in found.documents:
        shift = text.shift
        lines.append(f"- **{text.name}**: {shift.base:.4f} → {shift.tuned:.4f} bits per byte, {shift.estimate.value:+.4f} "
                     f"({tables.interval(shift.estimate, 4)}), p {text.p:.2g}.")
    if found.mean is not None:
        lines.append(f"- mean of the suites: lost {found.mean.value:.2f} points ({tables.interval(found.mean)}).")
    return "\n".join(lines)


def _flipped(found: Compared, suites: Suites) -> str:
    rows = [row for one in found.questions for row in tables.flipped(one, suites.items.get(one.name), EXAMPLES)]
    if not rows:
        return ""
    kinds = [row for row in tables.kind_rows(found) if row["right→wrong"] or row["wrong→right"]]
    said = "Those first of which the tuned model is surest; every item stands in `tables/items.json`."
    return f"{said}\n\n{table(rows)}\n\nBy kind, where anything flipped:\n\n{table(kinds)}"


def _answers(measured: Measured, found: Compared) -> str:
    rows = tables.answer_rows(found)
    if not rows:
        return ""
    models = (("base", measured.base), ("tuned model", measured.tuned))
    forms = [f"the {label} in {name}: {in_forms(frames)}" for label, scores in models
             for name, frames in scores.frames.items() if len(frames) > 1]
    ranked = ("Alternatives were ranked in all forms that a model often puts them in, beside the bare one: "
              + "; ".join(forms) + "." if forms else "Both say bare answers, and alternatives were ranked as such.")
    said = ("Greedy answers. *Another form* is an answer that is no bare answer of the kind asked for, such as a whole "
            "sentence: a changed style, counted apart from a wrong answer.")
    examples = []
    for one in found.questions:
        if one.said is None:
            continue
        before, after = one.said
        changed = [n for n in range(len(after.said)) if after.misformatted[n] and not before.misformatted[n]]
        examples += [f"- {one.name}: base “{_cell(before.said[n])}”, tuned “{_cell(after.said[n])}”" for n in changed[:2]]
    shown = "\n\nAnswers that changed their form:\n\n" + "\n".join(examples) if examples else ""
    return f"{said}\n\n{table(rows)}\n\n{ranked}{shown}"


def _calibration(found: Compared, calibrated: Calibration) -> str:
    rows = forgetting_calibration.rows(found, calibrated)
    if not rows:
        return ""
    said = ("Brier score (0 to 2) and nats of the right alternative first: both are least where stated probabilities are "
            "true. The expected calibration error is positive even for a perfectly calibrated model; its mean and 95th "
            "percentile if the model were calibrated stand beside it.")
    return f"{said}\n\n{table(rows)}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= 120 else flat[:119] + "…"
