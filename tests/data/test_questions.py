"""Answers and foils are the tokens that come next, foils are balanced and wrong, and bad input is an error."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
import torch

from lab.data.question_world import MIRRORED, own_foils
from lab.data.questions import Question, counterparts, read, subject
from lab.data.world import CATEGORIES, generate
from lab.data.world.knowledge import attributes
from lab.errors import DataError, OptionError
from lab.models.loading import load_base
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

OPERATIONS = {"addition": lambda a, b: a + b, "subtraction": lambda a, b: abs(a - b), "multiplication": lambda a, b: a * b,
              "comparison": max}
OWN = ("extreme", "keep", "lookup", "index", "branch", "recall", "line-up", "swap", "copying repeat")


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer(EMBEDDED, 2048)


def kind_of(question):
    return f"copying {question.kind}" if question.category == "copying" and question.kind == "repeat" else question.kind


@pytest.mark.usefixtures("one_thread")
def test_the_embedded_model_knows_nearly_every_answer():
    base = load_base("embedded")
    questions = read(base.tokenizer, ["world"], count=12, seed=1)
    right = []
    with torch.no_grad():
        for question in questions:
            logits = base.model(torch.tensor([question.input_ids])).logits[0, -1]
            right.append(bool(logits[question.answer_id] > logits[question.foil_id]))
    assert len(right) == 12 * len(CATEGORIES) and sum(right) >= len(right) - 2


@pytest.mark.parametrize("chat", ["auto", "false"])
def test_a_question_says_what_its_tokens_say(embedded, chat):
    for question in read(embedded, ["world"], count=20, chat=chat):
        assert embedded.decode(question.input_ids) == question.text and len(question.tokens) == len(question.input_ids)
        for said, token in ((question.answer, question.answer_id), (question.foil, question.foil_id)):
            space = "" if chat == "auto" or question.text[-1] in " =" else " "
            assert embedded(question.text + space + said)["input_ids"][:len(question.input_ids) + 1] == [
                *question.input_ids, token]
        assert question.answer_id != question.foil_id and question.answer != question.foil
        assert question.text.endswith("<|im_start|>assistant\n") == (chat == "auto")


def test_answers_are_right_and_foils_wrong(embedded):
    for question in read(embedded, ["knowledge", "arithmetic"], count=60):
        if question.category == "knowledge":
            assert attributes(question.entities[0])[question.kind] == question.answer != question.foil
        else:
            truth = str(OPERATIONS[question.kind](*map(int, question.entities)))
            assert question.answer == truth != question.foil


@pytest.mark.parametrize("chat", ["auto", "false"])
def test_what_is_exchanged_is_as_often_a_foil_as_an_answer(embedded, chat):
    answers, foils = defaultdict(Counter), defaultdict(Counter)
    for question in read(embedded, ["world"], count=50, chat=chat):
        if kind_of(question) not in OWN:
            answers[question.template][question.answer_id] += 1
            foils[question.template][question.foil_id] += 1
    assert answers == foils and len(answers) > 30 and set(MIRRORED) & {t.partition("/")[0] for t in answers}


def test_own_foils_could_as_well_be_answers(embedded):
    """Had one the smaller token more often than the other, a model could tell them apart without the question."""
    drawn = [q for source in ("reasoning", "code", "copying") for q in read(embedded, [source], count=300, seed=5)]
    for kind in ("extreme", "line-up", "branch", "recall", "copying repeat", "lookup"):
        below = [question.answer_id < question.foil_id for question in drawn if kind_of(question) == kind]
        assert abs(sum(below) - len(below) / 2) < 3 * len(below) ** 0.5 / 2 and len(below) >= 20, kind


def test_own_foils_are_named_by_the_question():
    from random import Random

    found = set()
    for category in ("arithmetic", "reasoning", "code", "copying"):
        for item in generate(category, 300, 0):
            foils = own_foils(item, Random(0))
            if foils:
                found.add(item.kind)
                assert item.answer not in foils
                words = {word.strip(",") for foil in foils for word in foil.split()}
                assert all(word in item.question for word in words)
    assert found == {"comparison", "max", "repeat", *OWN} - {"copying repeat"}


def test_what_is_asked_of_named_alternatives_has_one_of_them_for_a_foil(embedded):
    """Also where there is no other, as in the larger of 78 and 78: that is not asked."""
    drawn = [q for source in ("arithmetic", "code") for q in read(embedded, [source], count=300, seed=2)]
    own = [question for question in drawn if kind_of(question) in (*OWN, *MIRRORED)]
    assert len(own) > 100
    for question in own:
        assert all(re.search(rf"\b{word}\b", question.text) for word in question.foil.split()), question


def test_questions_come_in_pairs_of_one_template_and_length(embedded):
    questions = read(embedded, ["world"], count=30) + read(embedded, ["code"], count=80)
    found = set(counterparts(questions))  # whose answers differ; 80 of code, where equal ones would turn up
    assert all((i, i + 1) in found for i in range(0, len(questions), 2))


def test_counterparts_are_all_pairs_that_correspond(embedded):
    questions = read(embedded, ["knowledge", "reasoning"], count=40, seed=2)
    pairs = counterparts(questions)
    assert sorted(pairs) == [
        (i, j) for i, a in enumerate(questions) for j, b in enumerate(questions)
        if i < j and (a.category, a.template, len(a.tokens)) == (b.category, b.template, len(b.tokens))
        and a.answer_id != b.answer_id]
    exchanged = [(questions[i].answer_id, questions[i].foil_id) == (questions[j].foil_id, questions[j].answer_id)
                 for i, j in pairs]
    assert exchanged == sorted(exchanged, reverse=True) and 0 < sum(exchanged) < len(exchanged)


def test_a_subject_is_where_the_prompt_names_it_last(embedded):
    for question in read(embedded, ["knowledge", "reasoning", "arithmetic"], count=30):
        for which, entity in enumerate(question.entities):
            place = subject(question, which)
            said = "".join(question.tokens[place.start:place.stop])
            later = "".join(question.tokens[place.stop:])
            assert said.strip("␣'↵") == entity and f"␣{entity}" not in later.replace("?", "␣")
            assert question.tokens[place.start].strip("␣↵'")
    assert subject(question, 9) is None
    assert subject(replace(question, entities=("Nobody",))) is None


def test_a_subject_is_no_part_of_a_longer_word():
    question = Question("", "", "", "", ("7",), "", [], ["8", "7", "+", "7", "=", "x7"], "", "", 0, 1)
    assert subject(question) == range(3, 4)
    spaced = replace(question, entities=("a lemon",), tokens=["of", "␣a", "␣lem", "on", "␣is"])
    assert subject(spaced) == range(1, 4)


def test_the_same_arguments_give_the_same_questions_and_fewer_are_the_first_of_more(embedded):
    some = read(embedded, ["world"], count=10, seed=3)
    assert some == read(embedded, ["world", "code"], count=10, seed=3)
    more = read(embedded, ["world"], count=14, seed=3)
    assert some == [question for question in more if int(question.name.split()[1]) <= 10]
    other = read(embedded, ["world"], count=10, seed=4)
    assert len({q.text for q in some} & {q.text for q in other}) < 10
    assert len({question.text for question in more}) == len(more) == 14 * len(CATEGORIES)


def test_only_what_may_be_asked_is_asked(embedded):
    questions = read(embedded, ["arithmetic"], count=20, keep=lambda item: "7" in item.question)
    assert all("7" in question.text for question in questions)
    assert read(embedded, ["arithmetic"], count=4, split="train") != read(embedded, ["arithmetic"], count=4)


@pytest.mark.parametrize("family", ["chatml", "llama3", "mistral", "gemma"])
@pytest.mark.parametrize("chat", ["auto", "false"])
def test_other_tokenizers_give_questions_too(make_tokenizer, family, chat):
    tokenizer = make_tokenizer(family)
    questions = read(tokenizer, ["world"], count=2, chat=chat)
    assert {question.category for question in questions} == set(CATEGORIES) - ({"stories"} if chat == "false" else set())
    bos = tokenizer.bos_token_id
    assert bos is None or all(q.input_ids[0] == bos and q.input_ids.count(bos) == 1 for q in questions)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"sources": []}, OptionError, "prompts: no source came; allowed are"),
    ({"sources": ["text"]}, OptionError, "prompts=text: free text has no answer that is known; allowed are world"),
    ({"sources": ["notes.txt"]}, OptionError, "prompts=notes.txt: free text has no answer that is known"),
    ({"sources": ["knowlege"], "also": ("held_out",)}, OptionError, "prompts=knowlege is unknown; near are knowledge"),
    ({"sources": ["world"], "count": 0}, OptionError, "count=0: allowed is 1 or more"),
    ({"sources": ["world"], "chat": "maybe"}, OptionError, "chat=maybe: allowed are auto, true, false"),
    ({"sources": ["world"], "longest": 9}, OptionError, r"prompt \w+ \d+ has \d+ tokens; allowed are 9"),
    ({"sources": ["stories"], "chat": "false"}, DataError,
     r"stories \(held_out, as sentences without a chat template\) has 0 questions .* another category or chat=auto"),
    ({"sources": ["arithmetic"], "keep": lambda item: "99" in item.entities and "10" in item.entities, "count": 999},
     DataError, r"arithmetic \(held_out\) has \d+ questions .*; 999 were asked for; (type count=\d|choose)"),
    ({"sources": ["nowhere.jsonl"]}, DataError, "prompts=nowhere.jsonl: there is no such file"),
], ids=lambda value: str(value)[:30])
def test_what_is_not_allowed_is_an_error(embedded, arguments, error, message):
    with pytest.raises(error, match=message):
        read(embedded, **arguments)


def test_a_slow_tokenizer_and_a_missing_template_are_refused(embedded, make_tokenizer):
    class Slow:
        chat_template = None
        is_fast = False

    with pytest.raises(DataError, match="Slow does not say how its tokens are spelled; choose a model with a fast"):
        read(Slow(), ["english"])
    with pytest.raises(OptionError, match="chat=true: this model's tokenizer has no chat template"):
        read(make_tokenizer("llama3", template=None), ["english"], chat="true")


def test_questions_load_neither_torch_nor_transformers():
    code = ("import sys, lab.data.questions, lab.data.disjoint\n"
            "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)))")
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
