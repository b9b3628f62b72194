"""Reports: the whole of it, the short form that MLflow keeps, and commands that work where they are pasted."""

import shlex

import pytest

from lab.errors import TrackingError
from lab.tracking.hypotheses import Hypothesis, Verdict
from lab.tracking.report import NOTE_LIMIT, Report, next_command, note, project_path, table, whole

STATED = [Hypothesis("falls", "Loss falls with rank", "slope below 0", "slope 0")]
VERDICTS = [Verdict("falls", "supported", -0.123456, "nats", (-0.2, -0.05), "training seeds", "0", "three seeds")]
LINKS = {"abc": "[a run](#/runs/abc)"}
WHOLE = "[report.md](#/report.md)"


def content(rows: int = 2, **changes: object) -> Report:
    values = {"question": "Does it fall?", "limits": ["Nothing about other rates."], "sources": ["abc", "def"]}
    values |= {"next": ["mlflow run x"], "sections": [("Answers", "some answers")], "prediction": "yes", **changes}
    return Report(table=[{"r": n, "loss": 1 / (n + 1)} for n in range(rows)], **values)  # type: ignore[arg-type]


def test_everything_is_in_the_whole_report() -> None:
    text = whole(content(), STATED, VERDICTS, LINKS)
    for part in (
        "## Does it fall?",
        "**Predicted before the run:** yes",
        "| Loss falls with rank | **supported** | -0.1235 nats (-0.2 to -0.05, over training seeds) | 0 |",
        "| slope below 0 | three seeds |",
        "| r | loss |\n| --- | --- |\n| 0 | 1 |\n| 1 | 0.5 |",
        "- Nothing about other rates.",
        "- [a run](#/runs/abc)\n- `def`",
        "```\nmlflow run x\n```",
        "### Answers\n\nsome answers",
    ):
        assert part in text


def test_a_short_report_is_its_own_note() -> None:
    text = note(content(), STATED, VERDICTS, LINKS, WHOLE)
    assert text == whole(content(), STATED, VERDICTS, LINKS) + f"\n\nThe whole report: {WHOLE}\n"


def test_a_long_table_is_cut_to_as_many_rows_as_fit() -> None:
    report = content(rows=2000)
    text = note(report, STATED, VERDICTS, LINKS, WHOLE)
    kept = text.count("\n| ") - 5  # two lines of heads, two of rules, one verdict
    assert NOTE_LIMIT - 40 < len(text) <= NOTE_LIMIT
    assert f"{2000 - kept} more rows in the whole report." in text
    assert "some answers" in text
    assert whole(report, STATED, VERDICTS, LINKS).count("\n| ") == 2005


def test_sections_are_left_out_before_anything_that_matters() -> None:
    text = note(content(sections=[("Answers", "x" * NOTE_LIMIT)]), STATED, VERDICTS, LINKS, WHOLE)
    assert "Answers" not in text
    assert "| 1 | 0.5 |" in text


def test_long_rules_and_remarks_go_before_verdicts_limits_and_commands_do() -> None:
    ruled = [Hypothesis("falls", "Loss falls with rank", "x" * NOTE_LIMIT, "slope 0")]
    text = note(content(), ruled, VERDICTS, LINKS, WHOLE)
    assert "xxx" not in text and "three seeds" in text and "mlflow run x" in text and "| 1 | 0.5 |" in text
    said = [Verdict("falls", "supported", -0.1, "nats", (-0.2, -0.05), "training seeds", "0", "y" * NOTE_LIMIT)]
    text = note(content(), STATED, said, LINKS, WHOLE)
    assert "yyy" not in text and "**supported** | -0.1 nats (-0.2 to -0.05" in text and "Nothing about other" in text


def test_a_hundred_sources_are_counted_where_their_names_leave_no_room() -> None:
    report = content(sources=[f"{number:032x}" for number in range(300)])
    text = note(report, STATED, VERDICTS, LINKS, WHOLE)
    assert "\n300 runs\n" in text and "three seeds" in text and "mlflow run x" in text
    assert f"`{299:032x}`" in whole(report, STATED, VERDICTS, LINKS)


def test_what_cannot_be_shortened_is_an_error() -> None:
    with pytest.raises(TrackingError, match=r"the report has 8\d\d\d characters .*allowed: 8000. Shorten its question"):
        note(content(limits=["x" * NOTE_LIMIT]), STATED, VERDICTS, LINKS, WHOLE)


def test_cells_survive_markdown() -> None:
    rows = [{"a": "x|y\nz", "b": None, "c": True, "d": 123456.789, "e": None}, {"a": "", "b": 3, "c": False}]
    assert table(rows).splitlines() == [
        "| a | b | c | d |",
        "| --- | --- | --- | --- |",
        "| x\\|y<br>z | – | yes | 1.235e+05 |",
        "| – | 3 | no | – |",
    ]


def test_a_verdict_without_a_number() -> None:
    verdicts = [Verdict("falls", "undecided", None, "", None, "", "0")]
    assert "| **undecided** | nothing |" in whole(content(), STATED, verdicts, {})
    verdicts = [Verdict("falls", "undecided", 2.0, "bits", None, "", "0")]
    assert "| **undecided** | 2 bits |" in whole(content(), STATED, verdicts, {})


def test_a_next_command_can_be_pasted_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////tmp/a b/mlflow.db")
    command = next_command("ask", run_ids=("abc", "def"), prompt="it's $HOME; a=b", lr=2e-4, note=None)
    assert shlex.split(command) == [
        "MLFLOW_TRACKING_URI=sqlite:////tmp/a b/mlflow.db",
        *("mlflow", "run", str(project_path()), "-e", "ask"),
        *("-P", "run_ids=abc,def", "-P", "prompt=it's $HOME; a=b", "-P", "lr=2e-4", "-P", "note=none"),
        *("--env-manager", "local"),
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host")
    assert next_command("ask").startswith("MLFLOW_TRACKING_URI=https://host mlflow run")
