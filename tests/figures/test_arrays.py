"""Whatever a measurement returns can be drawn."""

import numpy as np
import pytest
import torch

from lab.figures.arrays import as_floats, as_numpy


@pytest.mark.parametrize("values", [
    np.array([1.0, 2.0]), [1.0, 2.0], (1, 2), torch.tensor([1.0, 2.0], requires_grad=True),
    torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1.0, 2.0], dtype=torch.float16),
    [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0)], torch.tensor([1, 2]),
])
def test_arrays_lists_and_tensors_become_the_same_numbers(values):
    np.testing.assert_array_equal(as_numpy(values), [1, 2])


def test_a_tensor_on_a_gpu_is_detached_and_copied_first():
    calls = []

    class OnGpu(torch.Tensor):
        def numpy(self, *args, **kwargs):
            assert calls == ["detach", "cpu"]
            return np.array([1.0])

        def detach(self):
            calls.append("detach")
            return self

        def cpu(self, *args, **kwargs):
            calls.append("cpu")
            return self

    np.testing.assert_array_equal(as_numpy(torch.ones(1).as_subclass(OnGpu)), [1.0])


def test_none_is_a_gap():
    np.testing.assert_array_equal(as_floats([1, None, 3]), [1, np.nan, 3])
