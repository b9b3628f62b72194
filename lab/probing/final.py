"""From the residual stream to logits: a model's final norm, its unembedding and what it does to logits afterwards."""

import contextlib
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.models.batch import forward, inputs
from lab.probing.observed import first

_ROWS, _TOKENS = 2, 16


@dataclass(frozen=True)
class Final:
    """What turns the last layer's output into logits: cap(factor · head(inner · norm(x))).

    Attributes:
        norm: The final norm; an identity where the model has none.
        head: The unembedding, with an adapter's module around it if there is one.
        inner: Multiplies what the norm returns; 1 in most.
        factor: Multiplies the head's output (Cohere's logit_scale, one over Granite's logits_scaling); 1 in most.
        cap: Gemma's final_logit_softcapping, cap · tanh(logit / cap); None in most.
        vocabulary: V, how many logits there are.
    """

    norm: Any
    head: Any
    inner: float
    factor: float
    cap: float | None
    vocabulary: int

    def normed(self, residual: torch.Tensor) -> torch.Tensor:
        """Returns what the head reads [.., D] of a residual stream [.., D]."""
        value = self.norm(residual)
        return value * self.inner if self.inner != 1 else value

    def uncapped(self, normed: torch.Tensor) -> torch.Tensor:
        """Returns logits [.., V] before the cap, of what the head reads [.., D]."""
        value = self.head(normed)
        return value * self.factor if self.factor != 1 else value

    def capped(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the model's logits [.., V] from those before the cap."""
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap

    def logits(self, residual: torch.Tensor) -> torch.Tensor:
        """Returns the logits [.., V] that the model would give if this residual stream [.., D] left its last layer."""
        return self.capped(self.uncapped(self.normed(residual)))


@torch.no_grad()
def find_final(model: Any, tokens: torch.Tensor | None = None) -> Final:
    """Returns how a model gets logits from its residual stream, found on a forward pass and checked on it.

    The head is what Transformers calls the output embeddings; the norm is the module after the last layer that takes the
    last layer's output and returns what the head reads. `hidden_states[-1]` is not asked: it is after the norm.

    Args:
        model: A causal language model in evaluation mode, PEFT or plain.
        tokens: [B, T], what it reads meanwhile; by default a few from its vocabulary.

    Raises:
        ModelUnsupported: It has no output embeddings, or more lies between the stream and the logits than a norm, a linear
            head, factors and a cap.
    """
    plain = anatomy.plain_model(model)
    name, head = type(plain).__name__, plain.get_output_embeddings()
    if head is None:
        raise ModelUnsupported(f"{name} has no output embeddings, so its residual stream cannot be read as logits")
    seen, logits = _seen(plain, head, _some_tokens(plain) if tokens is None else tokens)
    norm, inner = _norm(name, seen)
    factor, cap = _after(name, plain.config.get_text_config(decoder=True), seen.said, logits)
    found = Final(norm, head, inner, factor, cap, logits.shape[-1])
    error = _distance(found.logits(seen.stream), logits)
    if not error <= _bound(logits):
        raise ModelUnsupported(f"{name}: final norm and unembedding of the last layer's output are {error:.2g} of the "
                               "logits' norm away from the model's own logits; the lab cannot read its residual stream")
    return found


@dataclass
class _Seen:
    stream: torch.Tensor  # [B, T, D], the last layer's output
    read: torch.Tensor  # [B, T, D], what the head took
    said: torch.Tensor  # [B, T, V], what the head gave
    between: list[tuple[Any, torch.Tensor, torch.Tensor]]  # modules after the last layer, with what they took and gave


def _seen(plain: Any, head: Any, tokens: torch.Tensor) -> tuple[_Seen, torch.Tensor]:
    last = anatomy.layers(plain)[-1]
    inside = set(last.modules())
    seen: dict[str, Any] = {"between": []}

    def ended(module: Any, args: tuple, output: Any) -> None:
        seen["stream"], seen["between"] = first(output).clone(), []

    def headed(module: Any, args: tuple, output: Any) -> None:
        seen["read"], seen["said"] = args[0].clone(), output.clone()

    def passed(module: Any, args: tuple, output: Any) -> None:
        taken, given = (args[0] if args else None), first(output)
        if "stream" in seen and isinstance(taken, torch.Tensor) and isinstance(given, torch.Tensor):
            seen["between"].append((module, taken.clone(), given.clone()))

    with contextlib.ExitStack() as hooks:
        for module in plain.modules():
            hook = ended if module is last else headed if module is head else None if module in inside else passed
            if hook is not None:
                hooks.callback(module.register_forward_hook(hook).remove)
        logits = forward(plain, inputs(plain, tokens), keep_logits=True)
    if missing := [what for what in ("stream", "read") if what not in seen]:
        raise ModelUnsupported(f"{type(plain).__name__}: its {'last layer' if 'stream' in missing else 'output embeddings'} "
                               "did not run in a forward pass, so its residual stream cannot be read as logits")
    return _Seen(**seen), logits


def _norm(name: str, seen: _Seen) -> tuple[Any, float]:
    """The module between the last layer and the head, and what its output is multiplied with."""
    bound = _bound(seen.read)
    for module, taken, given in seen.between:
        if taken.shape == given.shape == seen.read.shape and _distance(taken, seen.stream) == 0:
            inner = _ratio(seen.read, given)
            if _distance(given * inner, seen.read) <= bound:
                return module, inner
    inner = _ratio(seen.read, seen.stream)
    if seen.read.shape == seen.stream.shape and _distance(seen.stream * inner, seen.read) <= bound:
        return torch.nn.Identity(), inner
    there = ", ".join(type(module).__name__ for module, *_ in seen.between) or "none"
    raise ModelUnsupported(f"{name}: no one module after its last layer takes that layer's output and returns what the "
                           f"unembedding reads (there are {there}), so its residual stream cannot be read as logits")


def _after(name: str, config: Any, said: torch.Tensor, logits: torch.Tensor) -> tuple[float, float | None]:
    """Factor and cap between the head's output and the logits."""
    factor = _ratio(logits, said)
    if _distance(said * factor, logits) <= _bound(logits):
        return factor, None
    cap = getattr(config, "final_logit_softcapping", None)
    if cap and _distance(torch.tanh(said / cap) * cap, logits) <= _bound(logits):
        return 1.0, float(cap)
    raise ModelUnsupported(f"{name}: its logits are neither a multiple of what its unembedding returns nor that under "
                           "final_logit_softcapping, so its residual stream cannot be read as logits")


def _ratio(whole: torch.Tensor, part: torch.Tensor) -> float:
    """The factor of least squares, exactly 1 where it is that within rounding."""
    if whole.shape != part.shape or not bool(part.any()):
        return 1.0
    factor = float((whole.double() * part.double()).sum() / part.double().square().sum())
    return 1.0 if abs(factor - 1) <= max(torch.finfo(whole.dtype).eps / 4, 1e-6) else factor


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """|one - other| / |other|, infinite for different shapes."""
    if one.shape != other.shape:
        return float("inf")
    return float((one.double() - other.double()).norm() / other.double().norm().clamp_min(1e-300))


def _bound(value: torch.Tensor) -> float:
    return max(4 * torch.finfo(value.dtype).eps, 1e-5)


def _some_tokens(plain: Any) -> torch.Tensor:
    rows = plain.get_input_embeddings().weight.shape[0]
    return torch.randint(0, rows, (_ROWS, _TOKENS), generator=torch.Generator().manual_seed(0))
