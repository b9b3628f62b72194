"""Models that were trained here or adopted, opened by run id: verified, on the very base they were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.devices import choose
from lab.errors import BaseMismatch, ModelNotFound, ModelUnsupported
from lab.models.adapters import check_bare, put_on
from lab.models.loading import Base, load_base
from lab.models.references import of_capsule
from lab.models.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from lab.tracking.capsule import Capsule


@dataclass(frozen=True)
class Tuned:
    """A tuned model in memory.

    Attributes:
        model: An ordinary PEFT model; an ordinary Transformers model after a full fine-tune or `merge=True`.
        tokenizer: The one it was trained with.
        base: What it stands on; after a full fine-tune the tuned model itself.
        capsule: The files it came from, verified.
    """

    model: Any
    tokenizer: Any
    base: Base
    capsule: "Capsule"


@dataclass(frozen=True)
class Several:
    """One base in memory with the adapters of several runs on it.

    Attributes:
        model: A PEFT model; `model.set_adapter(name)`, or `adapter_names=[…, "__base__"]` per batch row.
        tokenizer: Shared by all.
        base: What they stand on.
        capsules: By adapter name, which is the run id, with `_last` behind it for the last weights.
    """

    model: Any
    tokenizer: Any
    base: Base
    capsules: dict[str, "Capsule"]


def open_run(reference: str, *, device: str = "auto", dtype: str = "auto", backend: str = "transformers",
             base: Base | str | None = None, merge: bool = False, trust_remote_code: bool = False) -> Tuned:
    """The model that a run kept, its adapter exactly as saved on the base that the run recorded.

    With `dtype=auto` it computes in the number format of its training where that ran on the same kind of device.

    Args:
        reference: A run id or an unambiguous start of one, `<id>@last`, `runs:/…`, or `models:/name@alias`.
        device: See `lab.devices.choose`.
        dtype: See `lab.devices.choose`.
        backend: `transformers` or `unsloth`, whichever trained it.
        base: Instead of the recorded base: one in memory, or where it lies now. Its weights must be the same.
        merge: Whether to add the adapter to the weights and give back a model without one.
        trust_remote_code: Whether Python code that comes with the base may run.

    Raises:
        RunNotFound, AmbiguousRun, NoAdapter, CapsuleChanged: See `lab.tracking.capsule.fetch`.
        BaseMismatch: The base has other weights, or another quantisation, than the adapter was trained on.
        ModelNotFound: The recorded base is no longer there.
        ModelUnsupported: The adapter does not fit, or cannot be merged.
    """
    from lab.tracking import capsule

    kept = capsule.fetch(reference)
    if kept.kind == "model":
        if base is not None:
            raise ModelUnsupported(f"run {kept.run_id} kept a whole model, which needs no base; leave base out")
        device, dtype = _as_trained(kept, device, dtype)
        whole = load_base(of_capsule(reference, kept), device=device, dtype=dtype, backend=backend,
                          trust_remote_code=trust_remote_code)
        return Tuned(whole.model, whole.tokenizer, whole, kept)
    if merge and (isinstance(base, Base) or kept.manifest["quantization"] != "none"):
        raise ModelUnsupported(f"run {kept.run_id}: merge=True writes into the base's weights, which must be its own "
                               "and not quantised; leave merge out")
    loaded = base if isinstance(base, Base) else open_base(
        kept, base=base, device=device, dtype=dtype, backend=backend, trust_remote_code=trust_remote_code)
    _check_base(kept, loaded)
    if loaded.backend == "unsloth":
        from lab.models.backends.unsloth import put_on as put_on_unsloth

        model = put_on_unsloth(loaded.model, kept.folder)
    else:
        model = put_on(loaded.model, kept.folder, "default")
    tokenizer = _tokenizer(kept, loaded)
    if merge:
        from lab.models.merging import merge_exactly

        model = merge_exactly(model)
    return Tuned(model, tokenizer, loaded, kept)


def open_several(references: Sequence[str], *, device: str = "auto", dtype: str = "auto",
                 base: Base | str | None = None, trust_remote_code: bool = False) -> Several:
    """One loaded base with the adapters of all runs on it; a sweep's parent stands for its children.

    Args:
        references: As in `open_run`.
        device: See `lab.devices.choose`.
        dtype: See `lab.devices.choose`.
        base: As in `open_run`.
        trust_remote_code: Whether Python code that comes with the base may run.

    Raises:
        BaseMismatch: They were not all trained on the same base, quantised alike.
        ModelUnsupported: One of them is a whole model, or has another tokenizer or chat template.
        RunNotFound, AmbiguousRun, NoAdapter, CapsuleChanged, ModelNotFound: As in `open_run`.
    """
    from lab.tracking import capsule

    kept = capsule.several(references)
    for other in kept:
        if other.kind == "model":
            raise ModelUnsupported(f"run {other.run_id} kept a whole model, which cannot share a base; open it alone")
        if other.manifest["tokenizer_sha256"] != kept[0].manifest["tokenizer_sha256"]:
            raise ModelUnsupported(f"runs {kept[0].run_id} and {other.run_id} have different tokenizers or chat "
                                   "templates; open them one by one")
    check_one_base(kept)
    loaded = base if isinstance(base, Base) else open_base(
        kept[0], base=base, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
    for one in kept:
        _check_base(one, loaded)
    model, capsules = loaded.model, {}
    for one in kept:
        name = one.run_id if one.which == "best" else f"{one.run_id}_{one.which}"
        if name not in capsules:
            model = put_on(model, one.folder, name)
            capsules[name] = one
    return Several(model, _tokenizer(kept[0], loaded), loaded, capsules)


def open_base(capsule: "Capsule", *, base: str | None = None, device: str = "auto", dtype: str = "auto",
              backend: str = "transformers", trust_remote_code: bool = False) -> Base:
    """The base that a run trained from, bare, quantised as in training.

    Args:
        capsule: What the run kept.
        base: Where the base lies, if not where the run recorded it.
        device: As in `open_run`.
        dtype: As in `open_run`.
        backend: `transformers` or `unsloth`.
        trust_remote_code: Whether Python code that comes with the base may run.

    Raises:
        BaseMismatch: It has other weights than the run recorded.
        ModelNotFound: It is not there.
    """
    facts = capsule.manifest
    device, dtype = _as_trained(capsule, device, dtype)
    try:
        loaded = load_base(base or facts["base_reference"]["resolved"], device=device, dtype=dtype, backend=backend,
                           quantization="none" if facts["base_prequantized"] else facts["quantization"],
                           trust_remote_code=trust_remote_code)
    except ModelNotFound as error:
        raise ModelNotFound(f"run {capsule.run_id}: the base it was trained on is not to be found. {error}. If it lies "
                            "elsewhere now, say where: model=<folder or Hub id>; its fingerprint must be "
                            f"{facts['base_fingerprint']}") from error
    check_fingerprint(capsule, loaded.reference.given, loaded.fingerprint)
    return loaded


def check_fingerprint(capsule: "Capsule", where: str, found: str) -> None:
    """Raises BaseMismatch if the weights found are not those the adapter was trained on.

    Args:
        capsule: What the run kept.
        where: The base at hand, for the message.
        found: Its fingerprint.
    """
    facts = capsule.manifest
    expected, recorded = facts["base_fingerprint"], facts["base_reference"]
    if found != expected:
        raise BaseMismatch(
            f"run {capsule.run_id}: it was trained on {recorded['given']} ({recorded['resolved']}) with "
            f"fingerprint {expected}; {where} has {found}: on other weights the adapter would make another "
            "model. Give the base with the expected fingerprint: model=<its Hub id, folder or run:<id>>")


def check_one_base(kept: Sequence["Capsule"]) -> None:
    """Raises BaseMismatch, naming two runs, unless all were trained on the same weights."""
    for one in kept[1:]:
        bases = [each.manifest["base_fingerprint"] for each in (kept[0], one)]
        if bases[0] != bases[1]:
            names = [each.manifest["base_reference"]["given"] for each in (kept[0], one)]
            raise BaseMismatch(
                f"runs {kept[0].run_id} and {one.run_id} were trained on different bases: {names[0]} ({bases[0]}) and "
                f"{names[1]} ({bases[1]}); runs read together need one base: leave one of the two out")


def _check_base(capsule: "Capsule", base: Base) -> None:
    check_fingerprint(capsule, base.reference.given, base.fingerprint)
    trained = capsule.manifest["quantization"]
    if trained != base.quantization:
        raise BaseMismatch(f"run {capsule.run_id}: its adapter was trained on a base with quantization={trained}; the "
                           f"loaded base has quantization={base.quantization}. Type quantization={trained}")
    check_bare(base.model)


def _as_trained(capsule: "Capsule", device: str, dtype: str) -> tuple[str, str]:
    placement = choose(device, dtype)
    facts = capsule.manifest
    if dtype == "auto" and facts.get("device") == placement.kind and facts.get("dtype"):
        return placement.device, facts["dtype"]
    return placement.device, placement.dtype


def _tokenizer(capsule: "Capsule", base: Base) -> Any:
    if not Path(capsule.folder, "tokenizer_config.json").is_file():
        return base.tokenizer
    return load_tokenizer(capsule.folder, base.model.get_input_embeddings().weight.shape[0])
