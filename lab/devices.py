"""Where a model runs: device, number format, threads, and the most memory it took."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.errors import DeviceUnavailable

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Placement:
    """Device and number format of a model.

    Attributes:
        device: As PyTorch names it: `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `float32`, `bfloat16` or `float16`.
        description: What it is, for people: `NVIDIA H200, 139 GiB, bfloat16`.
        reason: Why it was chosen.
    """

    device: str
    dtype: str
    description: str
    reason: str

    @property
    def kind(self) -> str:
        """The device without its number: `cpu`, `cuda` or `mps`."""
        return self.device.partition(":")[0]

    @property
    def torch_dtype(self) -> Any:
        """The number format as PyTorch's object."""
        import torch

        return getattr(torch, self.dtype)


def choose(device: str = "auto", dtype: str = "auto") -> Placement:
    """The placement asked for, or the best there is: CUDA before CPU, bfloat16 where the GPU has it, float32 on a CPU.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:<number>` or `mps`; `auto` never takes `mps`, whose arithmetic is untested.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.

    Raises:
        DeviceUnavailable: This machine has no such device, or the device lacks the number format.
    """
    import torch

    limit_threads()
    kind, _, number = device.partition(":")
    if kind not in DEVICES or (number and (kind != "cuda" or not number.isdigit())):
        raise DeviceUnavailable(f"device={device} is none of auto, cpu, cuda, cuda:<number>, mps; type device=auto")
    if dtype not in DTYPES:
        raise DeviceUnavailable(f"dtype={dtype} is none of {', '.join(DTYPES)}; type dtype=auto")
    cuda = torch.cuda.is_available()
    if kind == "auto":
        device, kind = ("cuda", "cuda") if cuda else ("cpu", "cpu")
        why = "a CUDA GPU is here" if cuda else "no CUDA GPU is here"
    else:
        why = f"device={device} was asked for"
    if kind == "cuda":
        _check_cuda(device, cuda, int(number) if number else None)
    elif kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceUnavailable("device=mps needs an Apple GPU and a PyTorch with Metal; type device=cpu")
    chosen, why_dtype = _dtype(kind, device, dtype)
    return Placement(device, chosen, f"{_describe(device)}, {chosen}", f"{why}; {why_dtype}")


def _check_cuda(device: str, available: bool, number: int | None) -> None:
    import torch

    if not available:
        version = f"PyTorch {torch.__version__}"
        why = f"{version} finds no CUDA GPU or driver" if torch.version.cuda else f"{version} is a build without CUDA"
        raise DeviceUnavailable(f"device={device}: {why}; type device=cpu, or on a machine with a GPU install "
                                "PyTorch's CUDA build")
    if number is not None and number >= torch.cuda.device_count():
        raise DeviceUnavailable(f"device={device}: this machine has {torch.cuda.device_count()} CUDA GPU(s), numbered "
                                f"from 0; type device=cuda")


def _dtype(kind: str, device: str, dtype: str) -> tuple[str, str]:
    import torch

    supported = True
    if kind == "cuda":  # torch.cuda.is_bf16_supported() says yes to GPUs that only emulate it, many times slower
        supported = torch.cuda.get_device_capability(device)[0] >= 8
    if dtype == "bfloat16" and not supported:
        raise DeviceUnavailable(f"dtype=bfloat16: {_describe(device)} does not compute in it; type dtype=float32")
    if dtype != "auto":
        return dtype, f"dtype={dtype} was asked for"
    if kind == "cuda" and supported:
        return "bfloat16", "the GPU computes in bfloat16"
    return "float32", "float32 is exact and fast enough here" if kind == "cpu" else "float32 is safe on every GPU"


def _describe(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if device == "mps":
        return "Apple GPU (Metal)"
    return f"CPU, {torch.get_num_threads()} threads"


@cache
def usable_cores() -> int:
    """Cores this process may use, after its affinity and the container's quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or the quota is `max`
        pass
    return max(1, cores)


def limit_threads() -> int:
    """Holds PyTorch to the cores there are (in a container it counts the host's) and returns its thread count."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())
    return torch.get_num_threads()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Holds PyTorch to one CPU thread, for many small products: threads that wait for each other cost more than they give.

    On cores that others use too they are several times slower, since they wait by spinning.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reset_peak(device: str) -> None:
    """Starts a new measurement of `peak_bytes`, where the system can (CUDA, and the CPU on Linux).

    Args:
        device: As in `Placement`.
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif device == "cpu" and _CLEAR_REFS.exists():
        with contextlib.suppress(OSError):  # where a container forbids it, the peak is that of the whole process
            _CLEAR_REFS.write_text("5")  # resets the high-water mark that /proc/self/status calls VmHWM


def peak_bytes(device: str) -> int:
    """The most memory held at once since `reset_peak`, in bytes.

    On CUDA that is what PyTorch's allocator gave to tensors; on a CPU the resident memory of the whole process, the
    interpreter and its libraries with it; on Metal, which keeps no peak, what the driver holds now.

    Args:
        device: As in `Placement`.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    if device == "mps":
        import torch

        return torch.mps.driver_allocated_memory()
    return _peak_resident()


def _peak_resident() -> int:
    try:
        # not ru_maxrss: on Linux that survives exec, so a small process inherits the peak of a big parent
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
