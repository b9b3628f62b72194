"""The two models whose next tokens are compared: one with its adapter on and off, or two whole ones after each other."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from lab.errors import ModelUnsupported, OptionError
from lab.evaluation.drift import LONGEST, Document, Forward
from lab.models import batch

PADDING = 8  # tokens
DISK = 2**31  # bytes


def reader(model: Any, *, adapter: bool = True, padding: int = 0) -> Forward:
    """Returns what gives the logits of one document, as the model stands or with its adapter off.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        adapter: False for the base under a PEFT model.
        padding: Reads the document, padded to the right by this many tokens, as the second row of a batch. That changes
            nothing but rounding, so the divergence to the model without padding is what rounding alone makes.

    Raises:
        ModelUnsupported: An adapter is to be off and there is none.
    """
    if not adapter and not hasattr(model, "disable_adapter"):
        raise ModelUnsupported(f"{type(model).__name__} has no adapter that could be switched off; keep the logits of its "
                               "base with lab.evaluation.drift_forwards.kept and read the two one after the other")

    @torch.no_grad()
    def logits(ids: torch.Tensor) -> torch.Tensor:
        with nullcontext() if adapter else model.disable_adapter():
            given = batch.inputs(model, *_rows(ids, padding))
            return batch.forward(model, given, keep_logits=True)[-1, :len(ids)]

    return logits


def _rows(ids: torch.Tensor, padding: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    if not padding:
        return ids[None], None
    tokens = torch.cat([ids, ids[:1].expand(padding)]).expand(2, -1)
    real = torch.ones(tokens.shape, dtype=torch.bool)
    real[1, len(ids):] = False
    return tokens, real


def longest(model: Any, most: int = LONGEST) -> int:
    """Returns how many tokens of a text can be read, with room for the padding of the null.

    Args:
        model: Of which positions are a limit.
        most: Tokens.
    """
    positions = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return most if positions is None else min(most, positions - PADDING)


@contextmanager
def kept(documents: Sequence[Document], forward: Forward, *, budget: int = DISK) -> Iterator[Forward]:
    """Gives a model's logits of these documents from disk, so that the model can make room for another.

    They are kept in the model's own number format, so that nothing is rounded; the folder goes with the context.

    Args:
        documents: All that will be asked for.
        forward: The model.
        budget: Bytes on disk.

    Raises:
        OptionError: The logits take more than the budget, or other documents are asked for than were kept.
    """
    with tempfile.TemporaryDirectory(prefix="drift-") as name:
        folder, used = Path(name), 0
        places: dict[tuple[int, ...], Path] = {}
        for number, document in enumerate(documents):
            logits = forward(document.ids).cpu()
            used += logits.nbytes
            if used > budget:
                raise OptionError(f"logits of {number + 1} of {len(documents)} documents take {used} bytes on disk, more "
                                  f"than {budget}; choose documents with lab.evaluation.drift_forwards.within, or raise "
                                  "the budget")
            places[tuple(document.ids.tolist())] = folder / f"{number}.pt"
            torch.save(logits.clone(), places[tuple(document.ids.tolist())])  # a view would be saved with all behind it

        def logits_of(ids: torch.Tensor) -> torch.Tensor:
            place = places.get(tuple(ids.tolist()))
            if place is None:
                raise OptionError(f"a document of {len(ids)} tokens was not kept; measure the documents that were kept")
            return torch.load(place, weights_only=True)

        yield logits_of


def within(documents: Sequence[Document], vocabulary: int, *, bytes_each: int = 4, budget: int = DISK) -> list[Document]:
    """Returns as many of the documents as have logits within a budget, kinds in turn, so that every kind is there.

    Args:
        documents: To choose from.
        vocabulary: V, of the logits.
        bytes_each: Of a logit, 2 in bfloat16.
        budget: Bytes.

    Raises:
        OptionError: Not even the first document fits.
    """
    chosen, used = [], 0
    for document in _in_turn(documents):
        used += len(document.ids) * vocabulary * bytes_each
        if used > budget:
            break
        chosen.append(document)
    if not chosen:
        raise OptionError(f"the logits of one document take {used} bytes, more than {budget}; shorten the documents or "
                          "raise the budget")
    return chosen


def _in_turn(documents: Sequence[Document]) -> list[Document]:
    seen: dict[str, int] = {}
    rank = []
    for document in documents:
        seen[document.kind] = seen.get(document.kind, -1) + 1
        rank.append(seen[document.kind])
    return [documents[index] for index in sorted(range(len(documents)), key=rank.__getitem__)]
