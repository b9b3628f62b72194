"""MLproject and the README's tables, written from the code so that they cannot disagree with it."""

from lab.options import describe
from lab.studies.registry import ENTRIES, load

_COLUMNS = ("parameter", "default", "allowed", "meaning")


def mlproject() -> str:
    """Returns the text of the MLproject file: every option of every study as a quoted string with its default."""
    lines = ["# Written by `python -m entrypoints.documents`; edit the studies' Config instead.",
             "name: llm-learning-lab", "", "conda_env: conda.yaml", "", "entry_points:"]
    for entry in ENTRIES:
        options = describe(load(entry.name).Config)
        lines += [f"  # {entry.question}", f"  {entry.name}:", "    parameters:"]
        lines += [f'      {o.name}: {{type: string, default: "{o.default}"}}' for o in options]
        command = " ".join([f"python -m entrypoints.{entry.name}", *(f"--{o.name}={{{o.name}}}" for o in options)])
        lines += [f'    command: "{command}"', ""]
    return "\n".join(lines)


def entry_table() -> str:
    """Returns the README's table of entry points."""
    rows = [f"| {entry.track} | `{entry.name}` | {entry.question} |" for entry in ENTRIES]
    return "\n".join(["| track | entry point | question it answers |", "|---|---|---|", *rows])


def parameter_tables() -> str:
    """Returns the README's parameters: those that all training studies share once, then each entry point's own."""
    shared = {o.name: o for o in describe(load("finetune").Config)}
    sections = [_section("Parameters of every training study", list(shared.values()))]
    for entry in ENTRIES:
        own = [o for o in describe(load(entry.name).Config) if shared.get(o.name) != o]
        if entry.name != "finetune" and own:
            sections.append(_section(f"`{entry.name}`", own))
    return "\n\n".join(sections)


def _section(title: str, options: list) -> str:
    head = ["| " + " | ".join(_COLUMNS) + " |", "|---|---|---|---|"]
    rows = [f"| `{o.name}` | `{o.default}` | {o.allowed} | {o.help} |" for o in options]
    return "\n".join([f"**{title}**", "", *head, *rows])


def fill(text: str, tables: dict[str, str]) -> str:
    """Returns the text with what stands between `<!-- name -->` and `<!-- end name -->` replaced by each table."""
    for name, table in tables.items():
        start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
    return text
