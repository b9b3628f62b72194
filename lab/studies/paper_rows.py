"""A paper's claims beside what was measured here, a row each."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.tracking.hypotheses import Verdict
from lab.tracking.report import cell

Claims = Mapping[str, tuple[str, str, str, str]]  # by hypothesis: claim, the paper's setup and number, what is not the same


def rows(claims: Claims, verdicts: Sequence[Verdict], here: str) -> list[dict[str, Any]]:
    """Returns one line for each claim.

    Args:
        claims: Of the paper.
        verdicts: Of the study.
        here: Its setup in words.
    """
    return [_row(claims, verdict, here) for verdict in verdicts]


def _row(claims: Claims, verdict: Verdict, here: str) -> dict[str, Any]:
    claim, setup, number, caution = claims[verdict.name]
    interval = None if verdict.interval is None else " to ".join(map(cell, verdict.interval))
    return {"claim": claim, "paper: setup": setup, "paper: number": number,
            "here: number": None if verdict.value is None else f"{cell(verdict.value)} {verdict.unit}",
            "here: 95 % interval": interval, "interval covers": verdict.covers, "here: null": verdict.null,
            "verdict": verdict.outcome, "here: setup": here, "not the same": caution}
