"""How far a tuned model's next-token distributions lie from its base's, token by token of documents."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from lab.errors import DataError, ModelUnsupported, OptionError

BAR = 0.5  # above it the token that follows is the base's own first choice
LONGEST = 512  # tokens
BUDGET = 2**28  # bytes
_COPIES = 6  # float32 arrays of a block's size that live at once

Forward = Callable[[torch.Tensor], torch.Tensor]
"""From the token ids of one document [T] to its logits [T, V]."""


class Named(Protocol):
    """A text as `lab.data.suites.Text` is one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Document:
    """A text as a model reads it.

    Attributes:
        name: Of the text.
        kind: What it is.
        ids: [T], tokens.
        left_out: Tokens behind those, which are not read.
    """

    name: str
    kind: str
    ids: torch.Tensor
    left_out: int = 0


@dataclass(frozen=True, eq=False)
class Drift:
    """Two models on the same documents; N positions, each with a token that follows it.

    Attributes:
        documents: What was read.
        bar: Positions count as good where the base gives the token that follows more than this.
        document: [N], index of the document.
        position: [N], of the last token read; the token that follows stands one further.
        following: [N], token ids as the text goes on.
        kl: [N] nats, KL(base ‖ tuned) over the whole vocabulary; never negative.
        base_probability: [N], of the token that follows.
        tuned_probability: [N], likewise.
        base_top: [N], id of the base's most probable token; the first of equal ones.
        base_top_probability: [N].
        tuned_top: [N], of the tuned model.
        tuned_top_probability: [N].
    """

    documents: Sequence[Document]
    bar: float
    document: np.ndarray
    position: np.ndarray
    following: np.ndarray
    kl: np.ndarray
    base_probability: np.ndarray
    tuned_probability: np.ndarray
    base_top: np.ndarray
    base_top_probability: np.ndarray
    tuned_top: np.ndarray
    tuned_top_probability: np.ndarray

    @property
    def good(self) -> np.ndarray:
        """[N] bool, where the base was good."""
        return self.base_probability > self.bar

    @property
    def changed(self) -> np.ndarray:
        """[N] bool, where the two models' most probable tokens differ."""
        return self.base_top != self.tuned_top

    @property
    def kinds(self) -> np.ndarray:
        """[N] kind of the document."""
        return np.array([one.kind for one in self.documents])[self.document]


def encode(texts: Iterable[Named], tokenizer: Any, *, longest: int = LONGEST) -> list[Document]:
    """Returns texts as tokens, with the special tokens that the tokenizer itself puts around a text.

    Args:
        texts: With a name and a kind.
        tokenizer: Of the models.
        longest: Tokens that are read of a text; the rest is left out.

    Raises:
        DataError: There is no text, or one has fewer than two tokens.
        OptionError: `longest` leaves nothing to predict.
    """
    if longest < 2:
        raise OptionError(f"longest={longest}: a token is predicted from those before it; type at least 2")
    found = []
    for text in texts:
        ids = tokenizer(text.text).input_ids
        if len(ids) < 2:
            raise DataError(f"text {text.name} has {len(ids)} tokens: none follows another; give longer texts")
        found.append(Document(text.name, text.kind, torch.tensor(ids[:longest]), max(0, len(ids) - longest)))
    if not found:
        raise DataError("there is no text to read; give at least one")
    return found


def measure(documents: Sequence[Document], base: Forward, tuned: Forward, *, bar: float = BAR, budget: int = BUDGET
            ) -> Drift:
    """Returns the divergence at every position of the documents, one document after another.

    Memory is that of both models' logits of one document, and `budget`.

    Args:
        documents: What is read.
        base: One model, such as `lab.evaluation.drift_forwards.reader(model, adapter=False)`.
        tuned: The other, on the same vocabulary.
        bar: Between 0 and 1.
        budget: Bytes that a block of positions may take in float32.

    Raises:
        OptionError: `bar` is no probability.
        ModelUnsupported: The models have other vocabularies, or a logit is not a number.
    """
    if not 0 <= bar < 1:
        raise OptionError(f"bar={bar:g}: a probability that the base has to exceed, from 0 to below 1; type bar={BAR:g}")
    rows = [[np.concatenate(parts) for parts in zip(*_of_document(one, base, tuned, budget), strict=True)]
            for one in documents]
    sizes = [len(one.ids) - 1 for one in documents]
    where = [np.repeat(np.arange(len(documents)), sizes), np.concatenate([np.arange(size) for size in sizes]),
             np.concatenate([one.ids[1:].numpy() for one in documents])]
    return Drift(documents, bar, *where, *(np.concatenate(parts) for parts in zip(*rows, strict=True)))


def divergence(base: torch.Tensor, tuned: torch.Tensor) -> torch.Tensor:
    """Returns KL(base ‖ tuned) in nats, [..], from log-probabilities [.., V].

    Since both sum to one, Σ p δ with δ = ln p - ln q equals Σ p (δ + exp(-δ) - 1), of which no term is negative. So what
    rounding does to a logarithm enters squared, and the sum of a large vocabulary keeps its digits (the estimator k3 of
    Schulman, 2020, summed exactly).

    Args:
        base: ln p.
        tuned: ln q.
    """
    gap = base - tuned
    p = base.exp()
    near = p * (gap + torch.expm1(-gap))
    far = tuned.exp() - p + p * gap  # where exp(-δ) may overflow
    return torch.where(gap.abs() < 1, near, torch.where(p > 0, far, tuned.exp())).clamp(min=0).sum(-1)


def _of_document(document: Document, base: Forward, tuned: Forward, budget: int) -> Iterator[tuple[np.ndarray, ...]]:
    """What `Drift` holds from `kl` on, by blocks of positions."""
    one, other = base(document.ids), tuned(document.ids)
    if one.shape != other.shape or len(one) != len(document.ids):
        raise ModelUnsupported(f"{document.name} of {len(document.ids)} tokens: logits of shape {tuple(one.shape)} and "
                               f"{tuple(other.shape)} cannot be compared; the models need one tokenizer and one vocabulary")
    step = max(1, budget // (4 * _COPIES * one.shape[-1]))
    for begin in range(0, len(one) - 1, step):
        block = slice(begin, min(begin + step, len(one) - 1))
        following = document.ids[block.start + 1:block.stop + 1].to(other.device)
        yield _block(document.name, one[block].to(other.device), other[block], following)


def _block(name: str, one: torch.Tensor, other: torch.Tensor, following: torch.Tensor) -> tuple[np.ndarray, ...]:
    base, tuned = (_log_probabilities(logits) for logits in (one, other))
    kl = divergence(base, tuned)
    if not bool(torch.isfinite(kl).all()):
        raise ModelUnsupported(f"{name}: the divergence is not finite, as where logits overflow or are not numbers; "
                               "type dtype=float32 or dtype=bfloat16")
    said, now = base.max(-1), tuned.max(-1)
    right = [values.gather(-1, following[:, None])[:, 0] for values in (base, tuned)]
    found = (kl, right[0].exp(), right[1].exp(), said.indices, said.values.exp(), now.indices, now.values.exp())
    return tuple(values.cpu().numpy() for values in found)


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)
