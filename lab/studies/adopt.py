"""Make an adapter trained elsewhere a run, so that every analysis takes it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import options
from lab.errors import OptionError
from lab.options import option

QUESTION = "An adapter trained elsewhere, checked and kept as a run."
LIMITS = ["Training unknown: data, seed and steps are not recorded here, so nothing may be concluded about them."]


@dataclass(frozen=True)
class Config:
    """An adapter, or a full fine-tune with the base it came from."""

    adapter: str | None = option(None, "PEFT folder or Hub id of the adapter")
    tuned: str | None = option(None, "instead: folder or Hub id of a full fine-tune, with its base as model")
    model: str | None = option(None, "the base: a model reference; none: the one that the adapter names")
    quantization: str = option("none", "number format of the base when the adapter was trained, which PEFT does not record",
                               choices=("none", "nf4"))
    register: str | None = option(None, "name@alias under which the adapter is registered")


def run(config: Config) -> str:
    """Checks the adapter against its base, keeps both as a sealed capsule and returns the run's id."""
    from lab.tracking.lineage import check_target

    options.validate(config)
    if config.register is not None:
        check_target(config.register)
    if (config.adapter is None) == (config.tuned is None):
        raise OptionError(f"adapter={config.adapter} and tuned={config.tuned}: give exactly one of them; adapter takes a "
                          "PEFT folder or Hub id, tuned a full fine-tune together with model")
    if config.tuned is not None and config.model is None:
        raise OptionError("model=none with tuned: a full fine-tune does not name its base; give it as model")
    from lab.models.adopt import adopt_adapter, adopt_model
    from lab.studies.closing import close
    from lab.tracking import capsule
    from lab.tracking.report import Report, next_command
    from lab.tracking.run import open_run

    given = config.adapter or config.tuned
    with open_run("adopt", config, name=f"adopt {given}"[:120], tags={"lab.training": "unknown"}) as run, \
            tempfile.TemporaryDirectory(prefix="lab-") as name:
        run.state([])
        folder = Path(name)
        kind: capsule.Kind = "adapter" if config.adapter else "model"
        if config.adapter:
            facts = adopt_adapter(config.adapter, folder, base=config.model, quantization=config.quantization)
        else:
            facts = adopt_model(str(config.tuned), folder, base=str(config.model))
        capsule.seal(folder, kind, facts)
        capsule.keep(run, folder, kind, "best", register=config.register)
        table = [{"fact": key, "value": str(value)} for key, value in facts.items() if value is not None]
        run.table("facts", table)
        close(run, [], Report(question=QUESTION, table=table, limits=LIMITS,
                              next=[next_command("ask", run_ids=run.id, prompt="Hello"),
                                    next_command("adapter_geometry", run_id=run.id),
                                    next_command("probing", run_id=run.id)]))
        return run.id
