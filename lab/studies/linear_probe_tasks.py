"""Which tasks a study probes: of the micro-world by name, and a labelled file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from lab.data import labels_tasks
from lab.data.labelled import Labelled
from lab.data.labels_file import Columns, from_file
from lab.errors import OptionError
from lab.models.loading import Base
from lab.probing.sites import check_layers, check_sites
from lab.studies.attention_prompts import knows_the_world
from lab.tracking.run import Run

AUTO = "auto"
MOST = 9  # tasks of one run, whose verdicts the note has to hold
TASKS = ("carry", "attribute:job@name", "attribute:job@last", "entity", "order", "bracket_depth", "next_token_entropy")


def check(config: Any) -> None:
    """Finds every fault that can be seen before a model is loaded.

    Raises:
        OptionError: A task or site is unknown or named twice, there are more than 9, columns are named without a file, or
            a wide probe is asked of texts that have no control task.
    """
    check_sites(config.sites)
    for name in config.tasks:
        if name != AUTO:
            labels_tasks.check(name)
    if len({labels_tasks.check(name) for name in config.tasks if name != AUTO}) < len(config.tasks) - (AUTO in config.tasks):
        raise OptionError(f"tasks={','.join(config.tasks)}: a task is named twice; name each once")
    count = len(_names(config)) + (config.file is not None)
    if count > MOST:
        raise OptionError(f"tasks={','.join(config.tasks)}: {count} tasks; allowed are {MOST} in one run, so name fewer "
                          "and run several")
    named = [name for name in ("word_column", "type_column", "group_column") if getattr(config, name) is not None]
    if config.file is None and named:
        raise OptionError(f"{named[0]}={getattr(config, named[0])} is given without a file that has it; type file=… beside "
                          f"it, or leave {named[0]} out")
    if config.hidden is not None and config.file is not None and config.type_column is config.word_column is None:
        raise OptionError(f"hidden={config.hidden} with file={config.file}: a wide probe is compared on control tasks, "
                          "fixed random labels of types, and here each text is a type of its own; give type_column=<column "
                          "that says which rows speak of the same thing>, or leave hidden out")


def check_model(config: Any, base: Base) -> tuple[int, ...]:
    """Returns the layers that are probed, if the model has them and tasks that it can be asked.

    Raises:
        OptionError: It has no such layer, or does not know the micro-world and no task or file was named.
    """
    layers = check_layers(config.layers, base.model.config.get_text_config(decoder=True).num_hidden_layers)
    if config.tasks == (AUTO,) and config.file is None and not knows_the_world(base):
        raise OptionError("tasks=auto: this model was not made for the micro-world; give a labelled file=…, or name tasks "
                          f"of the micro-world all the same, such as tasks={TASKS[0]}")
    return layers


def build(config: Any, base: Base, tokenizer: Any, entropy: Callable[..., Any]) -> list[Labelled]:
    """Returns the tasks that are asked for.

    Args:
        config: Of the study, checked.
        base: The model that is asked.
        tokenizer: The one its prompts go through.
        entropy: For tasks that ask for the model's certainty.

    Raises:
        OptionError: See `lab.data.labels_tasks.build`.
        DataError: See `lab.data.labels_file.from_file`.
    """
    found = [labels_tasks.build(name, tokenizer, count=config.count, seed=config.seed, entropy=entropy)
             for name in _names(config)]
    if config.file is not None:
        columns = Columns(config.text_column, config.label_column, config.word_column, config.type_column,
                          config.group_column)
        longest = getattr(base.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        found.append(from_file(tokenizer, config.file, columns, count=config.count, seed=config.seed, longest=longest))
    return found


def record(run: Run, tasks: Sequence[Labelled]) -> None:
    """Records the labelled tokens as an input of the run."""
    content = hashlib.sha256()
    for task in tasks:
        rows = [column.tolist() for column in (task.prompt, task.position, task.label)]
        content.update(json.dumps([task.name, [prompt.input_ids for prompt in task.prompts], rows]).encode())
    run.dataset("labelled tokens", f"sha256:{content.hexdigest()}", ", ".join(task.name for task in tasks), "evaluation",
                sum(map(len, tasks)), {"tasks": len(tasks)})


def _names(config: Any) -> list[str]:
    return [one for name in config.tasks for one in _meant(name, config)]


def _meant(name: str, config: Any) -> Sequence[str]:
    if name != AUTO:
        return (name,)
    others = {labels_tasks.check(other) for other in config.tasks if other != AUTO}
    return () if config.file is not None else [own for own in TASKS if labels_tasks.check(own) not in others]
