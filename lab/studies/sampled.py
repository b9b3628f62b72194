"""Fixed held-out prompts of a training, and what the model says to them at several moments."""

from typing import Any

from lab.data.dataset import Dataset
from lab.models.loading import Base
from lab.training.evaluate import greedy_answers, split_row

SAMPLES = 20


class Answers:
    """Twenty fixed held-out prompts and what the model says to them at several moments."""

    def __init__(self, base: Base, data: Dataset):
        self.tokenizer = base.tokenizer
        pairs = [split_row(row) for row in data.evaluation[:SAMPLES]]
        self.prompts = [prompt for prompt, _ in pairs]
        self.length = min(64, 4 + max(len(expected) for _, expected in pairs))
        self.rows = [{"prompt": self._text(prompt), "rendered": base.tokenizer.decode(prompt),
                      "expected": self._text(expected)} for prompt, expected in pairs]

    def ask(self, model: Any, moment: str) -> None:
        self.keep(moment, self.said(model))

    def said(self, model: Any) -> list[str]:
        return greedy_answers(model, self.tokenizer, self.prompts, self.length)

    def keep(self, moment: str, answers: list[str]) -> None:
        for row, answer in zip(self.rows, answers, strict=True):
            row[moment] = answer

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()
