"""An ablated adapter as a run of its own, with a verified capsule and the run that it came from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.adapters.ablation import Ablation
from lab.studies.attention_trained import Trained
from lab.studies.closing import close
from lab.studies.geometry_folders import facts
from lab.studies.geometry_losses import Ablated
from lab.studies.geometry_texts import HELD_OUT
from lab.tracking import capsule
from lab.tracking.report import Report, next_command
from lab.tracking.run import open_run

LIMITS = ["Made from a trained adapter by taking something away; nothing was trained anew. Its record of training is that "
          "of the run that it came from."]


def keep(config: Any, trained: Trained, one: Ablation, folder: Path, found: Ablated) -> str:
    """Keeps an ablated adapter in a run under the one that is open, and returns its id.

    Args:
        config: Of the study.
        trained: What it was made from.
        one: What was taken away.
        folder: Holds it as a PEFT folder; gets a manifest.
        found: Its losses, up to this ablation.
    """
    losses = {name: float(each.loss(each.ablated[one.text]).value) for name, each in found.losses.items()}
    rows = len(found.losses[HELD_OUT].tokens) if HELD_OUT in found.losses else 0
    source = trained.capsule.run_id
    with open_run("adapter_geometry", replace(config, ablate=(one.text,)), name=f"{one.text} of {source}",
                  tags={"lab.training": "ablated"}) as run:
        run.state([])
        capsule.use(run, trained.capsule)
        capsule.seal(folder, "adapter", facts(trained.capsule, folder, ablation=one.text, eval_loss=losses.get(HELD_OUT),
                                              eval_rows=rows))
        capsule.keep(run, folder, "adapter", "best")
        run.summary({f"geometry/{name.replace(' ', '_').replace(chr(39), '')}_loss_nats": loss
                     for name, loss in losses.items()})
        close(run, [], Report(
            question=f"The adapter of run {source} {one.words} (`{one.text}`).", limits=LIMITS, sources=[source],
            table=[{"rows": name, "loss (nats/token)": loss} for name, loss in losses.items()],
            next=[next_command("ask", run_ids=run.id), next_command("adapter_geometry", run_id=run.id)]), quiet=True)
        return run.id
