"""What is recorded and said of the remedies: table, figure, recommendation, and the commands that act on it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lab.evaluation.capacity import learned_bits
from lab.evaluation.intervals import Estimate
from lab.figures import mitigation as figures
from lab.options import text_of
from lab.studies.closing import close
from lab.studies.finetune import Config as Training
from lab.studies.mitigation_arms import KINDS, Arm, Measured
from lab.studies.mitigation_intervals import POINTS, estimate
from lab.studies.mitigation_measured import repeated
from lab.studies.mitigation_recommendation import Recommendation, recommend, rule, standings
from lab.studies.mitigation_source import Source
from lab.studies.mitigation_trainings import Trainings, stopped_at, with_replay
from lab.studies.mitigation_verdicts import verdicts
from lab.tracking.hypotheses import Hypothesis
from lab.tracking.report import Report, next_command, table
from lab.tracking.run import Run

LIMITS = [
    "One training of each remedy: intervals cover the items and rows that were asked, not another training seed. Give the "
    "run of another seed to see whether the order holds.",
    "Forgetting is what these suites and documents ask about; what nobody asked may be lost all the same.",
    "A recommendation belongs to this base, data and budget, and to the values that were tried.",
]
LESS_OF_THE_TASK = ("Replay takes its share of the batches in as many steps, so less of the task is seen: that is its cost "
                    "in learning. longer=true gives the steps back.")
LONGER = "Replay had more steps (longer=true), so that as much of the task was seen: its cost is in steps, not in learning."
STOPPED = ("A checkpoint of a training whose rate falls towards its end is not the training that ends there; the command "
           "that acts on it trains anew.")


def close_run(run: Run, config: Any, source: Source, trainings: Trainings, found: Measured, stated: Sequence[Hypothesis], *,
              question: str) -> None:
    """Records all that was measured, draws it, recommends, and closes the run.

    Args:
        run: Open.
        config: Of the study.
        source: The run as trained.
        trainings: What was trained for the remedies.
        found: What was measured.
        stated: The hypotheses.
        question: For the report.
    """
    said = recommend(found, config.keep)
    words = [f"**{said.outcome[0].upper()}{said.outcome[1:]}.** {said.reason}",
             f"The rule, stated before: {rule(config.keep)}", repeated(source, trainings)]
    rows = [row(found, arm, said) for arm in found.arms]
    run.table("remedies", rows)
    run.table("suites", suite_rows(found))
    run.summary(metrics(found, said))
    draw(run, found, said, config.keep)
    close(run, verdicts(stated, found, said, config.keep), Report(
        question=question, table=rows, limits=limits(config, source, trainings), prediction=config.predict,
        sections=[("Recommendation", "\n\n".join(each for each in words if each)),
                  ("Accuracy by suite", table(suite_rows(found)))],
        sources=[source.capsule.run_id, *trainings.run_ids], next=commands(run.id, config, source, said)))
    print(f"{said.outcome}: {said.reason}")


def row(found: Measured, arm: Arm, said: Recommendation) -> dict[str, Any]:
    """Returns one line of the table: what a remedy keeps and forgets."""
    beside = arm is not found.base
    kept, text = estimate(found.kept(arm), found.row_covers), estimate(found.text_lost(arm), "documents")
    lost = found.saved(found.base, arm)
    beaten = {one.arm.label: one.beaten_by for one in standings(found)} if arm in found.remedies else {}
    cells: dict[str, Any] = {
        "model": arm.label, "loss on the task (nats/token)": float(found.loss(arm)[0]),
        "learned (nats/token)": float(found.learned(arm)[0]) if beside else None,
        "kept of what was learned (%)": POINTS * kept.value if beside else None,
        "95 % interval over rows": _span(kept, POINTS) if arm in found.remedies else None}
    if found.answers is not None:
        cells["learned (bits)"] = learned_bits(arm.row_nll, found.answers)
    return {**cells, "lost (points)": lost.value if beside else None,
            "95 % interval over items": _span(lost) + (" (few flips)" if "few" in lost.covers else "") if beside else None,
            "documents (bits per byte more)": text.value if beside else None,
            "95 % interval over documents": _span(text) if beside else None,
            "training steps": arm.steps or None,
            "beaten by": other.label if (other := beaten.get(arm.label)) else None,
            "by the rule": {"recommended": "recommended", "none stands out": "does not stand out alone"}.get(
                said.outcome, "nearest") if arm in said.arms else None, "run": arm.run_id or None}


def suite_rows(found: Measured) -> list[dict[str, Any]]:
    """Returns one line a model: its accuracy in every suite, the base's first."""
    return [{"model": arm.label, **{f"{suite} (% right)": POINTS * float(right.mean())
                                    for suite, right in arm.correct.items()}} for arm in found.arms]


def metrics(found: Measured, said: Recommendation) -> dict[str, float]:
    """Returns the figures that a run is compared by."""
    values = {"forgetting/trained_lost_points": float(found.lost(found.trained)[0]),
              "forgetting/trained_learned_nats": float(found.learned(found.trained)[0])}
    if said.outcome == "recommended":
        (best,) = said.arms
        values |= {"forgetting/recommended_lost_points": float(found.lost(best)[0]),
                   "forgetting/recommended_kept_share": float(found.kept(best)[0])}
    return values


def draw(run: Run, found: Measured, said: Recommendation, keep: float) -> None:
    """Draws what is kept against what is forgotten."""
    arms = found.arms
    place = {id(arm): at for at, arm in enumerate(arms)}
    groups = {}
    for kind, name in KINDS.items():
        if own := [place[id(arm)] for arm in found.of(kind)]:
            groups[name] = {"scale": [0, *own, 1], "stop": [0, *own, 1], "replay": [1, *own], "rate": [*own, 1]}[kind]
    arrays = {"learned": np.array([_ends(estimate(found.learned(arm), "")) for arm in arms]),
              "lost": np.array([_ends(found.saved(found.base, arm)) for arm in arms]),
              "text": np.array([_ends(estimate(found.text_lost(arm), "")) for arm in arms])}
    labels = [arm.short for arm in arms]
    chosen = [place[id(arm)] for arm in said.arms if said.outcome != "none keeps enough"]
    run.figure("remedies", figures.remedies(groups, labels, **arrays, base=0, trained=1, keep=keep, chosen=chosen), {
        **arrays, "labels": np.array([arm.label for arm in arms]), "kinds": np.array([arm.kind for arm in arms]),
        "values": np.array([arm.value for arm in arms]), "chosen": np.array(chosen, dtype=int)})


def limits(config: Any, source: Source, trainings: Trainings) -> list[str]:
    """Returns what may not be concluded."""
    apart = [f"{trial.run_id} at step {trial.diverged_at}" for trial in trainings.apart]
    return [*LIMITS, *([LONGER if config.longer else LESS_OF_THE_TASK] if config.replay else []),
            *([STOPPED] if config.stops and source.training.schedule != "constant" else []),
            *([f"Trainings that came apart and are no remedy: {', '.join(apart)}."] if apart else [])]


def commands(run_id: str, config: Any, source: Source, said: Recommendation) -> list[str]:
    """Returns what to type next: what acts on the recommendation, or looks closer."""
    own = source.capsule.run_id
    acting = [command(config, source, arm) for arm in said.arms]
    trained = [arm.run_id for arm in said.arms if arm.kind in ("replay", "rate")]
    if trained:
        acting.append(next_command("ask", run_ids=(own, *trained)))
    if said.outcome in ("none forgets less", "none stands out", "none keeps enough"):  # the trainings are not repeated
        acting.append(next_command("mitigation", **told(config, type(config)()) | {
            "evaluate_items": 4 * config.evaluate_items, "resume": (run_id,)}))
    return acting or [next_command("forgetting", run_id=own), next_command("ask", run_ids=own)]


def command(config: Any, source: Source, arm: Arm) -> str:
    """Returns the command that makes a model with this remedy."""
    own = source.capsule.run_id if source.capsule.which == "best" else f"{source.capsule.run_id}@last"
    if arm.kind == "scale":
        return next_command("adapter_geometry", run_id=own, ablate=f"scale:{text_of(arm.value)}", keep=True)
    default = Training()
    measuring = ("evaluate", "evaluate_items", "checkpoints")
    plain = replace(source.training, **{name: getattr(default, name) for name in measuring})
    training = {"replay": lambda: with_replay(plain, arm.value, config.replay_data, longer=config.longer),
                "rate": lambda: replace(plain, lr=arm.value), "stop": lambda: stopped_at(plain, int(arm.value))}[arm.kind]()
    return next_command("finetune", **told(training, default))


def told(config: Any, default: Any) -> dict[str, Any]:
    """Returns the options that are not the default ones."""
    return {name: value for name, value in vars(config).items() if value != getattr(default, name)}


def _span(found: Estimate, scale: float = 1.0) -> str:
    return f"{scale * found.low:.3g} to {scale * found.high:.3g}"


def _ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high
