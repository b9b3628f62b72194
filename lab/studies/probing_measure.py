"""Everything about the residual stream that one model, or base and tuned as rows of one batch, shows on questions."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.data.prompts import Prompt
from lab.data.questions import Question
from lab.models import anatomy
from lab.models.batch import inputs
from lab.models.rows import adapter_rows
from lab.probing.attribution import attribute
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.first_layer import lasting
from lab.probing.logit_lens import logit_lens
from lab.probing.norms import norms
from lab.studies.attention_rows import by_length

Translate = Callable[[int, torch.Tensor], torch.Tensor]
PARTS = ("embedding", "bias", "total", "left", "attention", "feed_forward", "heads")
LENS = ("answer", "difference", "rank", "entropy", "divergence")
_TOKENS_AT_ONCE = 4096  # of all rows of a forward pass


@dataclass(frozen=True)
class Measured:
    """One model on N questions.

    Attributes:
        later: By name, [N, L], of `lab.probing.norms.Norms`, over tokens after the first; lengths are Euclidean.
        first: The same of the first token.
        lens: By name of `LENS`, [N, L], at the last token: nats, bits, or a rank.
        tuned_lens: The same through a tuned lens; empty without one.
        parts: `embedding`, `bias`, `total` and `left` [N], `attention` and `feed_forward` [N, L], `heads` [N, L, H]: of the
            logit difference of answer and foil, in nats.
        without_heads: Why heads cannot be told apart, by layer.
        width: D.
    """

    later: dict[str, np.ndarray]
    first: dict[str, np.ndarray]
    lens: dict[str, np.ndarray]
    tuned_lens: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    without_heads: dict[int, str]
    width: int

    @property
    def lengths(self) -> np.ndarray:
        """[N, 1 + L], root mean square of the stream over its width, the embedding first, mean over later tokens."""
        return _stream(self.later) / np.sqrt(self.width)

    @property
    def first_lengths(self) -> np.ndarray:
        """[N, 1 + L], of the first token alone."""
        return _stream(self.first) / np.sqrt(self.width)

    @property
    def growth(self) -> np.ndarray:
        """[N], least-squares slope of ln length over the layers' outputs, per layer; nan for a model of one layer."""
        lengths = np.log(self.later["post_ffn"])
        layers = lengths.shape[1]
        if layers < 2:
            return np.full(len(lengths), np.nan)
        return np.polyfit(np.arange(layers), lengths.T, 1)[0]

    @property
    def sizes(self) -> dict[str, np.ndarray]:
        """[N, L], length of what each part adds over the length of the stream it is added to."""
        return {"attention": self.later["delta_attn"] / self.later["pre_attn"],
                "feed-forward": self.later["delta_ffn"] / self.later["post_attn"]}

    @property
    def cosines(self) -> dict[str, np.ndarray]:
        """[N, L], of what each part adds to the stream it is added to."""
        return {"attention": self.later["attention_to_stream"], "feed-forward": self.later["feed_forward_to_stream"]}

    @property
    def right(self) -> np.ndarray:
        """[N], whether the model itself puts the answer's first token first."""
        return self.lens["rank"][:, -1] == 1

    def first_layer(self, *, tuned_lens: bool = False) -> np.ndarray:
        """[N], the layer from which on the lens puts the answer first up to the last one; nan where it never does."""
        rank = (self.tuned_lens if tuned_lens else self.lens)["rank"]
        return lasting(rank == 1)


def measure(model: Any, questions: Sequence[Question], decomposition: Decomposition, final: Final, *,
            adapters: Sequence[str] | None = None, translate: Translate | None = None) -> list[Measured]:
    """Returns what one model shows on the questions, or each adapter, all of them in the same forward passes.

    Args:
        model: A causal language model in evaluation mode; with `adapters` a PEFT model.
        questions: N of them.
        decomposition: Of the model or its base.
        final: Likewise.
        adapters: Names, `lab.models.rows.BASE` among them for the base.
        translate: A tuned lens, see `lab.probing.logit_lens.logit_lens`.
    """
    models = len(adapters or [None])
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    without: dict[int, str] = {}
    for indices, ids in by_length([as_prompt(question) for question in questions], max(1, _TOKENS_AT_ONCE // models)):
        chosen = [questions[i] for i in indices]
        given = inputs(model, ids.repeat(models, 1))
        last = torch.full((len(ids) * models, 1), ids.shape[1] - 1)
        answer, foil = (torch.tensor([getattr(q, name) for q in chosen]).repeat(models) for name in ("answer_id", "foil_id"))
        rows = adapter_rows(model, [name for name in adapters for _ in chosen]) if adapters else contextlib.nullcontext()
        with rows:
            told = norms(model, given, decomposition)
            lens = logit_lens(model, given, decomposition, final, last, answer, foil)
            tuned = logit_lens(model, given, decomposition, final, last, answer, foil, translate=translate) \
                if translate else None
            added = attribute(model, given, decomposition, final, answer, foil)
        without |= added.without_heads
        flat = {**{f"later/{name}": value for name, value in told.later.items()},
                **{f"first/{name}": value for name, value in told.first.items()},
                **{f"lens/{name}": getattr(lens, name)[:, :, 0] for name in LENS},
                **({f"tuned_lens/{name}": getattr(tuned, name)[:, :, 0] for name in LENS} if tuned else {}),
                **{f"parts/{name}": getattr(added, name) for name in PARTS}}
        found.append((indices, flat))
    return _split(_in_order(found, len(questions), models), models, without, anatomy.width(model))


def measure_norms(model: Any, questions: Sequence[Question], decomposition: Decomposition) -> Measured:
    """Returns a model's norms alone, for a network that says nothing.

    Args:
        model: A plain model in evaluation mode.
        questions: N of them.
        decomposition: Its own.
    """
    found = []
    for indices, ids in by_length([as_prompt(question) for question in questions], _TOKENS_AT_ONCE):
        told = norms(model, inputs(model, ids), decomposition)
        found.append((indices, {**{f"later/{name}": value for name, value in told.later.items()},
                                **{f"first/{name}": value for name, value in told.first.items()}}))
    return _split(_in_order(found, len(questions), 1), 1, {}, anatomy.width(model))[0]


def as_prompt(question: Question) -> Prompt:
    """Returns a question without its answer."""
    return Prompt(question.name, question.category, question.text, question.input_ids, question.tokens)


def _in_order(found: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]], count: int, models: int) -> dict[str, np.ndarray]:
    """Rows of batches [M · B, …] as [M, N, …], questions in their own order."""
    whole: dict[str, np.ndarray] = {}
    for indices, flat in found:
        for name, values in flat.items():
            into = whole.setdefault(name, np.full((models, count, *values.shape[1:]), np.nan))
            into[:, indices] = values.reshape(models, len(indices), *values.shape[1:])
    return whole


def _stream(lengths: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([lengths["pre_attn"][:, :1], lengths["post_ffn"]], 1)


def _split(whole: dict[str, np.ndarray], models: int, without: dict[int, str], width: int) -> list[Measured]:
    def of(kind: str, number: int) -> dict[str, np.ndarray]:
        return {name.partition("/")[2]: value[number] for name, value in whole.items() if name.startswith(f"{kind}/")}

    return [Measured(of("later", number), of("first", number), of("lens", number), of("tuned_lens", number),
                     of("parts", number), without, width) for number in range(models)]
