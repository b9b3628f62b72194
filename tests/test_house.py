"""The rooms import only downwards, and what is said about the studies stands in the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lab import options
from lab.studies import documents, registry

ROOT = Path(__file__).parents[1]
LEVELS = {"errors": 0, "options": 0, "randomness": 0, "devices": 0, "tracking": 1, "data": 1, "figures": 1, "models": 2,
          "attention": 3, "probing": 3, "adapters": 3, "evaluation": 3, "reproduction": 3, "training": 3, "sweeps": 4,
          "studies": 5}
MODULES = sorted((ROOT / "lab").rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT / "lab").with_suffix("").parts
    return parts[0]


def imported(path: Path) -> set[str]:
    """The modules of the lab that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("lab.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_from_lower_rooms_or_its_own(path):
    mine = room(path)
    if mine == "__init__":
        return
    for name in imported(path):
        other = name.split(".")[1]
        if other in LEVELS and other != mine:
            below = LEVELS[other] < LEVELS[mine] or (LEVELS[mine] == LEVELS[other] == 0)
            assert below, f"{path.relative_to(ROOT)} is in {mine} and imports {name}"


def test_every_room_has_its_level():
    assert {room(path) for path in MODULES} - {"__init__"} <= set(LEVELS)


def test_the_import_rule_is_seen_to_bite(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from lab.studies import main\n")
    assert "lab.studies" in imported(bad)


def test_importing_the_lab_loads_neither_torch_nor_mlflow():
    heavy = "{'torch', 'mlflow', 'transformers', 'datasets', 'matplotlib', 'pandas', 'numpy'}"
    code = f"import sys, lab, lab.errors, lab.options; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_studies_can_be_described_without_loading_torch():
    code = ("import sys\nfrom lab.studies import registry\n"
            "for entry in registry.ENTRIES: registry.load(entry.name)\n"
            "print(sorted({'torch', 'transformers', 'unsloth', 'trl', 'peft'} & set(sys.modules)))")
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_mlproject_is_what_the_code_says():
    assert (ROOT / "MLproject").read_text() == documents.mlproject(), "run `python -m entrypoints.documents`"


def test_mlproject_reads_as_yaml_with_the_defaults_of_the_configs():
    import yaml

    project = yaml.safe_load((ROOT / "MLproject").read_text())
    assert project["conda_env"] == "conda.yaml"
    assert list(project["entry_points"]) == [entry.name for entry in registry.ENTRIES]
    for name, entry in project["entry_points"].items():
        config = registry.load(name).Config
        defaults = {key: spec["default"] for key, spec in entry["parameters"].items()}
        assert all(isinstance(value, str) and value for value in defaults.values())
        assert defaults == options.as_strings(config())
        for key in defaults:
            assert f"--{key}={{{key}}}" in entry["command"]
        assert f"python -m entrypoints.{name} " in entry["command"] + " "


def test_readme_tables_are_what_the_code_says():
    text = (ROOT / "README.md").read_text()
    filled = documents.fill(text, {"entry points": documents.entry_table(), "parameters": documents.parameter_tables()})
    assert filled == text, "run `python -m entrypoints.documents`"


def test_every_entry_point_has_a_file_and_every_file_an_entry():
    files = {path.stem for path in (ROOT / "entrypoints").glob("*.py")}
    assert files == {entry.name for entry in registry.ENTRIES} | {"__init__", "init_store", "documents"}


def test_parameters_that_mean_the_same_have_the_same_type_and_help():
    shared = {o.name: o for o in options.describe(registry.load("finetune").Config)}
    for name in ("lora_rank", "learning_rate"):
        mine = {o.name: o for o in options.describe(registry.load(name).Config)}
        assert set(shared) <= set(mine)
        for key in set(shared) - {"r", "lr"}:
            assert mine[key] == shared[key]


def test_the_pinned_set_is_the_same_in_conda_and_pyproject():
    import tomllib

    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"][-1]["pip"]
    extras = project["optional-dependencies"]
    assert set(project["dependencies"]) | set(extras["gpu"]) <= set(conda)
    assert set(conda) <= set(project["dependencies"]) | set(extras["gpu"]) | set(extras["test"])
