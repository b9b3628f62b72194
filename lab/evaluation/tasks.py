"""Suites as tasks of the Language Model Evaluation Harness (EleutherAI, `lm-eval`): ordinary dictionaries that it takes.

`lm_eval.simple_evaluate(model="hf", model_args=…, tasks=[ranked(…), greedy(…), rolling(…)], apply_chat_template=True)` gives
the same scores in a program that has nothing else of this lab.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.evaluation.frames import BARE, Frame, framed

LONGEST_ANSWER = 24  # tokens beyond the longest right answer's characters are never needed to see what was said


def ranked(suite: str, items: Sequence[Any], *, chat: bool, frames: Sequence[Frame] = (BARE,)) -> dict[str, Any]:
    """Returns a task that ranks every item's alternatives by their likelihood after the question, in any of some forms.

    Args:
        suite: Its name.
        items: `lab.data.suites.item.SuiteItem`, at least one.
        chat: Whether the harness puts the question into a chat template; otherwise it stands as `Question: …`, `Answer:`.
        frames: What may stand before and after an alternative, from `lab.evaluation.frames.discover`.
    """
    metrics = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
    task = {**_questions(suite, items, chat), "task": f"lab_{suite}", "output_type": "multiple_choice",
            "doc_to_choice": "framed", "doc_to_target": "gold", "metric_list": metrics, "process_results": picked}
    for row in task["custom_dataset"].rows:
        row["framed"] = framed(row["choices"], frames)
    return task


def greedy(suite: str, items: Sequence[Any], *, chat: bool) -> dict[str, Any]:
    """Returns a task that has every item answered by the likeliest tokens and asks for the right answer to the letter.

    Args:
        suite: Its name.
        items: As in `ranked`.
        chat: As in `ranked`; without a template an answer ends with its line.
    """
    longest = max(len(item.answer) for item in items)
    until = [] if chat or any("\n" in item.answer for item in items) else ["\n"]
    generation = {"until": until or ["\nQuestion:"], "do_sample": False, "max_gen_toks": LONGEST_ANSWER + longest}
    metrics = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
    return {**_questions(suite, items, chat), "task": f"lab_{suite}_greedy", "output_type": "generate_until",
            "doc_to_target": "answer", "generation_kwargs": generation, "metric_list": metrics, "process_results": said}


def rolling(suite: str, texts: Sequence[Any]) -> dict[str, Any]:
    """Returns a task that measures the likelihood of whole documents, in bits per byte.

    Args:
        suite: Its name.
        texts: `lab.data.suites.item.Text`, at least one.
    """
    documents = [{"name": each.name, "kind": each.kind, "text": each.text} for each in texts]
    metrics = [{"metric": "bits_per_byte", "aggregation": _bits_per_byte, "higher_is_better": False}]
    return {"task": f"lab_{suite}", "custom_dataset": _Rows(documents), "test_split": "test", "doc_to_text": "",
            "doc_to_target": "text", "output_type": "loglikelihood_rolling", "metric_list": metrics}


def picked(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Returns whether the right alternative is the likeliest."""
    return {"acc": float(summed(doc, results).argmax() == doc["gold"])}


def summed(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> np.ndarray:
    """Returns the log-likelihood of each alternative in any of its forms, [C] nats.

    Args:
        doc: With `choices`.
        results: The harness's, of every alternative in every form.
    """
    nats = np.array([each for each, _ in results]).reshape(-1, len(doc["choices"]))  # F C
    return nats[0] if len(nats) == 1 else np.logaddexp.reduce(nats)


def said(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Returns whether an answer is the right one to the letter, white space around it aside."""
    return {"exact_match": float(results[0].strip() == doc["answer"])}


def _questions(suite: str, items: Sequence[Any], chat: bool) -> dict[str, Any]:
    rows = [{"name": item.name, "kind": item.kind, "cluster": item.cluster, "question": item.question,
             "choices": list(item.choices), "gold": item.gold, "answer": item.answer, "form": item.form} for item in items]
    return {"custom_dataset": _Rows(rows), "test_split": "test",
            "doc_to_text": "{{question}}" if chat else "Question: {{question}}\nAnswer:"}


def _bits_per_byte(pairs: Sequence[tuple[float, int]]) -> float:
    return -sum(nats for nats, _ in pairs) / math.log(2) / sum(count for _, count in pairs)


class _Rows:
    """Gives the harness its documents; called with whatever metadata the harness has."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __call__(self, **_: Any) -> dict[str, Any]:
        from datasets import Dataset

        return {"test": Dataset.from_list(self.rows)}
