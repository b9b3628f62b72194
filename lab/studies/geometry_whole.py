"""A whole fine-tuned model's difference from its base: from files to report, two weights in memory at a time."""

from collections.abc import Sequence
from typing import Any

from lab.adapters.ablation import Ablation
from lab.adapters.difference import left_out, pairs
from lab.adapters.places import places
from lab.devices import choose
from lab.errors import OptionError
from lab.models.fingerprint import fingerprint
from lab.models.references import folder_of, resolve
from lab.models.tuned import check_fingerprint
from lab.studies import geometry_figures as figures
from lab.studies import geometry_report
from lab.studies.attention_trained import Trained
from lab.studies.closing import close
from lab.studies.geometry_adapters import shape
from lab.studies.geometry_hypotheses import hypotheses
from lab.studies.geometry_measured import check_k, measured_whole
from lab.studies.geometry_verdicts import Evidence, verdicts
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run


def study_whole(run: Run, config: Any, trained: Trained, asked: Sequence[Ablation], *, question: str) -> None:
    """Measures what full fine-tuning changed, and closes the run.

    Args:
        run: Open, its source recorded.
        config: Of `adapter_geometry`.
        trained: What kept the model.
        asked: What is taken away; nothing can be.
        question: For the report.

    Raises:
        OptionError: Something is to be taken away, or a module has too few directions.
        BaseMismatch: The base is another one than it was trained from, or does not fit.
        ModelNotFound, ModelUnsupported: The base is not there, or its weights cannot be read one by one.
    """
    if asked:
        raise OptionError(f"ablate={','.join(one.text for one in asked)}: run {trained.capsule.run_id} kept a whole model; "
                          "parts are taken away from adapters only; leave ablate out")
    placement = choose(config.device, config.dtype)
    given = config.model or trained.capsule.manifest["base_reference"]["resolved"]
    base = folder_of(resolve(given))
    check_fingerprint(trained.capsule, given, fingerprint(base))
    weights = pairs(base, trained.capsule.folder)
    check_k(config.k, {pair.name: pair.shape for pair in weights})
    layers = {layer for layer, _ in places([pair.name for pair in weights])[0].values()}
    stated = hypotheses(layers=len(layers), dense=True)
    run.state(stated, config.predict)
    run.params({"base.reference": given, "base.fingerprint": trained.capsule.manifest["base_fingerprint"],
                "base.device": placement.description, "modules": len(weights)})
    device = "cpu" if placement.kind == "mps" else placement.device  # Metal has no float64
    found = measured_whole(trained, weights, k=config.k, draws=config.draws, seed=config.seed, device=device)
    row = geometry_report.summary_row(found, config.epsilon)
    run.summary(geometry_report.metrics(row, ()))
    figures.draw_one(run, found, k=config.k, epsilon=config.epsilon)
    figures.draw_intruder_curves(run, [found], k=config.k, epsilon=config.epsilon)
    modules = geometry_report.module_rows(found, config.epsilon)
    run.table("modules", modules)
    own = trained.capsule.run_id
    close(run, verdicts(stated, Evidence([shape(found, config.epsilon)])), Report(
        question=question, table=[row],
        limits=[*geometry_report.limits([found], (), False), *_uncovered(left_out(base, weights))],
        sections=[("In words", geometry_report.in_words(found, row, config.k, config.epsilon)),
                  ("By module", table(modules))],
        sources=[own], prediction=config.predict,
        next=[next_command("attention_compare", run_id=own), next_command("ask", run_ids=own)]))


def _uncovered(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"Not looked at, since they are no linear module of a layer stored by itself: {', '.join(names[:3])}{more}."]
