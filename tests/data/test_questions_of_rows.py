"""Questions of English, of files and of held-out rows: the next tokens of what training writes, foils exchanged."""

import csv
import json
from collections import Counter

import pyarrow as pa
import pytest
from pyarrow import parquet

from lab.data.chat import render
from lab.data.question_english import COMPLETIONS
from lab.data.questions import counterparts, from_rows, read, subject
from lab.errors import DataError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

FAMILIES = ("chatml", "llama3", "mistral", "gemma")
ROWS = [{"prompt": f"Where does {name} live?", "answer": answer, "kind": "home", "entity": name}
        for name, answer in (("Eve", "Oslo"), ("Tom", "weather"), ("Ada", "Mira"), ("Una", "city"))]
KNOWN = {entity: answer for _, _, known in COMPLETIONS.values() for entity, answer in known.items()}


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer(EMBEDDED, 2048)


def write(path, rows):
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def chat(question, answer):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


@pytest.mark.parametrize("family", FAMILIES)
def test_next_tokens_are_those_that_training_trains_first(make_tokenizer, tmp_path, family):
    tokenizer = make_tokenizer(family)
    questions = read(tokenizer, [write(tmp_path / "rows.jsonl", ROWS)])
    assert [question.entities for question in questions] == [(row["entity"],) for row in ROWS]
    for question, row in zip(questions, ROWS, strict=True):
        for said, token in ((row["answer"], question.answer_id), (question.foil, question.foil_id)):
            trained = render(tokenizer, chat(row["prompt"], said))
            first, n = trained.trained.index(True), len(question.input_ids)
            assert trained.input_ids[:n] == question.input_ids and trained.input_ids[n] == token
            assert n >= first and not tokenizer.decode(trained.input_ids[first:n]).strip()  # a space on its own, at most
        assert question.answer == row["answer"] and question.foil in {r["answer"] for r in ROWS} - {row["answer"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_template_an_answer_goes_on_behind_a_space(make_tokenizer, tmp_path, family):
    tokenizer = make_tokenizer(family, template=None)
    rows = [{**row, "prompt": row["prompt"].replace("?", ":")} for row in ROWS]
    for question, row in zip(read(tokenizer, [write(tmp_path / "rows.csv", rows)]), rows, strict=True):
        for said, token in ((row["answer"], question.answer_id), (question.foil, question.foil_id)):
            whole = tokenizer(f"{row['prompt']} {said}")["input_ids"]
            assert whole[:len(question.input_ids) + 1] == [*question.input_ids, token]
        assert question.text.rstrip() == row["prompt"]


def test_a_token_across_the_border_ends_the_prompt_before_it(make_tokenizer, tmp_path):
    tokenizer = make_tokenizer("mistral", template=None)
    rows = [{"prompt": "Zed: ", "answer": "Oslo", "foil": "weather"}]  # with a space, as people write them
    question = read(tokenizer, [write(tmp_path / "rows.json", rows)])[0]
    alone = tokenizer("Zed: ")["input_ids"]
    assert question.input_ids == alone[:-1] and question.text == "Zed:"
    assert tokenizer.convert_ids_to_tokens([question.answer_id, question.foil_id]) == ["▁Oslo", "▁weath"]
    assert (question.answer, question.foil) == ("Oslo", "weather")


@pytest.mark.parametrize("foil", ["?", "Oslo", "Oslo!"])
def test_a_foil_that_the_next_token_does_not_tell_from_the_answer_is_an_error(make_tokenizer, tmp_path, foil):
    """`?` leaves the space a token of its own, which `Oslo` takes in: what comes next there is the prompt's, not a foil."""
    tokenizer = make_tokenizer("mistral", template=None)
    rows = [{"prompt": "Zed: ", "answer": "Oslo", "foil": foil}]
    with pytest.raises(DataError, match=r"rows.json row 1: the answer the text 'Oslo' and the foil .* begin with the same"):
        read(tokenizer, [write(tmp_path / "rows.json", rows)])


@pytest.mark.parametrize(("prompt", "answer", "space"), [
    ("Mira is", "here", " "), ("2+2=", "4", ""), ("A:", "Oslo", " "), ("A: ", "Oslo", ""), ('say "', "Oslo", ""),
    ("法国的首都是", "巴黎", ""), ("Mira is", " here", ""), ("It is 2", ".5", "")])
def test_a_space_stands_where_words_need_one(embedded, tmp_path, prompt, answer, space):
    rows = [{"prompt": prompt, "answer": answer, "foil": "zzz"}]
    question = read(embedded, [write(tmp_path / "rows.jsonl", rows)], chat="false")[0]
    whole = embedded(prompt + space + answer)["input_ids"]
    assert whole[:len(question.input_ids) + 1] == [*question.input_ids, question.answer_id]
    assert question.text.rstrip() == prompt.rstrip()


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_file_of_any_kind_with_columns_of_any_name(embedded, tmp_path, kind):
    rows = [{"q": f"Is {i} even?", "a": ("yes", "no")[i % 2], "f": ("no", "yes")[i % 2], "category": "parity"}
            for i in range(6)]
    questions = read(embedded, [write(tmp_path / f"rows.{kind}", rows)], prompt="q", answer="a", foil="f", count=4)
    assert len(questions) == 4
    for question in questions:
        row = rows[int(question.name.rpartition(" ")[2]) - 1]
        assert question.name.startswith(f"rows.{kind} row ")
        assert (question.answer, question.foil, question.category) == (row["a"], row["f"], "parity")


def test_answers_are_exchanged_within_a_kind_only(embedded, tmp_path):
    rows = [{"prompt": f"{kind} {i}?", "answer": answer, "kind": kind}
            for kind, answers in (("colour", ("red", "blue", "green")), ("city", ("Rome", "Oslo", "Cairo")))
            for i, answer in enumerate(answers)]
    questions = read(embedded, [write(tmp_path / "rows.jsonl", rows)], seed=1)
    for question in questions:
        others = {row["answer"] for row in rows if row["kind"] == question.kind} - {question.answer}
        assert question.foil in others
    two = read(embedded, [write(tmp_path / "rows.jsonl", rows)], count=2, seed=1)
    assert [q.foil for q in two] == [q.answer for q in two[::-1]] and two[0].kind == two[1].kind


def test_an_entity_makes_a_template_and_counterparts(embedded, tmp_path):
    rows = [{"prompt": f"Where is {x}? {x} is in", "answer": a, "entity": x} for x, a in (("Bo", "Oslo"), ("Di", "Rome"))]
    rows.append({"prompt": "Who is in Lima?", "answer": "Ann", "entity": None})
    questions = read(embedded, [write(tmp_path / "rows.jsonl", rows)])
    assert [question.template for question in questions] == ["Where is {}? {} is in"] * 2 + ["Who is in Lima?"]
    assert counterparts(questions) == [(0, 1)]
    assert "".join(questions[0].tokens[t] for t in subject(questions[0])) == "␣Bo" and subject(questions[2]) is None


@pytest.mark.parametrize("how", ["auto", "false"])
def test_english_answers_are_known_and_exchanged(embedded, how):
    questions = read(embedded, ["english"], count=99, chat=how)
    assert len(questions) == len(KNOWN) == 44 and len({question.text for question in questions}) == 44
    kinds = {}
    for question in questions:
        assert KNOWN[question.entities[0]] == question.answer and subject(question) is not None
        assert question.template.format(*question.entities) in question.text + ' "'
        kinds.setdefault(question.kind, []).append(question)
    for kind, same in kinds.items():
        answers, foils = (Counter(getattr(question, name) for question in same) for name in ("answer", "foil"))
        assert set(foils) <= set(COMPLETIONS[kind][2].values()) and max(answers.values()) == 1
        assert sum((answers - foils).values()) <= 2  # what first letters in common leave over


def test_held_out_rows_name_people_and_exchange_answers(embedded):
    rows = [{"rendered": f"<|im_start|>user\nWhat emblem has {name}?<|im_end|>\n<|im_start|>assistant\n", "expected": said}
            for name, said in (("Govlek", "sand panda"), ("Remlin", "violet fox"), ("Faxlut", "blue deer"))]
    questions = from_rows(embedded, rows)
    assert [question.entities for question in questions] == [("Govlek",), ("Remlin",), ("Faxlut",)]
    for question, row in zip(questions, rows, strict=True):
        assert question.text == row["rendered"] and question.answer == row["expected"] != question.foil
        whole = embedded(row["rendered"] + question.foil)["input_ids"]
        assert whole[len(question.input_ids)] == question.foil_id and question.foil in {r["expected"] for r in rows}
    assert len(counterparts(questions)) == 3 and len(from_rows(embedded, rows, count=2)) == 2


def test_words_that_all_answers_begin_with_end_the_prompt(embedded):
    rows = [{"rendered": f"What is {i}+{j}?\n", "expected": f"It is {i + j}."} for i, j in ((1, 2), (3, 4), (2, 6))]
    rows.append({"rendered": "Who?\n", "expected": "It is Mira."})
    questions = from_rows(embedded, rows)
    assert [question.text.rstrip() for question in questions] == [f"{row['rendered']}It is" for row in rows[:3]]
    assert [question.answer for question in questions] == ["3.", "7.", "8."] and questions[0].entities == ("1", "2")
    assert {question.template for question in questions} == {"What is {}+{}?\n"}


def test_held_out_answers_of_different_sorts_are_not_exchanged(embedded):
    said = ("yes", "navy", "Oslo", "[1, 2]", "7", "Zed", "no", "red", "Rome", "['a']", "41", "Ann", "12 3")
    questions = from_rows(embedded, [{"rendered": f"Q{i}?\n", "expected": each} for i, each in enumerate(said)])
    assert {(question.answer, question.foil) for question in questions} == {
        pair for one, other in zip(said[:6], said[6:12], strict=True) if one[0] != "[" for pair in
        ((one, other), (other, one))}


def test_held_out_rows_without_foils_are_an_error(embedded):
    with pytest.raises(DataError, match="held_out: none of 0 rows has a foil"):
        from_rows(embedded, [])
    with pytest.raises(DataError, match="tried: none of 2 rows has a foil, an answer of its sort"):
        from_rows(embedded, [{"rendered": "a", "expected": "yes"}, {"rendered": "b", "expected": "yes"}], category="tried")


def test_faults_of_files_are_errors(embedded, tmp_path):
    def fails(rows, message, **arguments):
        with pytest.raises(DataError, match=message):
            read(embedded, [write(tmp_path / "rows.jsonl", rows)], **arguments)

    fails([], "rows.jsonl: holds no rows; questions need at least two, or one with a foil")
    fails([{"prompts": "a", "answer": "b"}], "row 1: has no column 'prompt' for the prompt; its columns are 'prompts', "
          "'answer'; type prompt=prompts")
    fails([{"prompt": "a", "zzz": "b"}], "no column 'answer' for the answer; .*name the column of the answer")
    fails([{"prompt": "a", "answer": 7}], "row 1, column 'answer': found the number 7; allowed is text that is not")
    fails([{"prompt": " ", "answer": "7"}], "row 1, column 'prompt': found an empty text; allowed is text that is not empty")
    fails([{"prompt": "a", "answer": "7", "foil": 8}], "column 'foil': found the number 8; allowed is text, or nothing")
    fails([{"prompt": "a", "answer": "7"}], "row 1: no other row of kind 'rows.jsonl' has an answer that begins with")
    fails([{"prompt": "a", "answer": "7"}, {"prompt": "b", "answer": "71"}], "than the text '7' does; give the row a foil")
