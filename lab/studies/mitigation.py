"""Which remedy keeps most of what was learned at the least forgetting?"""

from dataclasses import dataclass

from lab import options
from lab.options import option
from lab.studies.trials import TrialOptions

QUESTION = "Which remedy keeps most of what was learned at the least forgetting?"


@dataclass(frozen=True)
class Config(TrialOptions):
    """Which training is to forget less, and what is tried."""

    run_id: str | None = option(None, "training run of the lab that forgot; its own configuration is trained again",
                                required=True)
    model: str | None = option(None, "where the base lies, if no longer where training found it")
    scales: tuple[float, ...] | None = option((0.75, 0.5, 0.25), "factors by which the kept adapter is scaled down; nothing "
                                                                 "is trained for them", above=0, maximum=0.99)
    replay: tuple[float, ...] | None = option(
        (0.1, 0.25, 0.5), "shares of the rows that are of the base's own data; trained again in as many steps, so that less "
                          "of the task is seen", above=0, maximum=0.95)
    replay_data: str = option("auto", "rows like those the base was trained on; auto: embedded:placebo, for a base of the "
                                      "micro-world; for others a file or a Hub dataset id")
    longer: bool = option(False, "whether replay gets as many steps more as it takes, so that all of the task is seen: it "
                                 "then costs steps and not learning")
    stops: bool = option(True, "whether stopping earlier is compared, which is free; trains the run again with evaluate="
                               "forgetting if it was not trained so")
    rates: tuple[float, ...] | None = option(None, "factors by which the learning rate is lowered; trained again", above=0,
                                             maximum=0.99)
    keep: float = option(0.9, "share of what was learned that a remedy has to keep to be recommended", above=0, maximum=1)
    evaluate_items: int = option(200, "questions of each suite", minimum=20)
    checkpoints: int = option(5, "moments of the training at which it could have been stopped, the last included", minimum=2)
    device: str = option("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    dtype: str = option("auto", "auto, float32 or bfloat16", choices=("auto", "float32", "bfloat16"))
    predict: str | None = option(None, "your guess, written down before anything is computed")


def run(config: Config) -> str:
    """Measures every remedy beside the run as trained; returns the id of the run that recommends one, or none."""
    options.validate(config)
    from lab.studies import (
        mitigation_measured,
        mitigation_report,
        mitigation_source,
        mitigation_trainings,
        mitigation_verdicts,
        trials,
    )
    from lab.tracking import capsule
    from lab.tracking.run import open_run

    trials.check(config)
    source = mitigation_source.read(config)
    grid = mitigation_trainings.grid(config, source)
    with open_run("mitigation", config, name=f"mitigation of {source.capsule.run_id}") as run:
        capsule.use(run, source.capsule)
        stated = mitigation_verdicts.hypotheses(mitigation_verdicts.Asked(
            config.scales or (), config.replay or (), config.stops, config.keep))
        run.state(stated, config.predict)
        trained = trials.train(run, "mitigation", grid, config, name=mitigation_trainings.name, question=QUESTION)
        if trained.left:
            trials.close_part(run, trained, stated, question=QUESTION, limits=mitigation_report.LIMITS,
                              prediction=config.predict)
            return run.id
        trainings = mitigation_trainings.sort(config, source, trained.trials)
        found = mitigation_measured.measure(run, config, source, trainings)
        mitigation_report.close_run(run, config, source, trainings, found, stated, question=QUESTION)
        return run.id
