"""A model's weight files and the tensors in them, read from safetensors headers without PyTorch."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from lab.errors import ModelUnsupported

_WHOLE = ("model.safetensors", "pytorch_model.bin")
_MAX_HEADER = 100 * 2**20  # the format's own limit


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it lies in a file.

    Attributes:
        name: Its name in the checkpoint.
        dtype: As safetensors writes it: `F32`, `BF16`, `U8`.
        shape: Its sizes.
        file: The file.
        start: Offset of its first byte in the file.
        stop: Offset behind its last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of the model in `folder`, safetensors before pickle, in order of name.

    Raises:
        ModelUnsupported: There are none, or the index names one that is missing.
    """
    for whole in _WHOLE:
        if (folder / whole).is_file():
            return [folder / whole]
        index = folder / f"{whole}.index.json"
        if index.is_file():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            missing = [name for name in names if not (folder / name).is_file()]
            if missing:
                raise ModelUnsupported(f"{folder}: {index.name} names {', '.join(missing)}, which is not there; "
                                       "download or copy the folder again")
            return [folder / name for name in names]
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:20]) or "nothing"
    raise ModelUnsupported(f"{folder} holds no weights: allowed are model.safetensors, pytorch_model.bin or shards of "
                           f"them with their index; found {found}")


def read_header(file: Path) -> list[StoredTensor]:
    """The tensors of a safetensors file, in order of name, their bytes unread.

    Raises:
        ModelUnsupported: The file is no whole safetensors file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 0 < length <= min(_MAX_HEADER, size - 8):
            raise ModelUnsupported(f"{file} is not a safetensors file, or cut short; download or copy it again")
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise ModelUnsupported(f"{file} is not a safetensors file: its header is not JSON ({error}); "
                                   "download or copy it again") from error
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in sorted(header.items()):
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        if not start <= stop <= size:
            raise ModelUnsupported(f"{file} is cut short: tensor {name} ends at byte {stop}, the file at {size}; "
                                   "download or copy it again")
        tensors.append(StoredTensor(name, entry["dtype"], tuple(entry["shape"]), file, start, stop))
    return tensors
