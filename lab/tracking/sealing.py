"""The manifest of a kept adapter or model: what every file was when training wrote it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lab.errors import CapsuleChanged, TrackingError
from lab.tracking.artifacts import json_text

Kind = Literal["adapter", "model"]
MANIFEST = "capsule.json"
FORMAT_VERSION = 1
_NEEDED = {"adapter": ("adapter_config.json", "adapter_model.safetensors"), "model": ("config.json",)}
_CODE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".py", ".so")
_OWN = ("format_version", "kind", "files")


def seal(folder: Path, kind: Kind, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `capsule.json` into the folder and returns it: SHA-256 of every file, and the facts beside them.

    Raises:
        TrackingError: A file is missing, or one could carry code.
    """
    names = _names(folder)
    missing = [name for name in _NEEDED[kind] if name not in names]
    if missing:
        found = ", ".join(names) or "nothing"
        raise TrackingError(f"{folder} is no {kind}: {', '.join(missing)} missing; found {found}")
    carriers = [name for name in names if name.endswith(_CODE)]
    if carriers:
        raise TrackingError(f"{', '.join(carriers)} of {folder} can carry code; allowed: safetensors, JSON and text")
    assert not set(_OWN) & facts.keys(), f"facts may not be called {_OWN}"
    files = {name: sha256(folder / name) for name in names}
    manifest = {"format_version": FORMAT_VERSION, "kind": kind, **facts, "files": files}
    (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def verify(folder: Path, owner: str, manifest_sha256: str | None = None) -> dict[str, Any]:
    """The manifest of a folder whose files are all what they were.

    Args:
        owner: Whose folder it is, for the message, such as `run 1234`.
        manifest_sha256: Of the manifest itself, if that is known from elsewhere.

    Raises:
        CapsuleChanged: Names each file that is missing, added or changed, with the hash expected and found.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CapsuleChanged(f"{owner}: {MANIFEST} is missing, so nothing can be checked; found {_names(folder)}")
    found_sha256 = sha256(path)
    if manifest_sha256 is not None and found_sha256 != manifest_sha256:
        raise CapsuleChanged(f"{owner}: {MANIFEST} has {found_sha256}, the run recorded {manifest_sha256}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        expected: dict[str, str] = manifest["files"]
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise CapsuleChanged(f"{owner}: {MANIFEST} cannot be read: {error!r}") from error
    if version != FORMAT_VERSION:
        raise CapsuleChanged(f"{owner}: {MANIFEST} has format version {version}; this version reads {FORMAT_VERSION}")
    problems = _differences(folder, expected)
    if problems:
        raise CapsuleChanged("\n  ".join([f"{owner}: files are not what training wrote:", *problems]))
    return manifest


def sha256(path: Path) -> str:
    """`sha256:` and the digest of a file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _differences(folder: Path, expected: Mapping[str, str]) -> list[str]:
    found = _names(folder)
    problems = [f"{name}: missing, expected {expected[name]}" for name in expected if name not in found]
    problems += [f"{name}: added since" for name in found if name not in expected]
    for name in found:
        if name in expected and (actual := sha256(folder / name)) != expected[name]:
            problems.append(f"{name}: expected {expected[name]}, found {actual}")
    return problems


def _names(folder: Path) -> list[str]:
    """Relative paths of all files but the manifest."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in files if name != MANIFEST]
