"""Reading files: the same rows from every kind, and an error for everything that is not a row."""

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from lab.data.conversation import digest
from lab.data.files import read
from lab.errors import DataError

ALPACA = [{"instruction": f"Question, {i}?", "input": "a \"quoted\"\nline" if i % 2 else "", "output": f"{i} é 🌊"}
          for i in range(1, 31)]
KINDS = ("jsonl", "json", "csv", "parquet")


def write(path, rows):
    """Writes rows as the kind that the path names."""
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows, indent=1))
        case ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def said(conversation):
    return [(m["role"], m["content"]) for m in conversation["messages"]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_rows(tmp_path, kind):
    rows = read(write(tmp_path / f"data.{kind}", ALPACA))
    assert [said(row) for row in rows] == [
        [("user", row["instruction"] + ("\n\n" + row["input"] if row["input"] else "")), ("assistant", row["output"])]
        for row in ALPACA]
    assert [row["meta"] for row in rows] == [{"row": i, "form": "alpaca"} for i in range(1, 31)]
    assert digest(rows) == digest(read(write(tmp_path / "other.jsonl", ALPACA)))


def test_a_dataset_folder_is_loaded_as_the_hub_would_be(tmp_path):
    (tmp_path / "repo" / "data").mkdir(parents=True)
    write(tmp_path / "repo" / "data" / "train-00000-of-00001.parquet", ALPACA)
    assert digest(read(str(tmp_path / "repo"))) == digest(read(write(tmp_path / "data.jsonl", ALPACA)))


def test_a_hub_id_is_out_of_reach_offline(monkeypatch):
    for setting in ("datasets.config.HF_HUB_OFFLINE", "huggingface_hub.constants.HF_HUB_OFFLINE"):
        monkeypatch.setattr(setting, True)
    with pytest.raises(DataError, match=r"no/such: no such file here, and `datasets` cannot load it \(configuration "
                                        r"default, split train\): .*no/such.*Hub id as owner/name"):
        read("no/such")
    with pytest.raises(DataError, match=r"configuration main, split test\)"):
        read("no/such:main:test")


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_for_an_answer_is_text_in_csv_and_an_error_elsewhere(tmp_path, kind):
    path = write(tmp_path / f"data.{kind}", [{"prompt": "7 * 6?", "completion": 42}] * 2)
    if kind == "csv":
        assert said(read(path)[0])[1] == ("assistant", "42")
    else:
        with pytest.raises(DataError, match=r"row 1, column 'completion': found the number 42; allowed is text"):
            read(path)


def broken(path, kind):
    """Thirty rows, the 17th of which is broken in the way the kind breaks."""
    rows = [dict(row) for row in ALPACA]
    if kind == "parquet":
        rows[16]["output"] = None
        return write(path, rows)
    lines = (path.parent / write(path, rows).replace(str(path.parent) + "/", "")).read_text(encoding="utf-8")
    if kind == "jsonl":
        lines = lines.split("\n")
        lines[16] = lines[16][:-1]
        path.write_text("\n".join(lines))
    else:
        path.write_text(lines.replace("Question, 17?\",", "Question, 17?\"" if kind == "json" else "Question, 17?"))
    return str(path)


@pytest.mark.parametrize(("kind", "found"), [
    ("jsonl", r"row 17, character \d+: Expecting ',' delimiter; found the text .*; allowed is one JSON object a line"),
    ("json", r"row 17 \(line 84, character \d+\): Expecting ',' delimiter; allowed is one JSON array"),
    ("csv", r"row 17 \(line \d+\).*"),
    ("parquet", r"row 17, column 'output': found nothing \(null\); allowed is text"),
])
def test_a_broken_row_is_named(tmp_path, kind, found):
    path = broken(tmp_path / f"data.{kind}", kind)
    with pytest.raises(DataError, match=rf"data\.{kind} {found}"):
        read(path)


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize(("row", "found"), [
    ([1, 2], "found a list of 2; allowed is a JSON object"),
    ({"instruction": "Why?"}, "column 'output': missing; its columns are 'instruction'; every row needs"),
    ({"text": "Why?"}, "column 'instruction': missing; this row is in the form text, .* in the form alpaca"),
    ({"instruction": "Why?", "output": None}, r"column 'output': found nothing \(null\)"),
    ({"instruction": " ", "output": "So."}, "column 'instruction': found an empty text; allowed is text that is not"),
    ({"instruction": "Why?", "input": True, "output": "So."}, "column 'input': found the truth value true"),
    ({"instruction": "Why?", "output": {"a": 1}}, "column 'output': found an object with 'a'"),
    ({"instruction": "Why?", "output": "half \ud83d"}, "column 'output': found half a surrogate pair"),
])
def test_a_row_that_does_not_fit_is_named(tmp_path, kind, row, found):
    path = write(tmp_path / f"data.{kind}", [*ALPACA[:16], row, *ALPACA[17:]])
    with pytest.raises(DataError, match=rf"data\.{kind} row 17(:|,) {found}"):
        read(path)


def test_an_empty_answer_is_a_row(tmp_path):
    path = write(tmp_path / "data.jsonl", [{"instruction": "Say nothing.", "output": ""}])
    assert said(read(path)[0]) == [("user", "Say nothing."), ("assistant", "")]


@pytest.mark.parametrize(("name", "content", "found"), [
    ("a.csv", "prompt,completion\nWhy?,So.\nWhy?,So.,too\n", r"row 2 \(line 3\), column 'completion': .* 3 cells"),
    ("a.csv", "prompt,completion\nWhy?\n", r"row 1 \(line 2\), column 'completion': .* 1 cells; allowed are 2"),
    ("a.csv", "prompt,completion\nWhy?,\"So.\n", r"row 1 \(line 2\): unexpected end of data; allowed are cells"),
    ("a.csv", "prompt,prompt\n1,2\n", "line 1: the header is 'prompt', 'prompt'; allowed are different names"),
    ("a.csv", "prompt,completion\n", "holds no rows"),
    ("a.csv", "", "holds no rows"),
    ("a.jsonl", "", "holds no rows"),
    ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n', "row 2, character 1: Expecting value; found an empty text"),
    ("a.json", "", "holds no rows"),
    ("a.json", "[]", "holds no rows; a dataset needs at least two"),
    ("a.json", '{"rows": []}', "found an object with 'rows'; allowed is an array of objects, or {"),
    ("a.json", '"text"', "found the text 'text'; allowed is an array"),
    ("a.json", '{"text": "a"}\n{"text": "b"}', r"row 2 \(line 2, character 1\): Extra data; .*an object a line is"),
    ("a.parquet", "no parquet", "cannot be read as parquet"),
    ("a.txt", "Why?", r"a file ending in '\.txt' is not read; allowed are '.jsonl', '.json', '.csv', '.parquet'"),
])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content, found):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}:? {found}"):
        read(str(tmp_path / name))


@pytest.mark.parametrize(("name", "found"), [("a.jsonl", "row 2: byte 11 of the line is not UTF-8"),
                                             ("a.csv", "line 2: holds a byte that is not UTF-8")])
def test_other_encodings_are_errors(tmp_path, name, found):
    row = b'{"text": "%s"}\n' if name == "a.jsonl" else b"%s\n"
    head = row % b"Oslo" if name == "a.jsonl" else b"text\n"
    (tmp_path / name).write_bytes(head + row % "é".encode("latin-1"))
    with pytest.raises(DataError, match=found):
        read(str(tmp_path / name))


def test_byte_order_mark_data_key_and_windows_lines_are_read(tmp_path):
    for name, content in (("a.jsonl", '{"text": "Oslo"}\r\n'), ("a.json", '{"data": [{"text": "Oslo"}]}'),
                          ("a.csv", "text\r\nOslo\r\n")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
        assert read(str(tmp_path / name)) == [{"text": "Oslo", "meta": {"row": 1, "form": "text"}}]


def test_a_long_cell_and_unusual_line_separators_stay_whole(tmp_path):
    text = "Oslo " * 40_000 + "\u2028 \x0b Mira"
    assert read(write(tmp_path / "a.csv", [{"text": text}]))[0]["text"] == text


def test_a_missing_file_names_those_that_are_there(tmp_path, monkeypatch):
    for name in ("train.jsonl", "training.csv", "notes.txt", "zebra.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"trian.jsonl: there is no such file in .*; data files there: 'train.jsonl'"):
        read(str(tmp_path / "trian.jsonl"))
    with pytest.raises(DataError, match="data files there: 'train.jsonl', 'training.csv', 'zebra.parquet'"):
        read(str(tmp_path / "oooo.csv"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(DataError, match="missing.jsonl: there is no such file in .*; data files there: nothing"):
        read("missing.jsonl")
    with pytest.raises(DataError, match="there is no such file, nor a folder /.*/empty/nowhere"):
        read("nowhere/missing.jsonl")
    with pytest.raises(DataError, match="there is no such file"):
        read("what is this?")
