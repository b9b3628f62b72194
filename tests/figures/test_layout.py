"""Figures leave no trace outside themselves."""

import subprocess
import sys
import threading

import matplotlib
import pytest

from lab.figures.layout import own_axes, panels
from lab.figures.training import loss_curve

IMPORTS = """
import importlib, pkgutil, sys
import lab.figures
for module in pkgutil.iter_modules(lab.figures.__path__):
    importlib.import_module(f"lab.figures.{module.name}")
print(sorted({"matplotlib.pyplot", "torch", "mlflow", "transformers"} & set(sys.modules)))
"""


def test_neither_pyplot_nor_torch_nor_mlflow_is_imported():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_of_matplotlib_stay_as_they_were():
    before = dict(matplotlib.rcParams)
    loss_curve([1, 2], [2.0, 1.0], [0, 2], [3.0, 1.5])
    assert dict(matplotlib.rcParams) == before


def test_figures_can_be_made_in_threads(tmp_path):
    def draw(index):
        loss_curve([1, 2], [2.0, 1.0], [0, 2], [3.0, 1.5]).figure.savefig(tmp_path / f"{index}.png")

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_panels_have_as_many_axes_as_asked_for(count):
    figure, axes = panels(count)
    assert len(axes) == len(figure.axes) == count


def test_no_axes_are_an_error():
    with pytest.raises(ValueError, match="a figure with 0 axes"):
        panels(0)


def test_given_axes_are_used():
    ax = panels(1)[1][0]
    assert own_axes(ax) is ax
    assert own_axes(None) is not ax
