"""Prompts are what training makes of the same conversation, special tokens stand once, and bad input is an error."""

import csv
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tokenizers import normalizers, processors

from lab.data.chat import render
from lab.data.english import PASSAGES
from lab.data.prompts import Prompt, batches, read
from lab.data.world import CATEGORIES, distinct_questions
from lab.errors import DataError, OptionError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

FAMILIES = ("chatml", "llama3", "mistral", "gemma")
WITH_BOS = ("llama3", "mistral", "gemma")
ROWS = [{"prompt": f"Where does Mira {i} live?", "completion": f"In Oslo {i}.", "note": f"Mira\nand {i} others"}
        for i in range(1, 8)]


def chat(question, answer):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write(path, rows):
    """Writes rows as the kind that the path names."""
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


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "rows.jsonl", ROWS)


@pytest.fixture
def tokenizer(make_tokenizer):
    return make_tokenizer("llama3")


@pytest.mark.parametrize("family", FAMILIES)
def test_questions_are_tokenised_as_training_tokenises_them(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    prompts = read(tokenizer, ["world"], count=2, seed=5)
    assert [prompt.name for prompt in prompts] == [f"{category} {i}" for category in CATEGORIES for i in (1, 2)]
    items = [item for category in CATEGORIES for item in distinct_questions(category, 2, 5, split="held_out")]
    for prompt, item in zip(prompts, items, strict=True):
        trained = render(tokenizer, chat(item.question, item.answer))
        assert (prompt.text, prompt.input_ids) == (trained.text, trained.input_ids)
        assert item.held_out and prompt.category == item.category and len(prompt.tokens) == len(prompt.input_ids)


def test_the_embedded_model_is_shown_a_question_and_its_answer():
    prompt = read(load_tokenizer(EMBEDDED, 2048), ["arithmetic"], count=1)[0]
    assert "".join(prompt.tokens) == ("<|im_start|>user↵What␣is␣89-76?<|im_end|>↵<|im_start|>assistant↵13<|im_end|>↵")


@pytest.mark.parametrize("how", ["no template", "chat=false"])
def test_without_a_template_a_question_is_its_sentence(make_tokenizer, how):
    tokenizer = make_tokenizer("llama3", template=None if how == "no template" else "same")
    prompts = read(tokenizer, ["knowledge"], chat="auto" if how == "no template" else "false")
    for prompt, item in zip(prompts, distinct_questions("knowledge", 4, 0), strict=True):
        assert prompt.text == item.text and prompt.input_ids == tokenizer(item.text)["input_ids"]


@pytest.mark.parametrize("family", WITH_BOS)
@pytest.mark.parametrize("mode", ["auto", "true", "false"])
def test_the_beginning_of_sequence_token_is_there_once(make_tokenizer, family, mode):
    tokenizer = make_tokenizer(family)
    assert tokenizer(tokenizer.bos_token + "Mira")["input_ids"][:2] == [tokenizer.bos_token_id] * 2  # the trap
    bare, marked = (read(tokenizer, ["text"], text=text, chat=mode)[0] for text in ("Mira", tokenizer.bos_token + "Mira"))
    assert bare.input_ids == marked.input_ids
    assert bare.input_ids[0] == tokenizer.bos_token_id and bare.input_ids.count(tokenizer.bos_token_id) == 1


def test_a_token_that_the_tokenizer_does_not_add_is_kept_where_the_text_has_it(tokenizer):
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    text = tokenizer.bos_token + "Mira"
    assert read(tokenizer, ["text"], text=text)[0].input_ids[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in read(tokenizer, ["text"], text="Mira")[0].input_ids


def test_an_end_that_the_tokenizer_adds_is_not_doubled(make_tokenizer):
    tokenizer = make_tokenizer("mistral")
    marks = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=marks)
    prompt = read(tokenizer, ["text"], text="<s>Mira</s>", chat="false")[0]
    assert prompt.input_ids == tokenizer("Mira")["input_ids"] and prompt.tokens[-1] == "</s>"
    assert prompt.tokens.count("</s>") == prompt.tokens.count("<s>") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_free_text_as_a_turn_is_what_training_has_before_the_answer(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    asked = read(tokenizer, ["text"], text="Who lives in Oslo?", chat="true")[0]
    trained = render(tokenizer, chat("Who lives in Oslo?", "Mira."))
    assert asked.input_ids == trained.input_ids[:trained.trained.index(True)]


def test_free_text_stays_as_it_is_unless_asked(tokenizer):
    prompts = read(tokenizer, ["english", "text"], text="  Mira\n", count=3)
    assert prompts[-1] == Prompt("text", "text", "  Mira\n", tokenizer("  Mira\n")["input_ids"], prompts[-1].tokens)
    for prompt in prompts[:-1]:
        assert prompt.text == PASSAGES[prompt.name.removeprefix("english ")] and prompt.category == "english"


def test_passages_are_short_and_differ():
    assert len(PASSAGES) == len(set(PASSAGES.values())) == 24
    assert all(20 <= len(text.split()) <= 120 for text in PASSAGES.values())


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_rows_of_every_kind_are_written_as_training_writes_them(tokenizer, tmp_path, kind):
    prompts = read(tokenizer, [write(tmp_path / f"rows.{kind}", ROWS)], count=3)
    assert len(prompts) == 3
    for prompt in prompts:
        file, _, number = prompt.name.rpartition(" row ")
        row = ROWS[int(number) - 1]
        assert file == prompt.category == f"rows.{kind}"
        assert prompt.input_ids == render(tokenizer, chat(row["prompt"], row["completion"])).input_ids


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_column_is_free_text(tokenizer, tmp_path, kind):
    prompts = read(tokenizer, [write(tmp_path / f"rows.{kind}", ROWS)], column="note", count=100)
    assert [prompt.text for prompt in prompts] == [row["note"] for row in ROWS]
    assert [prompt.name for prompt in prompts] == [f"rows.{kind} row {i}" for i in range(1, 8)]


def test_a_dataset_folder_is_read(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "repo" / "data").mkdir(parents=True)
    write(tmp_path / "repo" / "data" / "train-00000-of-00001.parquet", ROWS)
    folder = str(tmp_path / "repo")
    assert [p.text for p in read(tokenizer, [folder], column="note", count=7)] == [row["note"] for row in ROWS]
    assert read(tokenizer, [folder], count=1)[0].name.startswith("repo row ")


def test_text_rows_end_as_in_training_and_become_turns_when_asked(tokenizer, tmp_path):
    source = write(tmp_path / "texts.jsonl", [{"text": "Mira lives in Oslo."}])
    trained = render(tokenizer, {"text": "Mira lives in Oslo."})
    assert read(tokenizer, [source])[0].input_ids == trained.input_ids
    assert trained.input_ids[-1] == tokenizer.eos_token_id
    assert read(tokenizer, [source], column="text")[0].input_ids == trained.input_ids[:-1]
    turn = read(tokenizer, ["text"], text="Mira lives in Oslo.", chat="true")[0]
    assert read(tokenizer, [source], chat="true")[0].input_ids == turn.input_ids


def test_a_chat_without_a_template_is_the_contents_of_its_messages(tokenizer, data):
    assert read(tokenizer, [data], chat="false", count=9)[0].text == "Where does Mira 1 live?\n\nIn Oslo 1."


def test_a_text_file_is_one_prompt(tokenizer, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "notes.txt").write_bytes("\ufeffOne.\r\n\r\nTwo é.\r\n\r\n".encode())
    (tmp_path / "a" / "notes.txt").write_text("Three.")
    one = read(tokenizer, [str(tmp_path / "notes.txt")])
    assert [(p.name, p.category, p.text) for p in one] == [("notes.txt", "notes.txt", "One.\n\nTwo é.")]
    both = [str(tmp_path / "notes.txt"), str(tmp_path / "a" / "notes.txt")]
    assert [prompt.name for prompt in read(tokenizer, both)] == both


def test_the_same_arguments_give_the_same_prompts_and_another_seed_others(tokenizer, data):
    sources = ["world", "english", data]
    again = read(tokenizer, sources, seed=1)
    assert again == read(tokenizer, [*sources, "code", "english"], seed=1)  # a source named twice counts once
    assert len({prompt.name for prompt in again}) == len(again) == 6 * 4 + 4 + 4
    for other, first in zip(read(tokenizer, ["world"], seed=2), again, strict=False):
        assert other.text != first.text
    assert {p.name for p in read(tokenizer, ["english"], seed=2)} != {p.name for p in read(tokenizer, ["english"], seed=1)}


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"sources": []}, OptionError, "prompts: no source came; allowed are world, knowledge.*type prompts=world"),
    ({"sources": ["knowlege"]}, OptionError, "prompts=knowlege is unknown; near are knowledge; allowed are world, .*Hub id"),
    ({"sources": ["zzz"]}, OptionError, "prompts=zzz is unknown; allowed are world"),
    ({"sources": ["text"]}, OptionError, "prompts=text has no text; type text="),
    ({"sources": ["world"], "text": "x"}, OptionError, "text is given and prompts=world does not read it"),
    ({"sources": ["text"], "text": " \n"}, OptionError, "text is empty; allowed is a text"),
    ({"sources": ["world", "english"], "column": "a"}, OptionError, "column=a is given and none of prompts=world,english"),
    ({"sources": ["world"], "count": 0}, OptionError, "count=0: allowed is 1 or more; type count=1"),
    ({"sources": ["world"], "chat": "yes"}, OptionError, "chat=yes: allowed are auto, true, false"),
    ({"sources": ["world"], "longest": 12}, OptionError,
     r"prompt \w+ \d has \d+ tokens; allowed are 12 \(24 of 24 prompts are too long\)\. Shorten"),
    ({"sources": ["/no/such/notes.txt"]}, DataError, "no such file, nor a folder /no/such$"),
    ({"sources": ["nowhere.jsonl"]}, DataError, "prompts=nowhere.jsonl: there is no such file.*write an absolute path"),
], ids=lambda value: str(value)[:40])
def test_what_is_not_allowed_is_an_error(tokenizer, arguments, error, message):
    with pytest.raises(error, match=message):
        read(tokenizer, **arguments)


def test_one_prompt_that_is_too_long_is_named(tokenizer):
    length = len(tokenizer("Mira " * 9)["input_ids"])
    with pytest.raises(OptionError, match=rf"prompt text has {length} tokens; allowed are {length - 1}\. Shorten"):
        read(tokenizer, ["text"], text="Mira " * 9, longest=length - 1)
    assert read(tokenizer, ["text"], text="Mira " * 9, longest=length)


def test_chat_needs_a_template(make_tokenizer, tmp_path):
    tokenizer = make_tokenizer("llama3", template=None)
    with pytest.raises(OptionError, match="chat=true: this model's tokenizer has no chat template; type chat=auto"):
        read(tokenizer, ["english"], chat="true")
    call = {"function": {"name": "weather", "arguments": {}}}
    rows = [{"messages": [{"role": "user", "content": "Rain?"}, {"role": "assistant", "tool_calls": [call]}]}]
    with pytest.raises(DataError, match=r"tools.jsonl row 1: calls tools, which only a chat template can write"):
        read(tokenizer, [write(tmp_path / "tools.jsonl", rows)])
    offered = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}], "messages": [
        {"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "I cannot say."}]}
    with pytest.raises(DataError, match=r"offered.jsonl row 1: calls tools, which only a chat template can write"):
        read(tokenizer, [write(tmp_path / "offered.jsonl", [offered])])


def test_faults_of_files_are_errors(tokenizer, tmp_path, data):
    def fails(source, message, **arguments):
        with pytest.raises(DataError, match=message):
            read(tokenizer, [str(source)], **arguments)

    (tmp_path / "picture.png").write_bytes(b"x")
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "none.jsonl").write_text("")
    fails(tmp_path / "picture.png", "a file ending in '.png' is not read; allowed are '.txt', '.jsonl'")
    fails(tmp_path / "emty.txt", "no such file in .*files there that can be read: 'empty.txt'")
    fails(tmp_path / "empty.txt", "empty.txt: holds no text; a prompt needs at least one letter")
    fails(tmp_path / "latin.txt", "latin.txt: byte 4 is not UTF-8")
    fails(tmp_path / "none.jsonl", "none.jsonl: holds no rows; prompts need", column="note")
    fails(data, "row 1: has no column 'notes'; its columns are 'prompt', 'completion', 'note'; type column=note",
          column="notes", count=9)
    fails(write(tmp_path / "gaps.jsonl", [{"a": " "}]), "row 1, column 'a': found an empty text; allowed is text that",
          column="a")
    fails(write(tmp_path / "numbers.jsonl", [{"a": 7}]), "row 1, column 'a': found the number 7", column="a")
    fails(write(tmp_path / "user.jsonl", [{"messages": [{"role": "user", "content": "Rain?"}]}]),
          "user.jsonl row 1: trains nothing, because it has no assistant turn")


def test_a_hub_id_out_of_reach_is_an_error(tokenizer, monkeypatch):
    for setting in ("datasets.config.HF_HUB_OFFLINE", "huggingface_hub.constants.HF_HUB_OFFLINE"):
        monkeypatch.setattr(setting, True)
    for column in (None, "note"):
        with pytest.raises(DataError, match=r"no/such.*cannot load it \(configuration main, split test\)"):
            read(tokenizer, ["no/such:main:test"], column=column)


def test_nothing_is_read_before_every_source_is_known(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("lab.data.prompt_sources._questions", lambda *_: pytest.fail("work began"))
    with pytest.raises(DataError, match="there is no such file"):
        read(tokenizer, ["world", str(tmp_path / "gone.csv")])


def test_a_text_of_no_tokens_is_an_error(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u00ad", "")
    with pytest.raises(DataError, match=r"text: the tokenizer makes no tokens of '\\xad'; a prompt needs"):
        read(tokenizer, ["text"], text="\u00ad")


def prompts_of(*lengths):
    return [Prompt(f"p {i}", "text", "", [i + 1] * length, ["x"] * length) for i, length in enumerate(lengths)]


def test_batches_hold_every_prompt_once_padded_on_the_left():
    prompts = prompts_of(3, 7, 1, 7, 2, 5, 9)
    seen = []
    for indices, ids, mask in batches(prompts, pad_id=0, tokens_at_once=14):
        assert ids.dtype == mask.dtype == indices.dtype == np.int64 and ids.shape == mask.shape
        assert ids.size <= 14 and (np.diff(mask, axis=1) >= 0).all() and mask[:, -1].all()
        for index, row, real in zip(indices, ids, mask, strict=True):
            assert row[real == 1].tolist() == prompts[index].input_ids and not row[real == 0].any()
        seen.append(indices.tolist())
    assert seen == [[6], [1, 3], [5, 0], [4, 2]]  # 9 | 7 7 | 5 3 | 2 1


def test_a_prompt_longer_than_a_batch_is_one_of_its_own():
    assert [ids.shape for _, ids, _ in batches(prompts_of(2, 8, 3), 0, tokens_at_once=4)] == [(1, 8), (1, 3), (1, 2)]
    assert list(batches([], 0, 4)) == []
    with pytest.raises(OptionError, match="tokens_at_once=0: allowed is 1 or more"):
        next(batches(prompts_of(1), 0, tokens_at_once=0))


def test_prompts_load_neither_torch_nor_transformers():
    code = ("import sys, lab.data.prompts, lab.data.repeated\n"
            "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)))")
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_unknown_source_is_told_what_the_caller_knows_too():
    from lab.models.loading import load_base

    with pytest.raises(OptionError, match="near are held_out; allowed are auto, held_out, world"):
        read(load_base("embedded").tokenizer, ["held-out"], also=("auto", "held_out"))
