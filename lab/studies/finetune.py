"""What does one LoRA, QLoRA or full fine-tune look like from inside?"""

from dataclasses import dataclass

from lab.models import backends
from lab.options import option
from lab.studies.training_options import TrainingOptions, check, compact

QUESTION = "What does one fine-tune look like from inside?"


@dataclass(frozen=True)
class Config(TrainingOptions):
    """One training."""

    r: int = option(8, "rank of the adapter", minimum=1)
    lr: float = option(1e-3, "peak learning rate", above=0, maximum=1e6)


def run(config: Config) -> str:
    """Trains once and returns the id of the run that keeps the adapter."""
    check(config)
    backends.prepare(config.backend)
    from lab.studies.single import hypotheses, train_single
    from lab.studies.training_run import prepare, show_data
    from lab.tracking.run import open_run

    name = f"finetune {config.method} r={config.r} lr={compact(config.lr)} seed={config.seed}"
    with open_run("finetune", config, name=name) as run:
        run.state(hypotheses(config), config.predict)
        setup = prepare(config)
        show_data(run, setup)
        train_single(run, setup, config, r=config.r, lr=config.lr, question=QUESTION)
        return run.id
