"""Declared fields: what each kind takes, what a slip is told, and that declarations keep their own rules."""

import dataclasses
import tomllib

import pytest

from striate.checks import Config as CheckConfig
from striate.diagnostics import LimitError, UnknownNameError, UsageError
from striate.fields import (
    AUTO,
    Declared,
    Unsuited,
    amount,
    choice,
    choices,
    count,
    flag,
    memory,
    number,
    numbers,
    options,
    parse,
    path,
    read,
    shown,
    takes,
    text,
    toml,
)
from striate.op import registry
from striate.train.config import Job
from striate.train.settings import Settings

DECLARED = [*dict.fromkeys(registry().values()), Settings, Job, CheckConfig]

# field, what it takes, values that it takes with what it holds, values that it refuses
KINDS = {
    "count": (count(1), "a whole number of 1 or more", [(3, 3)], [0, -1, 1.0, True, "3", None]),
    "count of any sign": (count(0, least=None), "a whole number", [(-3, -3)], [0.5, False]),
    "count or a word": (count(1, also=("all",)), "a whole number of 1 or more, or all", [("all", "all")], ["al"]),
    "number": (number(0.0), "a number", [(-1, -1.0), (0.5, 0.5)], [float("nan"), float("inf"), "1", True]),
    "number from": (number(0.0, least=0), "a number of 0 or more", [(0, 0.0)], [-1e-9]),
    "number from, to": (number(0.0, least=0, most=1), "a number from 0 to 1", [(0, 0.0), (1, 1.0)], [-0.1, 1.1]),
    "number above": (number(1.0, above=0), "a number above 0", [(1e-9, 1e-9)], [0]),
    "number above, to": (number(1.0, above=0, most=1), "a number above 0, 1 at most", [(1, 1.0)], [0, 2]),
    "number below": (number(0.0, least=0, below=1), "a number of 0 or more and less than 1", [(0, 0.0)], [1]),
    "number or auto": (number(None, auto=True), 'a number, or "auto"', [(None, None), (AUTO, None)], ["autos"]),
    "numbers": (numbers((), "", also=("balanced",)), "a list of numbers of 0 or more, or balanced",
                [([1, 2], (1.0, 2.0)), ("balanced", "balanced")], [1, [-1], "balance", ["a"]]),
    "flag": (flag(True), "true or false", [(True, True)], [1, "true", None]),
    "choice": (choice("a", ("a", "b")), "one of a, b", [("b", "b")], ["c", 1, None]),
    "choices": (choices((), ("a", "b"), ""), "a list of words from a, b", [(["b"], ("b",))], ["a", ["c"], [1]]),
    "text": (text(""), "a text", [("x", "x")], [1, None]),
    "path": (path(None, ""), "a path", [("x", "x")], [1, b"x"]),
    "amount": (amount(None, ""), "a number such as 5000000, 5M or 1.2G", [("5M", 5_000_000)], ["5MiB", -1]),
    "memory": (memory(None, ""), "an amount of memory such as 2GB or 512MiB (KB, MB, GB count in thousands, "
               "KiB, MiB, GiB in 1024s)", [("1KiB", 1024), (5, 5)], ["5M", 1.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_a_kind_takes_and_refuses(name):
    field, words, good, bad = KINDS[name]
    assert takes(field.metadata) == words
    for value, held in good:
        again = read(value, field.metadata)
        assert again == held and type(again) is type(held)
        assert read(again, field.metadata) == held
    for value in bad:
        with pytest.raises(Unsuited) as refusal:
            read(value, field.metadata)
        assert str(refusal.value) == words


@pytest.mark.parametrize(
    ("field", "written", "held"),
    [
        (count(1), "3", 3),
        (number(0.0), "3", 3.0),
        (number(None, auto=True), "auto", None),
        (numbers((), ""), "1, 2,", (1.0, 2.0)),
        (numbers((), "", also=("balanced",)), "balanced", "balanced"),
        (flag(False), "True", True),
        (choices((), ("a", "b"), ""), "a,b", ("a", "b")),
        (text(""), "3", "3"),
        (amount(None, ""), "2.5", 2),
    ],
)
def test_texts_of_flags(field, written, held):
    assert parse(written, field.metadata) == held


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [
        (choice("relu", ("relu", "gelu")), "rellu", "relu"),
        (choices((), ("relu", "gelu"), ""), ["rellu"], "relu"),
        (count(1, also=("depthwise",)), "deptwise", "depthwise"),
        (numbers((), "", also=("balanced",)), "balance", "balanced"),
        (choice("relu", ("relu", "gelu")), 3, ""),
    ],
)
def test_the_nearest_word(field, value, near):
    with pytest.raises(Unsuited) as refusal:
        read(value, field.metadata)
    assert refusal.value.near == near


def test_a_number_beyond_any_size():
    with pytest.raises(LimitError):
        read(10**13, count(1, limit=10**12).metadata)
    assert read(10**13, count(1).metadata) == 10**13


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: cls.__name__)
def test_defaults_keep_the_rules_of_their_fields(cls):
    for field, option in zip(dataclasses.fields(cls), options(cls), strict=True):
        assert option.doc and option.takes, option.name
        if option.default not in (None, dataclasses.MISSING):
            assert read(option.default, field.metadata) == option.default, option.name


@dataclasses.dataclass(frozen=True)
class Small(Declared):
    SEPARATOR = "-"
    ELSEWHERE = {"how_many": "batch_size"}  # noqa: RUF012 (as settings declare it)

    batch_size: int = count(4, "images at once", "size")
    rate: float | None = number(None, "how fast", "speed", above=0, auto=True)
    limit: int | None = amount(None, "how many at most", "speed")


def test_values_are_checked_when_they_are_given():
    assert Small(batch_size=8).batch_size == 8
    with pytest.raises(
        UsageError, match=r"batch-size must be a whole number of 1 or more \(got 0\)"
    ) as error:
        Small(batch_size=0)
    assert "images at once" in error.value.why
    with pytest.raises(UsageError, match="batch-size must be"):
        Small(batch_size=True)


def test_names_are_understood_with_either_mark():
    for name in ("batch-size", "batch_size"):
        assert Small().with_values({name: 8}).batch_size == 8
    assert Small().with_values({"batch-size": "8"}, texts=True).batch_size == 8
    with pytest.raises(UsageError, match="batch-size must be"):
        Small().with_values({"batch-size": "8"})


@pytest.mark.parametrize(
    ("name", "near"), [("batch_siz", "batch-size"), ("how-many", "batch-size"), ("x", "")]
)
def test_unknown_names(name, near):
    with pytest.raises(UnknownNameError, match=f"no such setting: {name}") as error:
        Small().with_values({name: 1}, "file.toml")
    assert error.value.where == "file.toml"
    assert error.value.fix == (f"did you mean {near}?" if near else f"remove {name}")


def test_toml_is_read_back():
    for small in (Small(), Small(8, 0.5, 100)):
        assert Small().with_values(tomllib.loads(small.toml())) == small
    assert "# images at once" in Small().toml() and "# speed" in Small().toml()


@pytest.mark.parametrize("value", [True, -1, 2.5, 'a"b\\c\x7f\n', [1, "x", [False]], {"a.b": ["c"], "d": 1}])
def test_every_value_of_toml(value):
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


def test_options_are_what_flags_and_pages_need():
    size, rate, limit = options(Small)
    assert (size.flag, size.kind, size.shown, size.group) == ("--batch-size", "count", "4", "size")
    assert (rate.shown, limit.shown) == ("auto", "none")
    assert rate.takes == 'a number above 0, or "auto"'


def test_long_values_are_cut():
    assert shown("x" * 100) == f"'{'x' * 36}…"
