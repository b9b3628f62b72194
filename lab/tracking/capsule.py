"""An adapter or model as a run keeps it: sealed, fetched by run id from anywhere, verified before use."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lab.errors import NoAdapter
from lab.options import text_of
from lab.tracking import lineage
from lab.tracking.lookup import RunReference, Which, find, resolve
from lab.tracking.opening import children
from lab.tracking.run import Run
from lab.tracking.sealing import MANIFEST, Kind, seal, sha256, verify
from lab.tracking.store import client, failing_as, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

__all__ = ["Capsule", "fetch", "keep", "seal", "several", "use"]
_KIND_TAG = "lab.capsule"


@dataclass(frozen=True)
class Capsule:
    """A verified folder of a run; `manifest` holds what training recorded about it."""

    run_id: str
    kind: Kind
    which: Which
    folder: Path
    manifest: dict[str, Any]


def keep(run: Run, folder: Path, kind: Kind, which: Which, *, register: str | None = None) -> None:
    """Keeps a sealed folder under the run, as artifacts and as a logged model.

    Args:
        folder: Sealed by `seal`; an ordinary PEFT or transformers folder otherwise.
        which: `last` only where it differs from the best.
        register: `name@alias` of a registered model to make it a version of.

    Raises:
        CapsuleChanged: The folder is not what was sealed.
        TrackingError: The store did not take it.
    """
    manifest = verify(folder, str(folder))
    path = _folder_name(kind, which)
    run.files(folder, path)
    with failing_as(f"keeping the {path} of run {run.id}", tracking_uri()):
        model_id = lineage.log_model(run, manifest, path)
        run.tags(
            {
                _KIND_TAG: kind,
                f"lab.capsule.{path}": sha256(folder / MANIFEST),
                f"lab.model.{path}": model_id,
                **_loss_tag(path, manifest),
            }
        )
        if register:
            lineage.register(run.id, path, register, model_id)


def fetch(reference: str) -> Capsule:
    """The verified capsule of the run that a reference means; never another one's.

    Raises:
        RunNotFound: The reference means no run of the store searched.
        AmbiguousRun: It means several.
        NoAdapter: The run keeps none; says why that may be and what to type.
        CapsuleChanged: A file is not what training wrote.
    """
    meant = resolve(reference)
    run = find(meant.run_id)
    with failing_as(f"fetching the adapter of run {meant.run_id}", tracking_uri()):
        kept = {entry.path for entry in client().list_artifacts(meant.run_id) if entry.is_dir}
    which = _which(run, meant, kept)
    kind = _kind(run, kept)
    path = _folder_name(kind, which)
    folder = _download(run, path)
    manifest = verify(folder, f"run {meant.run_id}, {path}", run.data.tags.get(f"lab.capsule.{path}", "nothing"))
    return Capsule(meant.run_id, kind, which, folder, manifest)


def several(references: Sequence[str]) -> list[Capsule]:
    """The capsules of several runs, in order; the parent of a sweep stands for its children that keep one.

    Raises:
        NoAdapter: A run, or every child of a parent, keeps none.
    """
    found: list[Capsule] = []
    for reference in references:
        meant = resolve(reference)
        run = find(meant.run_id)
        holders = [] if _KIND_TAG in run.data.tags else _holding_children(run)
        if holders:
            found += [fetch(f"{child.info.run_id}@{meant.which}") for child in holders]
        else:
            found.append(fetch(reference))
    return found


def use(run: Run, capsule: Capsule) -> None:
    """Records that a run works on a capsule: as model input, and by the tag `lab.source_run_id`.

    A run that uses several has all their ids in the tag, separated by commas.
    """
    source = find(capsule.run_id)
    model_id = source.data.tags.get(f"lab.model.{_folder_name(capsule.kind, capsule.which)}")
    with failing_as(f"recording the source of run {run.id}", tracking_uri()):
        lineage.log_use(run, capsule.run_id, model_id)


def _loss_tag(path: str, manifest: dict[str, Any]) -> dict[str, str]:
    loss = manifest.get("eval_loss")
    return {} if loss is None else {f"lab.eval_loss.{path}": text_of(float(loss))}


def _folder_name(kind: Kind, which: Which) -> str:
    return kind if which == "best" else f"{kind}_last"


def _kind(run: "MlflowRun", kept: set[str]) -> Kind:
    if "adapter" in kept or "adapter_last" in kept:
        return "adapter"
    if "model" in kept or "model_last" in kept:
        return "model"
    raise NoAdapter(_why_none(run))


def _which(run: "MlflowRun", meant: RunReference, kept: set[str]) -> Which:
    """The capsule asked for; the best stands for the last only where training ended with it."""
    best, last = kept & {"adapter", "model"}, kept & {"adapter_last", "model_last"}
    if meant.which == "best" and last and not best:
        raise NoAdapter(
            f"run {meant.run_id} ended {run.data.tags.get('lab.ended', 'without saying how')} and keeps only its last "
            f"adapter, not its best; write {meant.run_id}@last if you want that one"
        )
    if meant.which == "best" or last:
        return meant.which
    diverged = run.data.tags.get("lab.diverged_at_step")
    if diverged and best:
        raise NoAdapter(
            f"run {meant.run_id} diverged at step {diverged} and kept nothing from its end; leave out @last for "
            "the best of its steps"
        )
    return "best"


def _download(run: "MlflowRun", path: str) -> Path:
    """The folder itself where this machine holds it, else a copy that lives as long as this process."""
    uri = urlsplit(str(run.info.artifact_uri))
    if uri.scheme in ("", "file"):
        return Path(url2pathname(uri.path)) / path
    with failing_as(f"fetching {path} of run {run.info.run_id}", tracking_uri()):
        return Path(client().download_artifacts(run.info.run_id, path, tempfile.mkdtemp(dir=_downloads())))


@functools.cache
def _downloads() -> str:
    folder = tempfile.mkdtemp(prefix="lab-capsules-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _holding_children(run: "MlflowRun") -> "list[MlflowRun]":
    with failing_as(f"finding the children of run {run.info.run_id}", tracking_uri()):
        found = [find(child) for child in children(client(), run.info.experiment_id, run.info.run_id)]
    return [child for child in found if _KIND_TAG in child.data.tags]


def _why_none(run: "MlflowRun") -> str:
    run_id, tags = run.info.run_id, run.data.tags
    said = f"run {run_id} ({run.info.run_name}) keeps no adapter or model"
    holders = _holding_children(run)
    if holders:
        listed = "\n".join(f"  run_id={child.info.run_id}  {_described(child)}" for child in holders)
        return f"{said}: it is the parent of a sweep; give one of its children:\n{listed}"
    reasons = [f"its study is {tags.get('lab.study', 'not one of this lab')}, its status {run.info.status}"]
    if "lab.ended" in tags:
        reasons.append(f"it ended {tags['lab.ended']}")
    if "lab.diverged_at_step" in tags:
        reasons.append(f"it diverged at step {tags['lab.diverged_at_step']}")
    if "lab.source_run_id" in tags:
        reasons.append(f"it analysed run_id={tags['lab.source_run_id']}, which may be the one meant")
    return f"{said}: {', '.join(reasons)}. Give a training run that finished (finetune, lora_rank, adopt, …)"


def _described(run: "MlflowRun") -> str:
    """Name, rank, learning rate and best loss, as far as the run has them."""
    said = [str(run.info.run_name)]
    said += [f"{name}={run.data.params[name]}" for name in ("r", "lr") if name in run.data.params]
    kind = run.data.tags[_KIND_TAG]
    loss = run.data.tags.get(f"lab.eval_loss.{kind}")
    return "  ".join(said + ([f"eval/loss={float(loss):.4g}"] if loss else []))
