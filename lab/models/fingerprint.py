"""A base model's identity: SHA-256 over the name-sorted list of tensor name, dtype, shape and SHA-256 of its bytes.

It depends on nothing else: not on files, shards, the order of tensors in a file or its metadata. Tied weights count as
they are stored. Two checkpoints of the same shape with other weights differ in it.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.devices import usable_cores
from lab.errors import ModelUnsupported
from lab.models.safetensors_files import StoredTensor, read_header, weight_files

_CHUNK = 4 * 2**20
_SAFETENSORS_NAMES = {  # PyTorch's number formats as safetensors writes them
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "complex64": "C64", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}
_BLOB = re.compile(r"blobs/([0-9a-f]{64})$")
_buffers = threading.local()

Row = tuple[str, str, tuple[int, ...], str]  # name, dtype, shape, SHA-256 of the bytes


def fingerprint(source: Path | str | Iterable[Path], *, cache: bool = True) -> str:
    """The fingerprint `sha256:…` of the weights in a model folder, or in the given files.

    Args:
        source: A model folder, or weight files (safetensors, or PyTorch's pickles, read without running them).
        cache: Whether a file hashed before (same blob or path, size and times) may be skipped.

    Raises:
        ModelUnsupported: There are no weights, a file is broken, or two files hold the same tensor.
    """
    files = weight_files(Path(source)) if isinstance(source, str | Path) else sorted(source)
    rows: dict[str, tuple[Row, Path]] = {}
    for file in files:
        for row in _rows(file, cache):
            if row[0] in rows:
                raise ModelUnsupported(f"tensor {row[0]} is in {rows[row[0]][1]} and in {file}; keep one of them")
            rows[row[0]] = row, file
    return _combine(row for row, _ in rows.values())


def fingerprint_of_state_dict(tensors: Mapping[str, Any]) -> str:
    """The fingerprint of tensors in memory; it equals the one of a file that stores just these.

    Args:
        tensors: PyTorch tensors by name.
    """
    return _combine(_hash_tensors(tensors))


def _combine(rows: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    for name, dtype, shape, content in sorted(rows):
        digest.update(json.dumps([name, dtype, list(shape), content]).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _bytes(tensor: Any) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")


def _rows(file: Path, cache: bool) -> list[Row]:
    entry = _cache_entry(file)
    if cache and entry.is_file():
        return [(name, dtype, tuple(shape), content) for name, dtype, shape, content in json.loads(entry.read_text())]
    rows = _hash_safetensors(file) if file.suffix == ".safetensors" else _hash_pickle(file)
    if cache:
        entry.parent.mkdir(parents=True, exist_ok=True)
        partial = entry.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        partial.write_text(json.dumps(rows))
        partial.replace(entry)
    return rows


def _hash_safetensors(file: Path) -> list[Row]:
    tensors = read_header(file)
    with ThreadPoolExecutor(usable_cores()) as pool:  # hashlib and file reads both let other threads run
        contents = pool.map(_hash_range, tensors)
        return [(t.name, t.dtype, t.shape, content) for t, content in zip(tensors, contents, strict=True)]


def _hash_range(tensor: StoredTensor) -> str:
    buffer = getattr(_buffers, "view", None)
    if buffer is None:
        buffer = _buffers.view = memoryview(bytearray(_CHUNK))
    digest, left = hashlib.sha256(), tensor.stop - tensor.start
    with tensor.file.open("rb", buffering=0) as stream:
        stream.seek(tensor.start)
        while left:
            count = stream.readinto(buffer[: min(left, _CHUNK)])
            if not count:
                raise ModelUnsupported(f"{tensor.file} became shorter while it was read; start again")
            digest.update(buffer[:count])
            left -= count
    return digest.hexdigest()


def _hash_pickle(file: Path) -> list[Row]:
    from lab.models.pickled import load_tensors

    return _hash_tensors(load_tensors(file))


def _hash_tensors(tensors: Mapping[str, Any]) -> list[Row]:
    return [(name, _SAFETENSORS_NAMES[str(tensor.dtype).removeprefix("torch.")], tuple(tensor.shape),
             hashlib.sha256(_bytes(tensor)).hexdigest()) for name, tensor in tensors.items()]


def _cache_entry(file: Path) -> Path:
    real, stat = file.resolve(), file.stat()
    blob = _BLOB.search(real.as_posix())
    # a blob's name says what it should hold, its times whether it still does; ctime cannot be set back by hand
    key = f"{blob[1] if blob else real}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    return cache_folder() / "fingerprints" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def cache_folder() -> Path:
    """Where the lab keeps what it can always make again: `LAB_CACHE`, or `~/.cache/llm-learning-lab`."""
    return Path(os.environ.get("LAB_CACHE") or Path.home() / ".cache" / "llm-learning-lab")
