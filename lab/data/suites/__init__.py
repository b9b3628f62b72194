"""Suites of questions with known answers, generated from a seed: what a model could do before and after training.

Each question is a whole prompt without a chat template: a model that has one is asked it as the user's turn; for a base
model without one, "Question: " is put before it and "\\nAnswer:" after it. Either way the bare answer comes next.

A suite says nothing about its answers but through its questions. The right alternative stands at every position equally
often; yes and no are right equally often; recurring values are wrong in proportion to how often they are right; and wrong
alternatives are chosen so that no rule that ignores the question (the longest, the largest, the one nearest to the others,
the one that resembles the others most) does better than chance. What is wrong is what somebody would say who slipped.
Chance is one over the number of alternatives, of each item: items of a suite differ in it.
"""

from lab.data.suites.assembly import build
from lab.data.suites.documents import texts
from lab.data.suites.item import LANGUAGES, SUITES, SuiteItem, Text

__all__ = ["LANGUAGES", "SUITES", "SuiteItem", "Text", "build", "texts"]
