"""Models on the Hugging Face Hub: which commit a name means, and its files on this machine."""

import json
from pathlib import Path
from typing import Any

from lab.errors import ModelNotFound

_SECONDS = 10.0  # a machine without network should learn so at once
_SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


def find_commit(repo: str, revision: str | None) -> str:
    """The commit at which `revision` (or the main branch) of a Hub model is; from the cache if there is no network.

    Args:
        repo: `Qwen/Qwen2.5-7B-Instruct`.
        revision: Branch, tag or commit.

    Raises:
        ModelNotFound: The Hub has no such model or revision for this user, or it is neither cached nor reachable.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        commit = HfApi().model_info(repo, revision=revision, timeout=_SECONDS).sha
    except HFValidationError as error:
        raise ModelNotFound(f"{repo} is no Hub id ({error})") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403, 404):
            where = f"{repo} at revision {revision}" if revision else repo
            raise ModelNotFound(f"the Hub has no model {where} that you may read (HTTP {status}); for a private or "
                                "gated one ask for access on its page and type `hf auth login`") from error
        return _cached_commit(repo, revision, error)
    except (httpx.HTTPError, OSError) as error:  # no network, a time-out, or HF_HUB_OFFLINE
        return _cached_commit(repo, revision, error)
    if commit is None:
        raise ModelNotFound(f"the Hub names no commit for {repo}")
    return commit


def download_model(repo: str, commit: str, *, code: bool = False) -> Path:
    """The folder with configuration, tokenizer and weights of a Hub model, downloaded where not cached.

    Args:
        repo: Its id.
        commit: From `find_commit`.
        code: Whether to fetch Python files too.

    Raises:
        ModelNotFound: The download broke off.
    """
    return _download(repo, commit, lambda names: _model_files(repo, commit, names, code))


def download_adapter(repo: str, commit: str) -> Path:
    """The folder with a PEFT adapter and, if it has one, its tokenizer.

    Args:
        repo: Its id.
        commit: From `find_commit`.

    Raises:
        ModelNotFound: The download broke off.
    """
    return _download(repo, commit, lambda names: [n for n in names if n in _ADAPTER or is_small(n)])


def _cached_commit(repo: str, revision: str | None, why: Exception) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True)).name
    except LocalEntryNotFoundError:
        raise ModelNotFound(f"{repo} is not in the local Hugging Face cache, and the Hub cannot be reached "
                            f"({_first_line(why)})") from why


def _download(repo: str, commit: str, choose: Any) -> Path:
    import httpx
    from huggingface_hub import HfApi, snapshot_download

    try:
        siblings = HfApi().model_info(repo, revision=commit, timeout=_SECONDS).siblings or []
    except (httpx.HTTPError, OSError):
        return Path(snapshot_download(repo, revision=commit, local_files_only=True))
    try:
        wanted = choose([sibling.rfilename for sibling in siblings])
        return Path(snapshot_download(repo, revision=commit, allow_patterns=wanted))
    except (httpx.HTTPError, OSError) as error:
        raise ModelNotFound(f"the download of {repo} broke off ({_first_line(error)}); what came is kept, start again"
                            ) from error


def _model_files(repo: str, commit: str, names: list[str], code: bool) -> list[str]:
    from huggingface_hub import hf_hub_download

    small = [name for name in names if is_small(name) or (code and name.endswith(".py"))]
    for whole in _WEIGHTS:
        if whole in names:
            return [*small, whole]
        if f"{whole}.index.json" in names:
            index = json.loads(Path(hf_hub_download(repo, f"{whole}.index.json", revision=commit)).read_text())
            return [*small, *sorted(set(index["weight_map"].values()))]
    return small


def is_small(name: str) -> bool:
    return "/" not in name and any(Path(name).match(pattern) for pattern in _SMALL)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
