"""Devices: what is chosen and why, what is refused, and how much memory was held."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lab import devices
from lab.errors import DeviceUnavailable


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def one_gpu(monkeypatch):
    """A function that pretends one CUDA GPU of a compute capability."""
    def pretend(major):
        properties = type("Properties", (), {"name": "Some GPU", "total_memory": 80 * 2**30})
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 0))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    return pretend


def test_without_a_gpu_it_is_the_cpu_in_float32(no_cuda):
    found = devices.choose()
    assert (found.device, found.kind, found.dtype, found.torch_dtype) == ("cpu", "cpu", "float32", torch.float32)
    assert "no CUDA GPU is here" in found.reason and "CPU" in found.description


def test_a_gpu_with_bfloat16_is_used_so(one_gpu):
    one_gpu(9)
    found = devices.choose()
    assert (found.device, found.dtype) == ("cuda", "bfloat16")
    assert found.description == "Some GPU, 80 GiB, bfloat16"


def test_an_old_gpu_computes_in_float32(one_gpu):
    one_gpu(7)
    assert devices.choose().dtype == "float32"
    assert devices.choose("cuda:0", "float16").dtype == "float16"
    with pytest.raises(DeviceUnavailable, match="bfloat16: Some GPU, 80 GiB does not compute in it; type dtype=float32"):
        devices.choose(dtype="bfloat16")


def test_what_was_asked_for_is_given_and_said(one_gpu):
    one_gpu(9)
    found = devices.choose("cpu", "bfloat16")
    assert (found.device, found.dtype) == ("cpu", "bfloat16")
    assert found.reason == "device=cpu was asked for; dtype=bfloat16 was asked for"


@pytest.mark.parametrize(("device", "dtype", "words"), [
    ("cuda", "auto", "device=cuda: PyTorch .*; type device=cpu"),
    ("mps", "auto", "device=mps needs an Apple GPU.*type device=cpu"),
    ("gpu", "auto", "device=gpu is none of auto, cpu, cuda, cuda:<number>, mps"),
    ("cpu:1", "auto", "device=cpu:1 is none of"),
    ("auto", "fp8", "dtype=fp8 is none of auto, float32, bfloat16, float16"),
])
def test_what_is_not_here(no_cuda, monkeypatch, device, dtype, words):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match=words):
        devices.choose(device, dtype)


def test_a_gpu_that_is_not_there_among_others(one_gpu):
    one_gpu(9)
    with pytest.raises(DeviceUnavailable, match=r"device=cuda:3: this machine has 1 CUDA GPU\(s\)"):
        devices.choose("cuda:3")


def test_threads_stay_within_the_cores(monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        torch.set_num_threads(devices.usable_cores() + 5)
        assert devices.limit_threads() == devices.usable_cores() == torch.get_num_threads()
        monkeypatch.setenv("OMP_NUM_THREADS", "64")
        torch.set_num_threads(devices.usable_cores() + 5)
        assert devices.limit_threads() == devices.usable_cores() + 5
    finally:
        torch.set_num_threads(before)


def test_a_peak_is_seen_after_the_memory_is_gone():
    devices.reset_peak("cpu")
    before = devices.peak_bytes("cpu")
    held = np.ones(16 * 2**20)  # 128 MiB
    del held
    assert 120 * 2**20 < devices.peak_bytes("cpu") - before < 200 * 2**20


@pytest.mark.skipif(not devices._CLEAR_REFS.exists(), reason="the system cannot reset its high-water mark")
def test_a_peak_can_be_measured_anew():
    held = np.ones(16 * 2**20)
    before = devices.peak_bytes("cpu")
    del held
    devices.reset_peak("cpu")
    assert devices.peak_bytes("cpu") < before - 100 * 2**20


def test_a_small_process_does_not_inherit_the_peak_of_a_big_parent():
    held = np.ones(32 * 2**20)
    code = "from lab.devices import peak_bytes; print(peak_bytes('cpu'))"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert child < held.nbytes < devices.peak_bytes("cpu")


def test_the_peak_on_cuda_is_the_allocators(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    reset = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    devices.reset_peak("cuda:0")
    assert (devices.peak_bytes("cuda:0"), reset) == (123, ["cuda:0"])


def test_importing_it_loads_no_torch():
    code = "import sys, lab.devices, lab.randomness; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"




def test_one_thread_and_then_as_many_as_before():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), devices.one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
