"""Labels of the micro-world are what its texts say, found again by reading the text that the model reads."""

import re
from collections import Counter

import numpy as np
import pytest

from lab.data.labels_attribute import KINDS, common_values
from lab.data.labels_tasks import build, check, needs_entropy, tasks
from lab.data.world.documents import render_prompt
from lab.data.world.knowledge import attributes
from lab.data.world.names import world_people
from lab.data.world.nested import DEEPEST
from lab.errors import DataError, OptionError
from lab.models.references import EMBEDDED
from lab.models.tokenizers import load_tokenizer

COUNT = 300
OF_THE_WORLD = [name for name in tasks() if not needs_entropy(name)]
NAME = re.compile(r"[BDFGJKLMNPRSTVWZ](?:al|em|ir|ov|ub|ax|ez|og)[dfhjklmnprstvwyz](?:an|ek|in|os|ut|ay|eth|uf)")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(EMBEDDED, 2048)


@pytest.fixture(scope="module")
def made(tokenizer):
    cache = {}
    return lambda name: cache.setdefault(name, build(name, tokenizer, count=COUNT))


def rows(task):
    """What each row reads: the text, the text up to and including the token, the class, and the row's number."""
    for n in range(len(task)):
        prompt = task.prompts[task.prompt[n]]
        yield prompt, int(task.position[n]), task.classes[task.label[n]], n


def read(tokenizer, prompt, position):
    return tokenizer.decode(prompt.input_ids[:position + 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["name", "last"])
def test_attributes_are_those_of_the_person_in_the_text(made, tokenizer, kind, place):
    task = made(f"attribute:{kind}@{place}")
    for prompt, position, label, _ in rows(task):
        person, = NAME.findall(prompt.text)
        assert attributes(person)[kind] == label
        if place == "name":
            assert read(tokenizer, prompt, position).endswith(person)
        else:
            assert position == len(prompt.input_ids) - 1 and prompt.text.endswith("assistant\n")


def test_attributes_are_the_most_frequent_ones():
    values = common_values("home")
    counts = Counter(attributes(name)["home"] for name in world_people())
    rarest = min(counts[value] for value in values)
    assert {value: len(people) for value, people in values.items()} == {value: counts[value] for value in values}
    assert all(counts[value] <= rarest for value in counts if value not in values)


def test_a_person_is_asked_about_in_several_phrasings_and_decides(made):
    task = made("attribute:food")
    assert task.type_decides and task.recurring == len(set(task.type)) and (task.type == task.group).all()
    assert np.bincount(task.type).tolist() == [3] * len(set(task.type))


def test_questions_are_written_as_the_model_is_asked(made):
    text = made("carry").prompts[0].text
    question = text.removeprefix("<|im_start|>user\n").partition("<|im_end|>")[0]
    assert text == render_prompt(question)


@pytest.mark.parametrize("place", ["last", "equals"])
def test_carries_are_those_of_the_units(made, tokenizer, place):
    task = made(f"carry@{place}")
    for prompt, position, label, n in rows(task):
        a, b = re.findall(r"\d\d", prompt.text)
        assert (int(a[1]) + int(b[1]) > 9) == (label == "carry")
        others = [m for m in np.flatnonzero(task.type == task.type[n]) if m != n]
        assert others and all(re.findall(r"\d(\d)", task.prompts[task.prompt[m]].text) == [a[1], b[1]] for m in others)
        if place == "equals":
            assert read(tokenizer, prompt, position).removesuffix("?").endswith(f"{a}+{b}=")
        else:
            assert position == len(prompt.input_ids) - 1


def test_carries_keep_tens_apart_and_meet_every_pair_of_units(made):
    task = made("carry")
    tens = [re.findall(r"(\d)\d", prompt.text) for prompt in task.prompts]
    assert len(set(task.type)) == 100 and task.type_decides and task.majority == 0.55
    assert len({(*pair, context) for pair, context in zip(tens, task.context, strict=True)}) == len(set(task.context))


@pytest.mark.parametrize("place", ["last", "name", "first"])
def test_entities_are_whom_the_sentence_is_about(made, tokenizer, place):
    task = made(f"entity@{place}")
    assert task.type_decides and np.bincount(task.label).min() == np.bincount(task.label).max()
    for prompt, position, label, n in rows(task):
        person, = NAME.findall(prompt.text)
        assert person.startswith(label) and person not in world_people()
        upto = {"last": prompt.text, "name": prompt.text.partition(person)[0] + person,
                "first": prompt.text.partition(person)[0] + label}[place]
        assert read(tokenizer, prompt, position) == upto
        assert {task.label[m] for m in np.flatnonzero(task.type == task.type[n])} == {task.label[n]}


def above(premises, first, second):
    """Whether premises say that the first is above the second, by following them from one person to the next."""
    upward = re.findall(r"(\w+) is (?:taller|older|faster|richer) than (\w+)\.", premises)
    upward += [(b, a) for a, b in re.findall(r"(\w+) is (?:shorter|younger|slower|poorer) than (\w+)\.", premises)]
    reached, todo = set(), [first]
    while todo:
        at = todo.pop()
        reached.add(at)
        todo += [low for high, low in upward if high == at and low not in reached]
    return second in reached


@pytest.mark.parametrize("place", ["last", "mark"])
def test_orders_are_those_that_premises_tell(made, tokenizer, place):
    task = made(f"order@{place}")
    for prompt, position, label, _ in rows(task):
        premises, first, second = re.search(r"user\n(.*) Is (\w+) \w+ than (\w+)\?", prompt.text).groups()
        assert above(premises, first, second) == (label == "above")
        assert above(premises, second, first) == (label == "below")
        assert position == len(prompt.input_ids) - 1 if place == "last" else \
            read(tokenizer, prompt, position).endswith(f"{second}?")


def test_a_pair_is_above_as_often_as_below_and_on_each_scale_once(made):
    task = made("order")
    for kind in set(task.type):
        of_pair = task.type == kind
        assert task.label[of_pair].sum() == 2 and len(set(task.context[of_pair])) == 4
    for scale in set(task.context):  # else the adjective would give the answer
        above = task.label[task.context == scale].mean()
        assert 0.3 < above < 0.7
    assert not task.type_decides and {len(re.findall(" than ", prompt.text)) for prompt in task.prompts} == {2, 3}


def test_depths_are_brackets_opened_less_brackets_closed(made, tokenizer):
    task = made("bracket_depth")
    for prompt, position, label, _ in rows(task):
        before = tokenizer.decode(prompt.input_ids[:position])
        assert sum(map(before.count, "([{")) - sum(map(before.count, ")]}")) == int(label)
        assert set(prompt.tokens[position]) <= set("0123456789,")
    assert np.bincount(task.label).tolist() == [COUNT // 5] * 5


def test_depths_come_at_the_same_positions(tokenizer):
    task = build("bracket_depth", tokenizer, count=2000)
    means = np.array([task.position[task.label == depth].mean() for depth in range(DEEPEST + 1)])
    spread = task.position.std() / (len(task) / 5) ** 0.5  # standard error of one of these means
    assert np.ptp(means) < 5 * spread
    for form in set(task.template):
        assert np.bincount(task.label[task.template == form]).max() < 2 * (task.template == form).mean() * 400


@pytest.mark.parametrize("name", OF_THE_WORLD)
def test_the_same_arguments_give_the_same_task(tokenizer, name):
    first, again, other = (build(name, tokenizer, count=200, seed=seed) for seed in (0, 0, 1))
    assert [prompt.input_ids for prompt in first.prompts] == [prompt.input_ids for prompt in again.prompts]
    for column in ("prompt", "position", "label", "type", "group", "context", "template"):
        assert (getattr(first, column) == getattr(again, column)).all()
    assert [prompt.input_ids for prompt in first.prompts] != [prompt.input_ids for prompt in other.prompts]


@pytest.mark.parametrize("name", OF_THE_WORLD)
def test_groups_hold_contexts_or_types_whole_and_types_recur(made, name):
    task = made(name)
    recurring = [kind for kind in set(task.type) if len(set(task.context[task.type == kind])) > 1]
    assert task.recurring == len(recurring) > 20
    # permuting labels between groups is fair only where a group is no smaller than what decides the label
    assert not task.type_decides or all(len(set(task.group[task.type == kind])) == 1 for kind in set(task.type))


@pytest.mark.parametrize("family", ["chatml", "llama3", "mistral", "gemma"])
def test_other_tokenizers_read_the_same_words(make_tokenizer, family):
    other = make_tokenizer(family)
    for prompt, position, label, _ in rows(build("entity@name", other, count=100)):
        person, = NAME.findall(prompt.text)
        assert person.startswith(label)
        assert other.decode(prompt.input_ids[:position + 1]).rstrip().endswith(person)  # some merge the space behind


def test_a_base_model_without_a_template_reads_bare_questions(make_tokenizer):
    task = build("carry", make_tokenizer("llama3", template=None), count=200)
    assert re.fullmatch(r"\D*\d\d\D+\d\d\D*", task.prompts[0].text) and task.prompts[0].tokens[0] == "<|begin_of_text|>"


def test_names_and_places_are_described():
    assert tasks()["carry"] == "whether the units of a sum carry, at @last or @equals"
    assert check("carry") == ("carry", "last") and check("carry@equals") == ("carry", "equals")


def test_an_unknown_task_names_near_ones(tokenizer):
    with pytest.raises(OptionError, match="task cary is unknown, did you mean carry[?] allowed are attribute:home, "):
        build("cary", tokenizer)
    with pytest.raises(OptionError, match="task zzz is unknown; allowed are"):
        build("zzz", tokenizer)


@pytest.mark.parametrize("name", ["carry@end", "carry@"])
def test_an_unknown_place(tokenizer, name):
    with pytest.raises(OptionError, match=f"task {name}: it is read at last or equals; type carry@last"):
        build(name, tokenizer)


def test_too_few_rows(tokenizer):
    with pytest.raises(OptionError, match="count=99: allowed is 100 or more; type count=1000"):
        build("carry", tokenizer, count=99)


def test_a_tokenizer_without_digits_of_their_own_has_no_depths(make_tokenizer, monkeypatch):
    monkeypatch.setattr("lab.data.labels_brackets.READ", frozenset("~"))
    with pytest.raises(DataError, match="bracket_depth: in 1000 programs this tokenizer leaves too few digits"):
        build("bracket_depth", make_tokenizer("llama3"), count=100)
