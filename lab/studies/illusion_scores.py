"""What a model scores on the very items that the trainings were scored on, with one loaded base."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lab.errors import DataError
from lab.models.loading import Base
from lab.studies.illusion_scaling import Scored
from lab.studies.retention import TEXT, Suites
from lab.studies.training_run import read_data
from lab.studies.trials import Trial
from lab.training.evaluate import evaluate


def scorer(base: Base, trial: Trial) -> Callable[[Any], Scored]:
    """Returns what scores a model on a training's held-out rows, questions and documents.

    Args:
        base: Its tokenizer and language decide what the items are.
        trial: Any of the study; its configuration says which data.

    Raises:
        DataError: The items are not those of the training.
    """
    rows = read_data(trial.config, base).evaluation
    suites = Suites(base, trial.config.evaluate_items)

    def score(model: Any) -> Scored:
        found = suites.score(model)
        nll = evaluate(model, rows, step=0, pad_id=base.tokenizer.pad_token_id)
        _check(trial, nll.tokens, found)
        return Scored(nll.nll, np.asarray(found.text[TEXT].nll),
                      {suite: found.ranked[suite].correct for suite in suites.names})

    return score


def _check(trial: Trial, tokens: np.ndarray, found: Any) -> None:
    same = np.array_equal(tokens, trial.row_tokens) and np.array_equal(found.text[TEXT].bytes, trial.text_bytes) and all(
        np.array_equal(np.array(found.ranked[suite].clusters), clusters) for suite, clusters in trial.clusters.items())
    if not same:
        raise DataError(f"the held-out rows, questions or documents are no longer those that run {trial.run_id} was "
                        "measured on; train it again, without resume")
