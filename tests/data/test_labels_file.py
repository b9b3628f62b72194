"""Labelled files are read as they stand; what no probe could be fitted to is an error that says what to change."""

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from lab.data.labels_file import Columns, from_file
from lab.errors import DataError, OptionError

CITIES = ["Oslo", "Rome", "Lima", "Oslo", "Rome", "Lima"]
TEXTS = [f"Mira {i} lives in {city} today." for i, city in enumerate(CITIES)]
ROWS = [{"text": text, "label": "north" if city == "Oslo" else "south", "city": city, "page": i // 2}
        for i, (text, city) in enumerate(zip(TEXTS, CITIES, strict=True))]
WORDS = Columns(word="city")


@pytest.fixture
def tokenizer(make_tokenizer):
    return make_tokenizer("llama3")


@pytest.fixture
def write(tmp_path):
    def written(rows, name="rows.jsonl"):
        path = tmp_path / name
        match path.suffix:
            case ".jsonl":
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            case ".json":
                path.write_text(json.dumps(rows))
            case ".parquet":
                parquet.write_table(pa.Table.from_pylist(rows), path)
            case ".csv":
                with path.open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(rows[0]))
                    writer.writeheader()
                    writer.writerows(rows)
        return str(path)

    return written


def upto(tokenizer, task):
    """The text up to and including the token of each row, as the tokens spell it."""
    return [tokenizer.decode(task.prompts[p].input_ids[:t + 1], skip_special_tokens=True)
            for p, t in zip(task.prompt, task.position, strict=True)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_text_is_read_at_its_last_token(tokenizer, write, kind):
    task = from_file(tokenizer, write(ROWS, f"rows.{kind}"), Columns())
    assert upto(tokenizer, task) == TEXTS
    assert [task.classes[k] for k in task.label] == [row["label"] for row in ROWS]
    assert task.no_shared.startswith("no column says what a type is") and task.recurring == 0
    assert all(prompt.input_ids[0] == tokenizer.bos_token_id for prompt in task.prompts)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_word_is_read_at_its_last_token_and_is_its_type(tokenizer, write, kind):
    task = from_file(tokenizer, write(ROWS, f"rows.{kind}"), WORDS)
    assert upto(tokenizer, task) == [text.removesuffix(" today.") for text in TEXTS]
    assert task.type.tolist() == [0, 1, 2, 0, 1, 2] and task.recurring == 3 and task.no_shared == ""
    assert task.type_decides and task.context.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_word_by_its_characters(tokenizer, write, kind):
    rows = [{**row, "city": [0, 4] if kind == "json" else "[0, 4]"} for row in ROWS]
    assert upto(tokenizer, from_file(tokenizer, write(rows, f"rows.{kind}"), WORDS)) == ["Mira"] * 6


def test_types_and_groups_of_their_own(tokenizer, write):
    task = from_file(tokenizer, write(ROWS), Columns(type="city", group="page"))
    assert task.type.tolist() == [0, 1, 2, 0, 1, 2] and task.group.tolist() == [0, 0, 1, 1, 2, 2]
    assert task.context.tolist() == task.group.tolist() and task.context_is == "what column 'page' says"
    assert task.type_is == "what column 'city' says" and task.no_shared == ""


def test_groups_that_keep_types_apart_are_no_contexts(tokenizer, write):
    task = from_file(tokenizer, write(ROWS), Columns(type="city", group="city"))
    assert task.group.tolist() == task.type.tolist() and task.context.tolist() == [0, 1, 2, 3, 4, 5]
    assert task.context_is == "a text" and task.recurring == 3


def test_a_text_with_several_words_is_one_prompt(tokenizer, write):
    rows = [{"text": TEXTS[0], "label": label, "city": word} for word, label in
            (("Mira", "who"), ("Oslo", "where"), ("lives", "who"), ("in", "where"))]
    task = from_file(tokenizer, write(rows), WORDS)
    assert len(task.prompts) == 1 and task.prompt.tolist() == [0] * 4 and set(task.group) == {0}


def test_a_part_of_the_rows_keeps_two_of_each_class(tokenizer, write):
    rows = [{"text": f"Mira {i}", "label": i % 20 == 0} for i in range(40)]
    first, again, other = (from_file(tokenizer, write(rows), Columns(), count=8, seed=seed) for seed in (0, 0, 1))
    assert len(first) == 8 and first.classes == ("False", "True") and (first.label == 1).sum() == 2
    assert [p.text for p in first.prompts] == [p.text for p in again.prompts] != [p.text for p in other.prompts]


def test_a_count_below_two_of_each_class(tokenizer, write):
    with pytest.raises(OptionError, match="count=3 for .*: two rows of each of its 2 classes are 4; type count=6"):
        from_file(tokenizer, write(ROWS), Columns(), count=3)


def test_an_empty_file(tokenizer, write):
    with pytest.raises(DataError, match="holds no rows; a probe needs at least two of each class"):
        from_file(tokenizer, write([]), Columns())


def test_labels_of_one_class(tokenizer, write):
    with pytest.raises(DataError, match="/rows.jsonl: every one of its 6 labels is 'same'"):
        from_file(tokenizer, write([{**row, "label": "same"} for row in ROWS]), Columns())


def test_a_label_of_its_own_for_each_row(tokenizer, write):
    with pytest.raises(DataError, match="column 'label' has another label in each of the 6 rows.*choose another column"):
        from_file(tokenizer, write([{**row, "label": i / 7} for i, row in enumerate(ROWS)]), Columns())


def test_a_class_with_a_single_row(tokenizer, write):
    with pytest.raises(DataError, match=r"1 of 3 classes with a single row \('odd'\).*leave those rows out"):
        from_file(tokenizer, write([{**ROWS[0], "label": "odd"}, *ROWS]), Columns())


@pytest.mark.parametrize("names, missing", [(Columns(label="lable"), "lable"), (Columns(text="txt"), "txt"),
                                            (Columns(word="wrd"), "wrd"), (Columns(type="kind"), "kind")])
def test_a_missing_column(tokenizer, write, names, missing):
    with pytest.raises(DataError, match=f"has no column '{missing}'; its columns are 'text', 'label', 'city', 'page'"):
        from_file(tokenizer, write(ROWS), names)


def test_a_missing_column_names_a_near_one(tokenizer, write):
    with pytest.raises(DataError, match="; did you mean 'label'"):
        from_file(tokenizer, write(ROWS), Columns(label="lable"))


@pytest.mark.parametrize("label", ["", None, ["north"], float("nan")])
def test_a_label_that_is_none(tokenizer, write, label):
    with pytest.raises(DataError, match="row 1, column 'label': found .*; allowed is a name, a number or a truth value"):
        from_file(tokenizer, write([{**ROWS[0], "label": label}, *ROWS]), Columns())


def test_a_text_that_is_none(tokenizer, write):
    with pytest.raises(DataError, match="column 'text': found an empty text; allowed is text that is not empty"):
        from_file(tokenizer, write([{**ROWS[0], "text": " "}, *ROWS]), Columns())


def test_a_text_that_is_too_long(tokenizer, write):
    with pytest.raises(OptionError, match="tokens; allowed are 3"):
        from_file(tokenizer, write(ROWS), Columns(), longest=3)


def test_a_file_that_is_missing_or_of_another_kind(tokenizer, tmp_path):
    with pytest.raises(DataError, match="rows.jsonl: there is no such file; .* write an absolute path"):
        from_file(tokenizer, "rows.jsonl", Columns())
    with pytest.raises(DataError, match="there is no such file; allowed are files ending in .jsonl, .json, .csv, .parquet"):
        from_file(tokenizer, str(tmp_path / "rows.csv"), Columns())
    (tmp_path / "rows.txt").write_text("Mira")
    with pytest.raises(DataError, match="a file ending in '.txt' has no columns; allowed are '.jsonl'"):
        from_file(tokenizer, str(tmp_path / "rows.txt"), Columns())
