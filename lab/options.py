"""A study's options: a frozen dataclass that is read from the command line, checked, and written down as text or JSON.

Every field of such a class is made by `option`:

    @dataclass(frozen=True)
    class Config:
        r: tuple[int, ...] = option((8,), "rank of the adapter, or several", minimum=1)
        lr: float = option(2e-4, "learning rate", above=0)
        alpha: float | None = option(None, "scale of the update; none: 2 x r", above=0)

    parse(Config, ["--r=1,4,16", "--lr", "1e-4"])  # Config(r=(1, 4, 16), lr=0.0001, alpha=None)
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from lab.errors import OptionError

ConfigType = TypeVar("ConfigType")
NONE = "none"
_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class HelpRequested(Exception):
    """The command line asks for help; the message is the help."""


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """One option as tables and the MLproject file show it; `default` is its text form."""

    name: str
    default: str
    kind: str
    allowed: str
    help: str


def option(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Any] | None = None,
    required: bool = False,
) -> Any:
    """A dataclass field with its help and its bounds; bounds hold for each element of a tuple.

    Args:
        above: Values must be greater than this.
        minimum: Values must be at least this.
        maximum: Values must be at most this.
        choices: The only values allowed.
        required: `none`, then also the default, is refused: the caller has to say a value.
    """
    bounds = {"above": above, "minimum": minimum, "maximum": maximum, "choices": choices, "required": required}
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


def parse(config_type: type[ConfigType], argv: Sequence[str]) -> ConfigType:
    """The config that a command line asks for.

    Args:
        argv: `--name=value` or `--name`, `value`; names in full.

    Raises:
        OptionError: Names every bad parameter at once, with its value and what is allowed.
        HelpRequested: `--help` is among the arguments.
    """
    if "--help" in argv or "-h" in argv:
        raise HelpRequested(_help(config_type))
    forms = _forms(config_type)
    given, problems = _split(argv, forms)
    values = {}
    for name, text in given.items():
        try:
            values[name] = forms[name].read(text)
        except _Refused as refused:
            problems.append(f"{name}={text}: {refused}")
    config = config_type(**values)
    for name, value, complaint in _check(config):
        if name in values or name not in given:
            problems.append(f"{name}={given.get(name, value)}: {complaint}")
    _report(problems)
    return config


def validate(config: Any) -> None:
    """Checks a config made in Python just as `parse` checks a command line.

    Raises:
        OptionError: Names every bad parameter at once.
    """
    _report([f"{name}={value}: {complaint}" for name, value, complaint in _check(config)])


def as_strings(config: Any) -> dict[str, str]:
    """Each option as the text that `parse` reads back to the same value."""
    return {name: text_of(getattr(config, name)) for name in _forms(type(config))}


def as_json(config: Any) -> dict[str, Any]:
    """Each option as a JSON value: tuples become lists, none becomes null."""
    values = {name: getattr(config, name) for name in _forms(type(config))}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def from_json(config_type: type[ConfigType], values: Mapping[str, Any]) -> ConfigType:
    """The config that `as_json` wrote.

    Raises:
        OptionError: A name is unknown or missing, or a value is not allowed.
    """
    forms = _forms(config_type)
    problems = [_unknown(name, forms) for name in values if name not in forms]
    problems += [f"{name}: missing from this record" for name in forms if name not in values]
    _report(problems)
    config = config_type(**{name: forms[name].from_json(value) for name, value in values.items()})
    validate(config)
    return config


def describe(config_type: type) -> list[OptionInfo]:
    """Every option in its order, as the MLproject file and the README's tables show it."""
    return [
        OptionInfo(name, text_of(form.default), form.kind, form.allowed, form.help)
        for name, form in _forms(config_type).items()
    ]


class _Refused(Exception):
    """A value is not allowed; the message says what is."""


@dataclasses.dataclass(frozen=True)
class _Form:
    """What one option accepts: `base` type, whether several, whether none, and the bounds."""

    base: type
    several: bool
    optional: bool
    default: Any
    help: str
    above: float | None
    minimum: float | None
    maximum: float | None
    choices: Sequence[Any] | None
    required: bool

    @property
    def kind(self) -> str:
        name = f"{self.base.__name__}{',…' if self.several else ''}"
        return f"{name} or {NONE}" if self.optional and not self.required else name

    @property
    def allowed(self) -> str:
        if self.choices is not None:
            one = "one of " + ", ".join(text_of(choice) for choice in self.choices)
        else:
            limits = [("above", self.above), ("at least", self.minimum), ("at most", self.maximum)]
            said = [f"{word} {text_of(limit)}" for word, limit in limits if limit is not None]
            one = _KINDS[self.base] + (" " + " and ".join(said) if said else "")
        several = ", or several separated by commas" if self.several else ""
        return one + several + (f", or {NONE}" if self.optional and not self.required else "")

    def read(self, text: str) -> Any:
        if self.optional and text.strip().lower() == NONE:
            return None
        if not self.several:
            return self._read_one(text)
        return tuple(self._read_one(part.strip()) for part in text.split(","))

    def _read_one(self, text: str) -> Any:
        if self.several and not text:
            raise _Refused(f"an element is empty; allowed: {self.allowed}")
        if self.base is str:
            return text
        text = text.strip()
        if self.base is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        pattern = {int: _INTEGER, float: _NUMBER}.get(self.base)
        # Python itself refuses integers of more than 4,300 digits.
        if pattern is None or not pattern.fullmatch(text) or len(text) > 400:
            raise _Refused(f"allowed: {self.allowed}")
        return self.base(text)

    def from_json(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(self._number(element) for element in value)
        return self._number(value)

    def _number(self, value: Any) -> Any:
        return float(value) if self.base is float and type(value) is int else value

    def complaint(self, value: Any) -> str | None:
        """What is wrong with a value, or None."""
        if value is None:
            if self.required:
                return f"has to be given; allowed: {self.allowed}"
            return None if self.optional else f"allowed: {self.allowed}"
        if self.several and not (isinstance(value, tuple) and value):
            return f"allowed: a tuple that is not empty; each element {self.allowed}"
        for element in value if self.several else (value,):
            if not self._fits(element):
                return f"allowed: {self.allowed}" + self._near(element)
        return None

    def _fits(self, value: Any) -> bool:
        if type(value) is not self.base and not (self.base is float and type(value) is int):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, str) and not self._survives_as_text(value):
            return False
        if self.choices is not None and value not in self.choices:
            return False
        return self._within(value)

    def _within(self, value: Any) -> bool:
        if self.above is not None and value <= self.above:
            return False
        if self.minimum is not None and value < self.minimum:
            return False
        return self.maximum is None or value <= self.maximum

    def _survives_as_text(self, value: str) -> bool:
        if self.several:
            return bool(value) and "," not in value and value == value.strip() and value.lower() != NONE
        return not (self.optional and value.strip().lower() == NONE)

    def _near(self, value: Any) -> str:
        if self.choices is None or not isinstance(value, str):
            return ""
        near = difflib.get_close_matches(value, [choice for choice in self.choices if isinstance(choice, str)], n=1)
        return f"; did you mean {near[0]}?" if near else ""


def _forms(config_type: type) -> dict[str, _Form]:
    hints = typing.get_type_hints(config_type)
    fields = dataclasses.fields(config_type)  # type: ignore[arg-type]
    return {field.name: _form(field, hints[field.name]) for field in fields}


def _form(field: dataclasses.Field, hint: Any) -> _Form:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    (inner,) = (member for member in members if member is not types.NoneType)
    several = typing.get_origin(inner) is tuple
    base = typing.get_args(inner)[0] if several else inner
    assert base in _KINDS, f"{field.name}: {hint} is not a type an option can have"
    return _Form(base, several, types.NoneType in members, field.default, **field.metadata)


def _check(config: Any) -> list[tuple[str, str, str]]:
    """Name, value as text, and complaint of each option that is not allowed."""
    found = []
    for name, form in _forms(type(config)).items():
        value = getattr(config, name)
        complaint = form.complaint(value)
        if complaint:
            found.append((name, text_of(value), complaint))
    return found


def _split(argv: Sequence[str], forms: Mapping[str, _Form]) -> tuple[dict[str, str], list[str]]:
    """Names with their texts, and what is wrong with the names."""
    given: dict[str, str] = {}
    problems = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            problems.append(f"{word}: write parameters as --name=value")
            continue
        if not equals and rest and not rest[0].startswith("--"):
            equals, text = "=", rest.pop(0)
        if name not in forms:
            problems.append(_unknown(name, forms))
        elif name in given:
            problems.append(f"{name}={text}: given twice, first as {given[name]}; allowed: once")
        elif not equals:
            problems.append(f"{name}: has no value; write --{name}=value, allowed: {forms[name].allowed}")
        else:
            given[name] = text
    return given, problems


def _unknown(name: str, forms: Mapping[str, _Form]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), forms, n=3)
    near += [known for known in forms if known not in near and name and known.startswith(name)]
    hint = f"did you mean {' or '.join(near)}?" if near else "allowed: " + (", ".join(forms) or "nothing")
    return f"{name}: no such parameter; {hint}"


def _report(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise OptionError(problems[0])
    if problems:
        raise OptionError("\n  ".join([f"{len(problems)} parameters cannot be used:", *problems]))


def text_of(value: Any) -> str:
    """A value of an option as it is typed: `none`, `true`, `2e-4`, `1,4,16`."""
    if value is None:
        return NONE
    if isinstance(value, tuple | list):
        return ",".join(text_of(element) for element in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    """The shortest text that reads back to the same number, as people write it: 2e-4, 0.05, 100."""
    if value.is_integer() and 0 < abs(value) < 1e6:
        return str(int(value))
    if 0 < abs(value) < 1e-3:
        return format(Decimal(repr(value)), "e")
    return repr(value)


def _help(config_type: type) -> str:
    lines = []
    for info in describe(config_type):
        lines += [f"  --{info.name}={info.default}", f"      {info.help} ({info.allowed})"]
    return "\n".join(["Parameters, each with its default:", *lines])
