"""The source's claims beside this run's: setup, number, interval, verdict, and what is not the same."""

from collections.abc import Sequence
from typing import Any

from lab.tracking.hypotheses import Verdict
from lab.tracking.report import cell

SOURCE = "Schulman and Thinking Machines (2025), LoRA Without Regret"
# Claim, setup and number by hypothesis; losses stand in its figures alone.
_CLAIMS: dict[str, tuple[str, str, str, str]] = {
    "lora_rate_ten_times_full": (
        "LoRA's best rate is about ten times full's", "Llama-3 and Qwen3, Tülu 3 and OpenThoughts 3, one epoch, alpha 32",
        "9.8, fitted over 14 models; about 15 in runs of under 100 steps (anecdotal). No interval",
        "the ratio belongs to alpha, initialisation, model width and number of steps; short runs favour higher rates, and "
        "not alike for both"),
    "best_rate_free_of_rank": (
        "the best rate hardly depends on the rank", "the same, r=1 to 512", "less than a factor of 2 from r=4 to r=512",
        "other ranks and widths"),
    "rank_one_rate_lower": (
        "rank 1 wants a somewhat lower rate", "the same", "no number", "in a short run a small rank may want a higher one"),
    "lora_without_regret": (
        "LoRA of sufficient rank reaches full's loss", "the same, until the rank's capacity is full", "figures, no numbers",
        "facts seen many times in few steps here, one epoch of instructions there"),
    "feed_forward_beats_attention": (
        "feed-forward only beats attention only at as many parameters",
        "Llama-3.1-8B; attention r=256 (0.25 billion parameters), MLP r=128 (0.24 billion)", "figures, no numbers",
        "facts are the task here, which are known to be written into feed-forward layers"),
}


def rows(verdicts: Sequence[Verdict], here: str) -> list[dict[str, Any]]:
    """Returns one line for each claim.

    Args:
        verdicts: Of the study.
        here: Its setup in words.
    """
    return [_row(verdict, here) for verdict in verdicts]


def _row(verdict: Verdict, here: str) -> dict[str, Any]:
    claim, setup, number, caution = _CLAIMS[verdict.name]
    interval = None if verdict.interval is None else " to ".join(map(cell, verdict.interval))
    return {"claim": claim, "paper: setup": setup, "paper: number": number,
            "here: number": None if verdict.value is None else f"{cell(verdict.value)} {verdict.unit}",
            "here: 95 % interval": interval, "interval covers": verdict.covers, "here: null": verdict.null,
            "verdict": verdict.outcome, "here: setup": here, "not the same": caution}
