"""What is known about a run before it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.tracking import identity, report

ROOT = Path(__file__).parents[2]


def test_reading_the_room_loads_nothing_heavy() -> None:
    modules = [f"lab.tracking.{path.stem}" for path in sorted((ROOT / "lab/tracking").glob("[a-z]*.py"))]
    code = f"import sys, lab.options, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = {"mlflow", "torch", "transformers", "numpy", "pandas", "matplotlib", "datasets", "sqlalchemy"}
    assert heavy & set(loaded.split()) == set()


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=b", *words], check=True)


def test_changed_code_is_told_from_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "project_path", lambda: tmp_path)
    assert "lab.git_dirty" not in identity.environment_tags()
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "a")
    (tmp_path / "not tracked").touch()
    assert identity.environment_tags()["lab.git_dirty"] == "false"
    (tmp_path / "a").write_text("2")
    assert identity.environment_tags()["lab.git_dirty"] == "true"
    monkeypatch.setenv("PATH", "")
    assert "lab.git_dirty" not in identity.environment_tags()


def test_the_project_is_beside_the_package_or_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report.project_path() == ROOT
    monkeypatch.setattr(report.lab, "__file__", str(tmp_path / "site-packages/lab/__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert report.project_path() == tmp_path / "site-packages"
    (tmp_path / "MLproject").touch()
    assert report.project_path() == tmp_path
