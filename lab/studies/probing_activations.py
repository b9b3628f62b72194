"""Activations of base and tuned model at one place, kept in the run for other tools."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lab.data.questions import Question
from lab.errors import ModelUnsupported, OptionError
from lab.probing import shards
from lab.probing.decomposition import Decomposition
from lab.probing.sites import POST_ATTN, POST_FFN, check_layers, check_sites
from lab.studies.attention_rows import by_length
from lab.studies.probing_measure import as_prompt
from lab.tracking.capsule import Capsule
from lab.tracking.run import Run

FOLDER = "activations"


@dataclass(frozen=True)
class Place:
    """A site of a layer."""

    site: str
    layer: int


def place(config: Any) -> Place | None:
    """Returns the place whose activations are to be kept, or None.

    Raises:
        OptionError: It is no site and layer, or there is no run whose tuned model could stand beside its base.
    """
    if config.activations is None:
        return None
    site, _, layer = config.activations.partition("@")
    check_sites([site])
    if not layer.isdecimal():
        raise OptionError(f"activations={config.activations}: needed is a site and the number of a layer, such as "
                          f"activations={POST_FFN}@3")
    if config.run_id is None:
        raise OptionError(f"activations={config.activations} keeps base and tuned model side by side, and no run is given; "
                          "type run_id=<a training run> beside it")
    return Place(site, int(layer))


def check(asked: Place | None, kept: Capsule | None, layers: int) -> None:
    """Refuses a layer that there is not, and a whole model, which is never in memory beside its base.

    Args:
        asked: From `place`.
        kept: What the run kept.
        layers: That the model has.

    Raises:
        OptionError: There is no such layer.
        ModelUnsupported: The run kept a whole model.
    """
    if asked is None or kept is None:
        return
    check_layers([asked.layer], layers)
    if kept.kind == "model":
        raise ModelUnsupported(f"activations={asked.site}@{asked.layer}: run {kept.run_id} kept a whole model, and pairs "
                               "are read in one forward pass through an adapter and its base; leave activations out, or "
                               "train with method=lora")


def keep(run: Run, asked: Place, model: Any, adapter: str, questions: Sequence[Question], decomposition: Decomposition, *,
         fingerprint: str, source: str) -> str:
    """Keeps the activations of every token of the questions as artifacts; returns what the report says of them.

    Args:
        run: Open.
        asked: The place.
        model: A PEFT model in evaluation mode.
        adapter: Its adapter that makes it the tuned one.
        questions: N; `prompt` in the shards is the row in the table of questions.
        decomposition: Of the base.
        fingerprint: Of the base.
        source: The run that kept the adapter.
    """
    batches = ((torch.from_numpy(indices), ids, None) for indices, ids in by_length([as_prompt(q) for q in questions]))
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        shards.write_pairs(model, adapter, batches, decomposition, Path(folder), site=asked.site, layer=asked.layer,
                           fingerprint=fingerprint, run_id=source)
        index = shards.about(Path(folder))
        run.files(Path(folder), FOLDER)
    return _words(run.id, asked, index, virtual=asked.site == POST_ATTN and decomposition.layers[asked.layer].virtual)


def _words(run_id: str, asked: Place, index: dict[str, Any], *, virtual: bool) -> str:
    words = (f"`{FOLDER}/` holds {asked.site} of layer {asked.layer} of base and tuned model at {index['tokens']} tokens, "
             f"{index['width']} numbers each ({index['dtype']}), as safetensors files ({len(index['shards'])}) with "
             "an `index.json`. `prompt` is the row in the table `questions`, `position` counts from its first token.")
    if virtual:
        words += (f" **Virtual**: layer {asked.layer} is a parallel block, in which nothing reads {POST_ATTN}; it is the "
                  "sum of what the layer receives and what attention adds.")
    return f"""{words}

```python
from pathlib import Path
from mlflow.artifacts import download_artifacts
from lab.probing import shards

for shard in shards.read(Path(download_artifacts(run_id="{run_id}", artifact_path="{FOLDER}"))):
    shard["base"], shard["tuned"]  # [N, D] each; and token, prompt, position [N]
```"""
