"""Which modules of each layer write to the residual stream, found by search when a model is first looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.probing import observed
from lab.probing.closure import Closure
from lab.probing.observed import Observed
from lab.probing.search import Found, find_terms

_ROWS, _TOKENS = 2, 16


@dataclass(frozen=True)
class Term:
    """A module whose output, times a factor, is added to the stream.

    Attributes:
        path: Of the module inside its layer.
        factor: A residual multiplier of the architecture; 1 in most.
        overwritten: Whether the layer writes into the output after the module returned it, so that it must be copied.
    """

    path: str
    factor: float
    overwritten: bool


@dataclass(frozen=True)
class Parts:
    """What one layer adds to the stream.

    Attributes:
        attention: Terms of its token mixing (attention, or what stands in its place); their sum is `delta_attn`. None in
            a layer that only feeds forward.
        feed_forward: Terms whose sum is `delta_ffn`; none in a layer that only mixes tokens.
        raw: Paths of the modules whose outputs are `attn_out` and `ffn_out`, by site.
        virtual: Whether nothing in the layer reads `pre_attn + delta_attn`, as in parallel blocks.
        input_overwritten: Whether the layer writes into its own input.
        closure: How well they add up.
    """

    attention: tuple[Term, ...]
    feed_forward: tuple[Term, ...]
    raw: dict[str, str]
    virtual: bool
    input_overwritten: bool
    closure: Closure

    @property
    def terms(self) -> tuple[Term, ...]:
        """All of them, attention first."""
        return (*self.attention, *self.feed_forward)


@dataclass(frozen=True)
class Decomposition:
    """What every layer of a model adds to the stream.

    Attributes:
        layers: One for each.
    """

    layers: tuple[Parts, ...]

    @property
    def virtual(self) -> list[int]:
        """Layers whose `post_attn` nothing reads."""
        return [index for index, parts in enumerate(self.layers) if parts.virtual]


@torch.no_grad()
def decompose(model: Any, tokens: torch.Tensor | None = None) -> Decomposition:
    """Returns how each layer's output is its input plus what its modules add, checked on a forward pass.

    All outputs of a layer's modules are candidates; the fewest that sum to what the layer adds, each with a factor of its
    own, are it (see `lab.probing.search`). No table of architectures is needed, so one that nobody listed works or is
    refused.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        tokens: [B, T], what it reads meanwhile; by default a few from its vocabulary.

    Raises:
        ModelUnsupported: A layer's output is not its input plus outputs of its modules, or the layers are not found, run
            more than once or carry several streams. The message names the layer.
    """
    plain = anatomy.plain_model(model)
    seen = observed.observe(model, _some_tokens(plain) if tokens is None else tokens)
    return Decomposition(tuple(_parts(type(plain).__name__, index, each, plain) for index, each in enumerate(seen)))


def _parts(name: str, index: int, seen: Observed, plain: Any) -> Parts:
    found = find_terms(seen, _multipliers(plain.config))
    if found is None:
        raise ModelUnsupported(f"{name}: layer {index} ({seen.kind}) does not add up: no outputs of up to four of its "
                               "modules sum to what it adds to the residual stream, so nothing of it can be said to be "
                               "attention's or the feed-forward's")
    attention, feed_forward = _roles(name, index, seen, found)
    return Parts(attention, feed_forward, seen.raw(), _virtual(seen, attention, feed_forward), seen.input_overwritten,
                 found.closure)


def _roles(name: str, index: int, seen: Observed, found: Found) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Terms that token mixing and that feeding forward adds; each belongs to the block that ran last before it ended."""
    terms = [Term(path, factor, path in seen.overwritten) for path, factor in zip(found.paths, found.factors, strict=True)]
    roles = [seen.role(term.path) for term in terms]
    if None in roles:
        unknown = ", ".join(term.path for term, role in zip(terms, roles, strict=True) if role is None)
        raise ModelUnsupported(f"{name}: layer {index} ({seen.kind}) adds {unknown}, of which the lab cannot tell whether "
                               "it mixes tokens or feeds forward")
    return (tuple(term for term, role in zip(terms, roles, strict=True) if role == observed.MIXING),
            tuple(term for term, role in zip(terms, roles, strict=True) if role == observed.FEEDING))


def _virtual(seen: Observed, attention: Sequence[Term], feed_forward: Sequence[Term]) -> bool:
    if not attention or not feed_forward:
        return False  # post_attn is then the layer's own input or output
    middle = seen.before.double() + seen.total([(term.path, term.factor) for term in attention]).double()
    bound = 8 * torch.finfo(seen.after.dtype).eps * middle.abs().max()
    return not any(bool((taken.double() - middle).abs().max() <= bound) for taken in seen.taken)


def _multipliers(config: Any) -> list[float]:
    """Numbers of the configuration that may be residual multipliers: exact, where a fit has rounding."""
    text = config.get_text_config(decoder=True).to_dict()
    return [1.0, *sorted({float(value) for value in text.values() if isinstance(value, float) and value > 0})]


def _some_tokens(plain: Any) -> torch.Tensor:
    rows = plain.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, rows, (_ROWS, _TOKENS), generator=generator)
