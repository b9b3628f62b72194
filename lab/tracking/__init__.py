"""Runs: how they start, what they record, how they end, and how what they kept is found again."""
