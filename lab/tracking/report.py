"""What a run says about itself: Markdown for `report.md`, and a shorter form for MLflow's note."""

import bisect
import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from lab.errors import TrackingError
from lab.options import text_of
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.store import shown, tracking_uri

NOTE_LIMIT = 8000  # characters; MLflow cuts longer ones silently
_SHORTEST_TABLE = 3  # rows
_DROPPED = ("sections", "rules", "sources", "remarks")  # of a note that is too long, in this order


@dataclass(frozen=True)
class Report:
    """What a run has to say at its end.

    Args:
        question: The question it answers.
        table: The main table, one dict a row with the same keys.
        limits: What may not be concluded from it.
        sources: Ids of the runs it came from.
        next: Commands to type next, from `next_command`.
        sections: Heading and Markdown of anything more.
        prediction: The user's own guess, written down before computing.
    """

    question: str
    table: list[dict[str, Any]]
    limits: list[str]
    sources: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)
    prediction: str | None = None


def next_command(entry_point: str, **params: Any) -> str:
    """A command that can be pasted in any directory on this machine; values as in a config.

    A password in the tracking URI is left out: it belongs into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    words = ["mlflow", "run", str(project_path()), "-e", entry_point]
    for name, value in params.items():
        words += ["-P", f"{name}={text_of(value)}"]
    uri = shlex.quote(shown(tracking_uri()))
    return f"MLFLOW_TRACKING_URI={uri} {shlex.join(words)} --env-manager local"


def project_path() -> Path:
    """The folder of the MLproject file: beside the package, or the working directory for an installed package."""
    beside = Path(lab.__file__).resolve().parents[1]
    if not (beside / "MLproject").exists() and (Path.cwd() / "MLproject").exists():
        return Path.cwd()
    return beside


def whole(
    report: Report, hypotheses: Sequence[Hypothesis], verdicts: Sequence[Verdict], links: Mapping[str, str]
) -> str:
    """The whole report.

    Args:
        links: Markdown to show for a source run's id.
    """
    return _render(report, hypotheses, verdicts, links)


def note(
    report: Report,
    hypotheses: Sequence[Hypothesis],
    verdicts: Sequence[Verdict],
    links: Mapping[str, str],
    whole_report: str,
) -> str:
    """The report in at most `NOTE_LIMIT` characters.

    What stands in the whole report too goes first: rows of the main table, then the sections, then the verdicts' rules, then
    the names of the runs it came from, then the verdicts' remarks.

    Args:
        whole_report: A link to the whole report.

    Raises:
        TrackingError: The rest alone is longer.
    """
    tail = f"\n\nThe whole report: {whole_report}\n"
    all_rows, fewest = len(report.table), min(len(report.table), _SHORTEST_TABLE)

    def text(without: tuple[str, ...], rows: int) -> str:
        return _render(report, hypotheses, verdicts, links, rows=rows, without=without) + tail

    for without in range(len(_DROPPED) + 1):
        render = functools.partial(text, _DROPPED[:without])
        if len(render(all_rows)) <= NOTE_LIMIT:
            return render(all_rows)
        if len(render(fewest)) <= NOTE_LIMIT:
            fitting = bisect.bisect(range(fewest, all_rows), NOTE_LIMIT, key=functools.partial(_length, render))
            return render(fewest + fitting - 1)
    raise TrackingError(
        f"the report has {len(text(_DROPPED, fewest))} characters without {', '.join(_DROPPED)} and with {fewest} rows of "
        f"its table; allowed: {NOTE_LIMIT}. Shorten its question, verdicts, limits or commands"
    )


def _length(render: Callable[[int], str], rows: int) -> int:
    return len(render(rows))


def _render(
    report: Report,
    hypotheses: Sequence[Hypothesis],
    verdicts: Sequence[Verdict],
    links: Mapping[str, str],
    *,
    rows: int | None = None,
    without: Sequence[str] = (),
) -> str:
    parts = [f"## {report.question}"]
    if report.prediction:
        parts.append(f"**Predicted before the run:** {report.prediction}")
    if verdicts:
        parts += ["### Verdicts", _verdicts(hypotheses, verdicts, without)]
    if report.table:
        parts += ["### Results", table(report.table[:rows])]
        left_out = len(report.table) - len(report.table[:rows])
        if left_out:
            parts.append(f"{left_out} more rows in the whole report.")
    if "sections" not in without:
        for heading, body in report.sections:
            parts += [f"### {heading}", body]
    if report.limits:
        parts += ["### What may not be concluded", _bullets(report.limits)]
    if report.sources:
        named = [links.get(run, f"`{run}`") for run in report.sources]
        parts += ["### Runs this came from", f"{len(named)} runs" if "sources" in without else _bullets(named)]
    if report.next:
        parts += ["### Next", "\n".join(["```", *report.next, "```"])]
    return "\n\n".join(parts)


def _verdicts(hypotheses: Sequence[Hypothesis], verdicts: Sequence[Verdict], without: Sequence[str]) -> str:
    stated = {hypothesis.name: hypothesis for hypothesis in hypotheses}
    rows = []
    for verdict in verdicts:
        rows.append(
            {
                "hypothesis": stated[verdict.name].statement,
                "verdict": f"**{verdict.outcome}**",
                "measured": _measured(verdict),
                "null": verdict.null,
                "rule": None if "rules" in without else stated[verdict.name].rule,
                "remark": None if "remarks" in without else verdict.detail,
            }
        )
    return table(rows)


def _measured(verdict: Verdict) -> str:
    if verdict.value is None:
        return "nothing"
    text = f"{cell(verdict.value)} {verdict.unit}".strip()
    if verdict.interval is None:
        return text
    low, high = verdict.interval
    return f"{text} ({cell(low)} to {cell(high)}, over {verdict.covers})"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; columns in the order of their first appearance, empty ones left out."""
    columns = [name for name in dict.fromkeys(name for row in rows for name in row)]
    columns = [name for name in columns if any(row.get(name) not in (None, "") for row in rows)]
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(cell(row.get(name)) for name in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def cell(value: Any) -> str:
    """A value as a table shows it: numbers with four significant digits, nothing as a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("|", "\\|").replace("\n", "<br>")


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
