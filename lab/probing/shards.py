"""Activations of base and tuned model at one site, token by token side by side, as safetensors files for other tools.

Crosscoders and sparse autoencoders train on millions of such pairs. They are written while the models read, one bounded
file after the other, and an index last, so that a folder whose writing was cut short is not taken for a whole one.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lab.errors import DataError, OptionError
from lab.models.batch import inputs
from lab.models.rows import BASE, adapter_rows
from lab.probing.capture import capture
from lab.probing.decomposition import Decomposition
from lab.probing.sites import check_layers, check_sites

INDEX = "index.json"
MOST_BYTES = 256 * 2**20
_COLUMNS = ("base", "tuned", "token", "prompt", "position")

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


class Writer:
    """Pairs of activations, gathered in memory up to one shard and written when it is full."""

    def __init__(self, folder: Path, about: Mapping[str, str], most_bytes: int) -> None:
        """Takes an empty folder, what is kept in every file, and the bytes of values that one may hold."""
        self._folder, self._about, self._most_bytes = folder, dict(about), most_bytes
        self._room: dict[str, torch.Tensor] = {}
        self._used = 0
        self._shards: list[dict[str, Any]] = []

    def add(self, rows: Mapping[str, torch.Tensor]) -> None:
        """Takes N tokens.

        Args:
            rows: `base` and `tuned` [N, D], and `token`, `prompt` and `position` [N]: its id, which prompt it is of and
                where in it.

        Raises:
            OptionError: Not even one token fits into a shard.
        """
        if not self._room:
            self._room = self._empty(rows["base"])
        given, size = 0, len(rows["base"])
        while given < size:
            more = min(size - given, self._rows - self._used)
            for name, room in self._room.items():
                room[self._used: self._used + more].copy_(rows[name][given: given + more])
            given, self._used = given + more, self._used + more
            if self._used == self._rows:
                self._write()

    def finish(self) -> None:
        """Writes what is left and the index.

        Raises:
            DataError: There was not one token.
        """
        if self._used:
            self._write()
        if not self._shards:
            raise DataError("no token was given, so that there are no activations to keep; give at least one prompt")
        index = {**self._about, "width": self._room["base"].shape[1], "tokens": sum(one["tokens"] for one in self._shards),
                 "shards": self._shards}
        (self._folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")

    @property
    def _rows(self) -> int:
        return len(self._room["base"])

    def _empty(self, like: torch.Tensor) -> dict[str, torch.Tensor]:
        width, dtype = like.shape[1], like.dtype
        each = 2 * width * dtype.itemsize + 3 * torch.int32.itemsize
        rows = self._most_bytes // each
        if not rows:
            raise OptionError(f"most_bytes={self._most_bytes}: one token takes {each} bytes here, so that none would fit "
                              "into a shard; allowed is that and more")
        self._about["dtype"] = str(dtype).removeprefix("torch.")
        return {name: torch.empty((rows, width), dtype=dtype) if name in ("base", "tuned")
                else torch.empty(rows, dtype=torch.int32) for name in _COLUMNS}

    def _write(self) -> None:
        from safetensors.torch import save_file

        name = f"shard_{len(self._shards):05d}.safetensors"
        save_file({column: room[:self._used] for column, room in self._room.items()}, self._folder / name,
                  metadata=self._about)
        self._shards.append({"file": name, "tokens": self._used})
        self._used = 0


@contextlib.contextmanager
def writing(folder: Path, about: Mapping[str, str], *, most_bytes: int = MOST_BYTES) -> Iterator[Writer]:
    """Yields a writer of shards; the index is written when the block ends without an error.

    Args:
        folder: Made if it is not there.
        about: What the activations are of; kept in every file and in the index, with their number format.
        most_bytes: Of the values in one shard, which is also what is held in memory.

    Raises:
        OptionError: The folder holds something already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in folder.iterdir()):
        raise OptionError(f"{folder} is not empty (it holds {', '.join(found[:3])}); give a folder that is, or a new one")
    writer = Writer(folder, about, most_bytes)
    yield writer
    writer.finish()


@torch.no_grad()
def write_pairs(model: Any, adapter: str, batches: Iterable[Batch], decomposition: Decomposition, folder: Path, *, site: str,
                layer: int, fingerprint: str, run_id: str, most_bytes: int = MOST_BYTES) -> None:
    """Writes what base and tuned model have at a site for every real token, both from one forward pass a batch.

    Args:
        model: A PEFT model in evaluation mode.
        adapter: Its adapter that makes it the tuned one.
        batches: Of N prompts each: which they are [N], token ids [N, T], and which are real [N, T] or None for all. One is
            taken after the other is written.
        decomposition: Of the base.
        folder: Empty, or to be made.
        site: One of `lab.probing.sites.SITES` or `RAW`.
        layer: Index.
        fingerprint: Of the base's weights.
        run_id: Whose adapter it is.
        most_bytes: Of the values in one shard.

    Raises:
        OptionError: The folder is not empty, a shard would hold no token, or there is no such site or layer.
        DataError: There is no batch.
        ModelUnsupported: The adapter cannot be switched per row, or a layer does not add up.
    """
    check_sites([site])
    check_layers([layer], len(decomposition.layers))
    about = {"site": site, "layer": str(layer), "base_fingerprint": fingerprint, "run_id": run_id}
    with writing(folder, about, most_bytes=most_bytes) as writer:
        for prompts, tokens, real in batches:
            writer.add(_pairs(model, adapter, decomposition, site, layer, prompts, tokens, real))


def _pairs(model: Any, adapter: str, decomposition: Decomposition, site: str, layer: int, prompts: torch.Tensor,
           tokens: torch.Tensor, real: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Columns of a shard for the real tokens of a batch; positions count from a prompt's first real token."""
    count = len(tokens)
    real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real.bool()
    with adapter_rows(model, [BASE] * count + [adapter] * count):
        given = inputs(model, tokens.repeat(2, 1), real.repeat(2, 1))
        found = capture(model, given, decomposition, sites=[site], layers=[layer]).values[site][layer]
    chosen = real.to(found.device)
    return {"base": found[:count][chosen], "tuned": found[count:][chosen], "token": tokens[real],
            "prompt": prompts[:, None].expand_as(tokens)[real], "position": (real.cumsum(1) - 1)[real]}


def about(folder: Path) -> dict[str, Any]:
    """Returns the index: what the activations are of, their width, how many tokens, and the shards.

    Raises:
        DataError: There is none.
    """
    if not (folder / INDEX).is_file():
        raise DataError(f"{folder} has no {INDEX}: it holds no shards, or their writing was cut short; write them again")
    return json.loads((folder / INDEX).read_text())


def read(folder: Path) -> Iterator[dict[str, torch.Tensor]]:
    """Yields one shard after the other: `base` and `tuned` [N, D], `token`, `prompt` and `position` [N].

    Raises:
        DataError: There is no index, or a shard is missing or not the one that was written.
    """
    from safetensors.torch import load_file

    for shard in about(folder)["shards"]:
        file = folder / shard["file"]
        if not file.is_file():
            raise DataError(f"{folder} lacks {shard['file']}, which its {INDEX} names; copy it again, or write them again")
        held = load_file(file)
        if set(held) != set(_COLUMNS) or any(len(column) != shard["tokens"] for column in held.values()):
            raise DataError(f"{file} does not hold the {shard['tokens']} tokens that {INDEX} says; copy it again, or write "
                            "them again")
        yield held
