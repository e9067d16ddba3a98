"""The kinds of values that a field can take: in words, read and checked, and parsed from a flag's text."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from striate import elsewhere
from striate.diagnostics import FormatError, LimitError, suggest
from striate.units import parse_bytes, parse_count

AUTO = "auto"
"""Text for None, a value that is derived from other settings, because TOML has no null."""

Meta = Mapping[str, Any]
"""Metadata of a field: kind, doc, group, words, and the bounds of its kind."""


class Unsuited(ValueError):
    """A value that a field does not take: what it takes, and which word may be meant."""

    def __init__(self, near: str = "") -> None:
        super().__init__()
        self.takes, self.near = "", near

    def __str__(self) -> str:
        return self.takes


class Kind(NamedTuple):
    """What values a field takes in words, how one is read (raises Unsuited), and how a flag's text becomes one."""

    takes: Callable[[Meta], str]
    read: Callable[[Any, Meta], Any]
    parse: Callable[[str, Meta], Any]


KINDS: dict[str, Kind] = {}

Reader = TypeVar("Reader", bound=Callable[[Any, Meta], Any])


def register(
    name: str, takes: Callable[[Meta], str], parse: Callable[[str, Meta], Any] = lambda text, meta: text
) -> Callable[[Reader], Reader]:
    """Add a kind: `takes` says in words what the decorated reader takes, `parse` turns a flag's text into a value."""

    def add(read: Reader) -> Reader:
        KINDS[name] = Kind(takes, read, parse)
        return read

    return add


def read(value: Any, meta: Meta) -> Any:
    """A value of Python, TOML or JSON as the field holds it. Raises Unsuited."""
    if meta.get("auto") and (value is None or value == AUTO):
        return None
    kind = KINDS[meta["kind"]]
    try:
        return kind.read(value, meta)
    except Unsuited as unsuited:
        unsuited.takes = unsuited.takes or takes(meta)
        raise


def parse(text: str, meta: Meta) -> Any:
    """A value from the text of a flag; several values are separated by commas. Raises Unsuited."""
    return read(KINDS[meta["kind"]].parse(text, meta), meta)


def takes(meta: Meta) -> str:
    """What a field takes, in words."""
    return KINDS[meta["kind"]].takes(meta) + (f', or "{AUTO}"' if meta.get("auto") else "")


def whole(value: Any, meta: Meta) -> int:
    """A whole number within the bounds of a field. Raises Unsuited, LimitError."""
    least, limit = meta["least"], meta.get("limit")
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise Unsuited
    if limit is not None and abs(value) > limit:
        raise LimitError(
            f"{value} is too large",
            why=f"the limit is {limit}",
            fix="use a smaller number",
        )
    return value


def bounded(noun: str, meta: Meta) -> str:
    """A noun and the bounds of a field: a number from 0 to 1, a whole number of 1 or more."""
    least, most = meta.get("least"), meta.get("most")
    above, below = meta.get("above"), meta.get("below")
    if above is not None:
        noun += f" above {above:g}" + ("" if most is None else f", {most:g} at most")
    elif least is not None:
        noun += f" of {least:g} or more" if most is None else f" from {least:g} to {most:g}"
    return noun + ("" if below is None else f" and less than {below:g}")


def _one_of(meta: Meta) -> str:
    return f"one of {', '.join(meta['options'])}"


def _parse_number(text: str, meta: Meta) -> Any:
    """The number that a text spells, or the text."""
    for number_type in (int, float):
        try:
            return number_type(text)
        except ValueError:
            continue
    return text


def _parse_list(text: str, meta: Meta) -> Any:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if meta["kind"] == "choices":
        return parts
    return text if text in meta["options"] else [_parse_number(part, meta) for part in parts]


@register("count", lambda meta: ", or ".join((bounded("a whole number", meta), *meta["also"])), _parse_number)
def _count(value: Any, meta: Meta) -> int | str:
    if isinstance(value, str) and meta["also"]:
        if value in meta["also"]:
            return value
        raise Unsuited(suggest(value, meta["also"]))
    return whole(value, meta)


@register("number", lambda meta: bounded("a number", meta), _parse_number)
def _number(value: Any, meta: Meta) -> float:
    least, most = meta.get("least"), meta.get("most")
    above, below = meta.get("above"), meta.get("below")
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or (least is not None and value < least)
        or (most is not None and value > most)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        raise Unsuited
    return float(value)


@register(
    "numbers", lambda meta: ", or ".join([bounded("a list of numbers", meta), *meta["options"]]), _parse_list
)
def _numbers(value: Any, meta: Meta) -> tuple[float, ...] | str:
    if isinstance(value, str):
        if value in meta["options"]:
            return value
        raise Unsuited(suggest(value, meta["options"]))
    if not isinstance(value, list | tuple):
        in_order = isinstance(value, Mapping) and [*value] == [*range(len(value))]
        raise Unsuited(str([*value.values()]) if in_order else "")
    return tuple(_number(item, meta) for item in value)


@register(
    "flag", lambda meta: "true or false", lambda text, meta: {"true": True, "false": False}.get(text.lower())
)
def _flag(value: Any, meta: Meta) -> bool:
    if not isinstance(value, bool):
        raise Unsuited
    return value


@register("choice", _one_of)
def _choice(value: Any, meta: Meta) -> str:
    if not isinstance(value, str):
        raise Unsuited
    if (
        value not in meta["options"]
        and (value := elsewhere.value(value, meta["options"])) not in meta["options"]
    ):
        raise Unsuited(suggest(value, meta["options"]))
    return value


@register("choices", lambda meta: f"a list of words from {', '.join(meta['options'])}", _parse_list)
def _choices(value: Any, meta: Meta) -> tuple[str, ...]:
    if isinstance(value, str):
        raise Unsuited(f'["{_choice(value, meta)}"]')
    if not isinstance(value, list | tuple):
        raise Unsuited
    return tuple(_choice(item, meta) for item in value)


@register("text", lambda meta: "a text")
def _text(value: Any, meta: Meta) -> str:
    if not isinstance(value, str):
        raise Unsuited
    return value


@register("path", lambda meta: "a path")
def _path(value: Any, meta: Meta) -> str:
    if not isinstance(value, str | os.PathLike):
        raise Unsuited
    return str(value)


@register("amount", lambda meta: "a number such as 5000000, 5M or 1.2G")
def _amount(value: Any, meta: Meta) -> int:
    try:
        return parse_count(value)
    except FormatError:
        raise Unsuited from None


@register(
    "memory",
    lambda meta: (
        "an amount of memory such as 2GB or 512MiB (KB, MB, GB count in thousands, KiB, MiB, GiB in 1024s)"
    ),
)
def _memory(value: Any, meta: Meta) -> int | str:
    try:
        if not meta["as_text"]:
            return parse_bytes(value)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and (not text or parse_bytes(text) > 0):
            return text
    except FormatError:
        pass
    raise Unsuited
