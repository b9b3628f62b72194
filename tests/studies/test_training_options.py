import pytest

from lab.errors import OptionError
from lab.studies.finetune import Config
from lab.studies.training_options import base_quantization, compact


@pytest.mark.parametrize("value, text", [(2e-4, "2e-4"), (0.003, "3e-3"), (8, "8"), (0.1, "0.1"), (1.5e-3, "0.0015"),
                                         (32.0, "32")])
def test_numbers_are_written_as_short_as_they_can_be_typed(value, text):
    assert compact(value) == text and float(compact(value)) == value


def test_qlora_is_lora_on_nf4():
    assert base_quantization(Config(method="qlora")) == "nf4"
    assert base_quantization(Config(method="lora", quantization="nf4")) == "nf4"
    assert base_quantization(Config()) == "none"


def test_a_quantised_base_cannot_be_trained_whole():
    with pytest.raises(OptionError, match="method=full with quantization=nf4"):
        base_quantization(Config(method="full", quantization="nf4"))
    with pytest.raises(OptionError, match="method=full with backend=unsloth"):
        base_quantization(Config(method="full", backend="unsloth"))
