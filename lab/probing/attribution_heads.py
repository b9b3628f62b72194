"""A layer's attention told apart into its heads, through whatever output projection it has and a norm after it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.probing.attribution_norm import frozen
from lab.probing.decomposition import Parts
from lab.probing.stream import gathered

_ROUNDINGS = 16
_FLOOR = 1e-5


@dataclass(frozen=True)
class Listening:
    """Output projections and what they took in the last forward pass.

    Attributes:
        modules: By layer.
        taken: [B, T, H · dv] by layer, heads side by side.
        without: Why a layer has none, by layer.
    """

    modules: dict[int, Any]
    taken: dict[int, torch.Tensor]
    without: dict[int, str]


@dataclass(frozen=True)
class Projected:
    """What heads of a layer add along a direction.

    Attributes:
        heads: [B, H].
        bias: [B], what is added whatever the heads do.
        bound: [B], the most that rounding can leave between their sum and what attention adds.
        without: Why there are none; empty where there are.
    """

    heads: torch.Tensor
    bias: torch.Tensor
    bound: torch.Tensor
    without: str = ""


@contextlib.contextmanager
def projections(model: Any) -> Iterator[Listening]:
    """Keeps what every layer's output projection takes in forward passes inside; references, no copies.

    Args:
        model: A causal language model, PEFT or plain.
    """
    listening = Listening({}, {}, {})
    with contextlib.ExitStack() as hooks:
        for layer in range(anatomy.n_layers(model)):
            try:
                listening.modules[layer] = anatomy.output_projection(model, layer)
            except ModelUnsupported as error:
                listening.without[layer] = str(error)
                continue
            handle = listening.modules[layer].register_forward_pre_hook(_keeper(listening.taken, layer))
            hooks.callback(handle.remove)
        yield listening


def _keeper(taken: dict[int, torch.Tensor], layer: int) -> Any:
    def hook(module: Any, args: tuple) -> None:
        taken[layer] = args[0]
    return hook


@torch.no_grad()
def heads_of(plain: Any, layer: int, parts: Parts, listening: Listening, positions: torch.Tensor, added: torch.Tensor,
             direction: torch.Tensor) -> Projected:
    """Returns what each head adds along a direction in the stream.

    The projection is called on one head at a time, the others zeroed, so that adapters, quantised weights and transposed
    ones need no code of their own.

    Args:
        plain: The causal language model.
        layer: Its index.
        parts: Of the layer.
        listening: After a forward pass.
        positions: [B, 1], of each row's token.
        added: [B, D], what attention adds there.
        direction: [B, D].
    """
    nothing = torch.zeros(0)
    if layer not in listening.taken:
        return Projected(nothing, nothing, nothing, listening.without.get(layer, "its output projection did not run"))
    taken = listening.taken[layer]
    mixed = gathered(taken.view(len(positions), -1, taken.shape[-1]), positions)[:, 0]  # [B, H · dv]
    each, rest, whole = _through(listening.modules[layer], mixed, anatomy.n_heads(plain))
    found = _onward(plain, layer, parts, listening.modules[layer], whole, added, direction)
    if isinstance(found, str):
        return Projected(nothing, nothing, nothing, found)
    direction, constant = found
    heads = torch.einsum("bhd,bd->bh", each, direction)
    bias = (rest * direction).sum(-1) + constant
    passed = (((each * direction[:, None]) ** 2).sum((1, 2)) + ((whole * direction) ** 2).sum(-1)).sqrt()
    eps = torch.finfo(added.dtype).eps
    return Projected(heads, bias, (_ROUNDINGS * eps + _FLOOR) * (passed + heads.abs().sum(1) + bias.abs()))


def _through(module: Any, mixed: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the projection makes of each head alone [B, H, D], of none [B, D] and of all [B, D]; float64."""
    rows, width = mixed.shape
    alone = torch.eye(count, dtype=mixed.dtype, device=mixed.device)[None, :, :, None] * mixed.view(rows, 1, count, -1)
    asked = torch.cat([alone.view(rows, count, width), torch.zeros_like(mixed)[:, None], mixed[:, None]], 1)
    said = module(asked).double().cpu()
    return said[:, :count] - said[:, count:-1], said[:, count], said[:, -1]


def _onward(plain: Any, layer: int, parts: Parts, projection: Any, whole: torch.Tensor, added: torch.Tensor,
            direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | str:
    """The direction before whatever lies between the projection and the stream, and what that adds by itself [B]."""
    why = "between its output projection and what it adds to the stream lies more than a norm and a factor"
    if len(parts.attention) != 1:
        return why
    term = parts.attention[0]
    module = anatomy.layers(plain)[layer].get_submodule(term.path)
    before = added.double().cpu() / term.factor
    if _near(whole, before, added.dtype):
        return direction * term.factor, torch.zeros(len(added), dtype=torch.float64)
    if any(each is projection for each in module.modules()):
        return why
    given = whole.to(added)
    said = module(given[:, None])[:, 0]
    if not _near(said.double().cpu(), before, added.dtype):
        return why
    norm = frozen(module, added.shape[-1], f"layer {layer}: {term.path}")
    over = norm.over_scale(whole, before)
    return norm.back(direction * term.factor, over), term.factor * (direction * norm.bias).sum(-1)


def _near(one: torch.Tensor, other: torch.Tensor, dtype: torch.dtype) -> bool:
    return bool((one - other).norm() <= max(8 * torch.finfo(dtype).eps, 1e-5) * other.norm())
