"""The end of every study: verdicts and report into the run, and the same in short for the person at the terminal."""

from lab.tracking.hypotheses import Verdict
from lab.tracking.report import Report
from lab.tracking.run import Run


def close(run: Run, verdicts: list[Verdict], report: Report, *, quiet: bool = False) -> None:
    """Records verdicts and report, then prints the run id, the verdicts and what to type next, unless quiet."""
    run.conclude(verdicts)
    run.report(report)
    if quiet:
        return
    print(f"\nrun {run.id}  {run.name}")
    for verdict in verdicts:
        print(f"  {verdict.outcome:<10} {verdict.name}: {measured(verdict)}")
    if report.next:
        print("next:")
        for command in report.next:
            print(f"  {command}")


def measured(verdict: Verdict) -> str:
    """Returns a verdict's value with its interval and what that covers, or why there is none."""
    if verdict.value is None:
        return verdict.detail
    text = f"{verdict.value:.4g} {verdict.unit}".strip()
    if verdict.interval is not None:
        text += f", 95 % interval {verdict.interval[0]:.4g} to {verdict.interval[1]:.4g} ({verdict.covers})"
    return "; ".join(part for part in (text, f"null: {verdict.null}", verdict.detail) if part)
