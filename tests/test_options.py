"""Options: text, JSON and Python forms agree; every bad parameter is named with what is allowed."""

import dataclasses
import json
import random
from dataclasses import dataclass

import pytest

from lab import options
from lab.errors import OptionError
from lab.options import HelpRequested, option


@dataclass(frozen=True)
class Config:
    r: tuple[int, ...] = option((8,), "rank, or several", minimum=1)
    lr: float = option(2e-4, "learning rate", above=0)
    share: float = option(0.05, "share of steps", minimum=0, maximum=1)
    alpha: float | None = option(None, "scale", above=0)
    method: str = option("lora", "how to train", choices=("lora", "qlora", "full"))
    prompts: tuple[str, ...] | None = option(None, "prompts")
    rates: tuple[float, ...] = option((1e-3, 0.1), "rates", above=0)
    text: str = option("", "any text")
    note: str | None = option(None, "a note")
    steps: int = option(100, "steps")
    capacity: bool = option(False, "check")


@dataclass(frozen=True)
class Needy:
    run_id: str | None = option(None, "the run", required=True)


def as_argv(config: Config) -> list[str]:
    return [f"--{name}={text}" for name, text in options.as_strings(config).items()]


def random_config(rng: random.Random) -> Config:
    def number() -> float:
        power, whole = 10.0 ** rng.randint(-300, 300), float(rng.randint(1, 10**7))
        return rng.choice([rng.uniform(1e-9, 1e9), power, whole, 5e-324])

    def text() -> str:
        return "".join(rng.choice("ab =-\"'\\\n$%;é漢,") for _ in range(rng.randint(0, 12)))

    def word() -> str:
        return rng.choice(["a b", "x=1", "--y", "é", "true", "8", "'q'"])

    return Config(
        r=tuple(rng.randint(1, 10**12) for _ in range(rng.randint(1, 4))),
        lr=number(),
        share=rng.random(),
        alpha=rng.choice([None, number()]),
        method=rng.choice(["lora", "qlora", "full"]),
        prompts=rng.choice([None, tuple(word() for _ in range(rng.randint(1, 3)))]),
        rates=tuple(number() for _ in range(rng.randint(1, 3))),
        text=text(),
        note=rng.choice([None, text()]),
        steps=rng.randint(-(10**6), 10**6),
        capacity=rng.random() < 0.5,
    )


def test_text_and_json_give_every_config_back() -> None:
    rng = random.Random(0)
    for _ in range(300):
        config = random_config(rng)
        options.validate(config)
        assert options.parse(Config, as_argv(config)) == config
        assert options.from_json(Config, json.loads(json.dumps(options.as_json(config)))) == config


def test_both_spellings_of_an_argument_and_the_default() -> None:
    assert options.parse(Config, ["--r=1,4,16", "--lr", "1e-4", "--steps", "-3"]) == Config((1, 4, 16), 1e-4, steps=-3)
    assert options.parse(Config, []) == Config()
    assert options.parse(Config, ["--r", " 1, 4 "]).r == (1, 4)
    assert options.parse(Config, ["--alpha=None", "--capacity=True", "--text= a "]) == Config(text=" a ", capacity=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2e-4, "2e-4"), (1.5e-7, "1.5e-7"), (0.05, "0.05"), (100.0, "100"), (0.1 + 0.2, "0.30000000000000004"),
     (None, "none"), (True, "true"), ((1, 4), "1,4"), ([2e-4, 1.0], "2e-4,1"), (-0.0, "-0.0"), (1e22, "1e+22")],
)  # fmt: skip
def test_values_are_written_as_people_type_them(value: object, text: str) -> None:
    assert options.text_of(value) == text


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--r=0", "r=0: allowed: an integer at least 1, or several separated by commas"),
        ("--r=abc", "r=abc: allowed: an integer at least 1"),
        ("--r=8,", "r=8,: an element is empty; allowed: an integer at least 1"),
        ("--r=", "r=: an element is empty"),
        ("--r=1.5", "r=1.5: allowed: an integer"),
        ("--r=1_0", "r=1_0: allowed: an integer"),
        ("--r=none", "r=none: allowed: an integer"),
        ("--r=4,0", "r=4,0: allowed: an integer at least 1"),
        (f"--steps={'9' * 5000}", "allowed: an integer"),
        ("--lr=-1", "lr=-1: allowed: a number above 0"),
        ("--lr=0", "lr=0: allowed: a number above 0"),
        ("--lr=nan", "lr=nan: allowed: a number above 0"),
        ("--lr=inf", "lr=inf: allowed: a number above 0"),
        ("--lr=1e999", "lr=1e999: allowed: a number above 0"),
        ("--share=1.1", "share=1.1: allowed: a number at least 0 and at most 1"),
        ("--method=lor", "method=lor: allowed: one of lora, qlora, full; did you mean lora?"),
        ("--capacity=yes", "capacity=yes: allowed: true or false"),
        ("--capacity", "capacity: has no value; write --capacity=value, allowed: true or false"),
        ("--rank=8", "rank: no such parameter; allowed: r, lr,"),
        ("--rates_=1", "rates_: no such parameter; did you mean rates"),
        ("--ste=3", "ste: no such parameter; did you mean steps"),
        ("r=8", "r=8: write parameters as --name=value"),
        ("--", "--: write parameters as --name=value"),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(argument: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options.parse(Config, [argument])
    assert message in str(caught.value)


def test_every_bad_argument_is_in_one_message() -> None:
    with pytest.raises(OptionError, match="6 parameters cannot be used") as caught:
        options.parse(Config, ["--r=0", "--lr=-1", "--lr=2", "--methd=lora", "--steps", "--share=2"])
    bad = ["r=0:", "lr=-1:", "lr=2: given twice, first as -1", "methd: no such", "steps: has no value", "share=2:"]
    assert [part for part in bad if part not in str(caught.value)] == []


def test_a_required_option_is_reported_whether_left_out_or_none() -> None:
    for argv in ([], ["--run_id=none"]):
        with pytest.raises(OptionError, match="run_id=none: has to be given; allowed: text"):
            options.parse(Needy, argv)
    assert options.parse(Needy, ["--run_id=abcd"]).run_id == "abcd"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r": (0,)}, "r=0: allowed: an integer at least 1"),
        ({"r": ()}, "a tuple that is not empty"),
        ({"r": 8}, "a tuple that is not empty"),
        ({"r": (True,)}, "allowed: an integer"),
        ({"steps": 1.0}, "steps=1: allowed: an integer"),
        ({"steps": None}, "steps=none: allowed: an integer"),
        ({"lr": float("nan")}, "lr=nan: allowed: a number above 0"),
        ({"lr": "1"}, "lr=1: allowed: a number above 0"),
        ({"note": "None"}, "note=None: allowed: text, or none"),
        ({"prompts": ("a,b",)}, "prompts=a,b: allowed: text"),
        ({"prompts": (" a",)}, "prompts= a: allowed: text"),
    ],
)
def test_a_config_made_in_python_meets_the_same_checks(change: dict, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options.validate(dataclasses.replace(Config(), **change))
    assert message in str(caught.value)


def test_a_whole_number_is_a_number() -> None:
    config = Config(lr=1)
    options.validate(config)
    assert options.from_json(Config, options.as_json(config)).lr == 1.0


def test_a_record_with_other_names_is_refused() -> None:
    values = options.as_json(Config())
    with pytest.raises(OptionError, match="rank: no such parameter"):
        options.from_json(Config, {**values, "rank": 8})
    values.pop("lr")
    with pytest.raises(OptionError, match="lr: missing from this record"):
        options.from_json(Config, values)
    with pytest.raises(OptionError, match="lr=-1: allowed: a number above 0"):
        options.from_json(Config, {**values, "lr": -1})


def test_description_shows_text_defaults_and_bounds() -> None:
    described = {info.name: info for info in options.describe(Config)}
    assert list(described) == [field.name for field in dataclasses.fields(Config)]
    assert described["lr"] == options.OptionInfo("lr", "2e-4", "float", "a number above 0", "learning rate")
    assert described["r"].kind == "int,…"
    assert described["alpha"].allowed == "a number above 0, or none"


def test_help_lists_every_option() -> None:
    with pytest.raises(HelpRequested, match=r"(?s)--r=8.*--lr=2e-4.*--capacity=false"):
        options.parse(Config, ["--r=0", "--help"])
