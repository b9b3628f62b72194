"""What one layer did to the residual stream in the forward pass that runs now; handed over when the layer has ended."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lab.errors import ModelUnsupported
from lab.models import anatomy
from lab.probing.decomposition import Decomposition, Parts, Term
from lab.probing.observed import first, layer_input
from lab.probing.sites import DELTA_ATTN, DELTA_FFN, POST_ATTN, POST_FFN, PRE_ATTN
from lab.probing.sums import PARTS, Sums, some

Receive = Callable[[int, "Stream"], None]


class Stream:
    """One layer's stream in one forward pass, its sites worked out when they are asked for."""

    def __init__(self, parts: Parts, before: torch.Tensor, after: torch.Tensor, returned: dict[str, torch.Tensor],
                 positions: torch.Tensor | slice | None = None) -> None:
        """Keeps references, no copies.

        Args:
            parts: Of the layer.
            before: [B, T, D], its input.
            after: [B, T, D], its output.
            returned: By path, what its terms and raw modules returned.
            positions: [B, P], token positions of each row that are wanted, or the same of all rows; None for all.
        """
        self._parts, self._before, self._after, self._returned = parts, before, after, returned
        self._positions = positions
        self._made: dict[str, torch.Tensor] = {}

    def site(self, name: str) -> torch.Tensor:
        """Returns the activations [B, P, D] at a site, not to be written into."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    @property
    def length(self) -> int:
        """T, tokens of the text."""
        return self._before.shape[1]

    def at(self, positions: torch.Tensor | slice | None) -> "Stream":
        """Returns the same stream at other positions, [B, P] or the same of all rows; at all for None."""
        return Stream(self._parts, self._before, self._after, self._returned, positions)

    def _make(self, name: str) -> torch.Tensor:
        if name == PRE_ATTN:
            return self._chosen(self._before)
        if name == POST_FFN:
            return self._chosen(self._after)
        if name == DELTA_ATTN:
            return self._sum(self._parts.attention)
        if name == DELTA_FFN:
            return self._sum(self._parts.feed_forward)
        if name == POST_ATTN:
            return self.site(PRE_ATTN) + self.site(DELTA_ATTN)
        return self._chosen(self._returned[self._parts.raw[name]])

    def _sum(self, terms: Sequence[Term]) -> torch.Tensor:
        each = [self._chosen(self._returned[term.path]) for term in terms]
        each = [one * term.factor if term.factor != 1 else one for one, term in zip(each, terms, strict=True)]
        return sum(each[1:], each[0]) if each else torch.zeros_like(self.site(PRE_ATTN))

    def _chosen(self, values: torch.Tensor) -> torch.Tensor:
        values = values.view(self._before.shape)
        if self._positions is None:
            return values
        return values[:, self._positions] if isinstance(self._positions, slice) else gathered(values, self._positions)


class _Listener:
    """The hooks of one layer: they keep what its modules return, and see that nobody writes into it before it is read."""

    def __init__(self, name: str, index: int, parts: Parts) -> None:
        self.what = f"{name}: layer {index}"
        self.parts = parts
        self.needed = {term.path: term.overwritten for term in parts.terms}
        self.needed |= {path: False for path in parts.raw.values() if path not in self.needed}
        self.before: torch.Tensor | None = None  # only if the layer will write into it
        self.versions: dict[str, int] = {}
        self.returned: dict[str, torch.Tensor] = {}

    def listen(self, layer: Any, receive: Callable[[Stream], None]) -> list[Any]:
        """Returns the handles of hooks that hand the layer's stream over as it ends."""
        def begin(module: Any, args: tuple, kwargs: dict) -> None:
            self.before = layer_input(args, kwargs).clone()

        def end(module: Any, args: tuple, kwargs: dict, output: Any) -> None:
            stream = self._stream(layer_input(args, kwargs), first(output))
            self.before, self.versions, self.returned = None, {}, {}  # else they would stay until the layer runs again
            receive(stream)

        handles = [layer.get_submodule(path).register_forward_hook(self._keep(path)) for path in self.needed]
        if self.parts.input_overwritten:
            handles.append(layer.register_forward_pre_hook(begin, with_kwargs=True))
        return [*handles, layer.register_forward_hook(end, with_kwargs=True)]

    def _keep(self, path: str) -> Callable:
        def hook(module: Any, args: tuple, output: Any) -> None:
            if path in self.returned:
                raise ModelUnsupported(f"{self.what} ran {path} twice in one forward pass; it ran once when the model was "
                                       "looked at first")
            self.returned[path] = self._safe(path, first(output), self.needed[path])
        return hook

    def _stream(self, before: torch.Tensor, after: torch.Tensor) -> Stream:
        if missing := sorted(set(self.needed) - set(self.returned)):
            raise ModelUnsupported(f"{self.what} did not run {', '.join(missing)}, which adds to the stream")
        for key, version in self.versions.items():
            if self.returned[key]._version != version:
                raise ModelUnsupported(f"{self.what} wrote into {key}'s output after it was captured, which it did not when "
                                       "the model was looked at first")
        return Stream(self.parts, before if self.before is None else self.before, after, self.returned)

    def _safe(self, key: str, value: torch.Tensor, overwritten: bool) -> torch.Tensor:
        if overwritten or value.is_inference():  # inference tensors carry no version
            return value.clone()
        self.versions[key] = value._version
        return value


def gathered(values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Returns chosen positions of each row.

    Args:
        values: [B, T, D].
        positions: [B, P].

    Returns:
        [B, P, D].
    """
    return values.gather(1, positions[:, :, None].expand(-1, -1, values.shape[-1]))


@contextlib.contextmanager
def streaming(model: Any, decomposition: Decomposition, receive: Receive, *, layers: Sequence[int]) -> Iterator[Sums]:
    """Hands each layer's stream to `receive` as soon as the layer has ended, in every forward pass inside.

    The sum is checked again in every forward pass, on a few positions of each layer. All errors are looked at together,
    when `check` of what this yields is called and at the end, so that a GPU is not waited for in between.

    Args:
        model: A causal language model, PEFT or plain.
        decomposition: Of this model or its base.
        receive: Takes the layer's index and its stream, to be used in that call.
        layers: Those that report.

    Raises:
        ModelUnsupported: A layer's parts do not make up its whole; it is named, and nothing of it may be used.
    """
    plain = anatomy.plain_model(model)
    sums, last = Sums(type(plain).__name__), max(layers)
    with contextlib.ExitStack() as hooks:
        for index in layers:
            listener = _Listener(type(plain).__name__, index, decomposition.layers[index])
            for handle in listener.listen(anatomy.layers(plain)[index], _ending(sums, receive, index, settle=index == last)):
                hooks.callback(handle.remove)
        yield sums
    sums.check()


def _ending(sums: Sums, receive: Receive, index: int, *, settle: bool) -> Callable[[Stream], None]:
    def end(stream: Stream) -> None:
        few = stream.at(some(stream.length))
        sums.add(index, {site: few.site(site) for site in PARTS})
        if settle:
            sums.settle()
        receive(index, stream)
    return end
