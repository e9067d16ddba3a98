"""Kinds of settings: what value each takes, how it is read from TOML, Python or a flag's text, and how it is written.

One declared field gives the TOML key, the flag, the check and the documentation (`settings.py` declares them).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from striate.diagnostics import FormatError, suggest

AUTO = "auto"
"""What stands for None where a value follows from other settings: TOML has no null."""


class Unsuited(ValueError):
    """A value that a field does not take; the text says what it takes, `near` which word may be meant."""

    def __init__(self, takes: str, near: str = "") -> None:
        super().__init__(takes)
        self.near = near


def _field(kind: str, default: Any, doc: str, group: str, **more: Any) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc, "group": group, **more})


def whole(default: int, doc: str, group: str, *, least: int = 0) -> Any:
    """A whole number of `least` or more."""
    return _field("whole", default, doc, group, least=least)


def number(
    default: float | None,
    doc: str,
    group: str,
    *,
    least: float = 0.0,
    most: float = math.inf,
    below: float = math.inf,
    above: float = -math.inf,
) -> Any:
    """A finite number from `least` to `most`, less than `below`, more than `above`; with default None also auto."""
    bounds = {"least": least, "most": most, "below": below, "above": above}
    return _field("number", default, doc, group, optional=default is None, **bounds)


def flag(default: bool, doc: str, group: str) -> Any:
    """True or false."""
    return _field("flag", default, doc, group)


def choice(default: str, options: tuple[str, ...], doc: str, group: str) -> Any:
    """One word of several."""
    return _field("choice", default, doc, group, options=options)


def words(default: tuple[str, ...], options: tuple[str, ...], doc: str, group: str) -> Any:
    """Any number of words of several."""
    return _field("words", default, doc, group, options=options)


def numbers(default: tuple[float, ...], doc: str, group: str, *, also: tuple[str, ...] = ()) -> Any:
    """Any number of positive numbers, or a word of `also` in their place."""
    return _field("numbers", default, doc, group, options=also, least=0.0)


def text(default: str, doc: str, group: str) -> Any:
    """Any text."""
    return _field("text", default, doc, group)


def memory(default: str, doc: str, group: str) -> Any:
    """An amount of memory, such as 2GB or 512MiB; an empty text: any."""
    return _field("memory", default, doc, group)


def amount(text: str) -> int:
    """Bytes of what such a field holds; 0: any."""
    from striate.checks.config import bytes_

    return bytes_(text) if text else 0


def read(value: Any, meta: Mapping[str, Any]) -> Any:
    """A value from TOML, JSON or Python as the field holds it. Raises Unsuited."""
    if meta.get("optional") and (value is None or value == AUTO):
        return None
    match meta["kind"]:
        case "whole":
            return _whole(value, meta["least"])
        case "number":
            return _number(value, meta)
        case "flag":
            if not isinstance(value, bool):
                raise Unsuited("true or false")
            return value
        case "text":
            if not isinstance(value, str):
                raise Unsuited("a text")
            return value
        case "memory":
            return _memory(value)
        case "choice":
            return _choice(value, meta["options"])
        case "words":
            return tuple(_choice(item, meta["options"]) for item in _items(value, meta))
    if isinstance(value, str) and value in meta["options"]:
        return value
    return tuple(_number(item, meta) for item in _items(value, meta))


def read_text(text: str, meta: Mapping[str, Any]) -> Any:
    """A value from the text of a flag; several values are separated by commas. Raises Unsuited."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if meta["kind"] == "words":
        return read(parts, meta)
    if meta["kind"] == "numbers" and text not in meta["options"]:
        return read([_plain(part) for part in parts], meta)
    if meta["kind"] == "flag":
        return read({"true": True, "false": False}.get(text.lower(), text), meta)
    return read(_plain(text) if meta["kind"] in ("whole", "number") else text, meta)


def written(value: Any) -> str:
    """A value as TOML."""
    match value:
        case None:
            return f'"{AUTO}"'
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(map(written, value))}]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def expected(meta: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    try:
        read(object(), meta)
    except Unsuited as unsuited:
        return str(unsuited)
    raise AssertionError(meta)  # no field takes an object


def _whole(value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Unsuited(f"a whole number of {least} or more")
    return value


def _number(value: Any, meta: Mapping[str, Any]) -> float:
    least, most = meta["least"], meta.get("most", math.inf)
    below, above = meta.get("below", math.inf), meta.get("above", -math.inf)
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or not (least <= value <= most and above < value < below):
        low = f" above {above:g}" if above >= least else f" of {least:g} or more"
        high = (
            f" and less than {below:g}"
            if below < math.inf
            else f", {most:g} at most"
            if most < math.inf
            else ""
        )
        raise Unsuited("a number" + low + high + (f', or "{AUTO}"' if meta.get("optional") else ""))
    return float(value)


def _memory(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        if isinstance(text, str) and (not text or amount(text) > 0):
            return text
    except FormatError:
        pass
    raise Unsuited(
        "an amount of memory such as 2GB or 512MiB (KB, MB, GB count in thousands, KiB, MiB, GiB in 1024s)"
    )


def _choice(value: Any, options: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in options:
        near = suggest(value, options) if isinstance(value, str) else ""
        raise Unsuited(f"one of {', '.join(options)}", near)
    return value


def _items(value: Any, meta: Mapping[str, Any]) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    options = meta["options"]
    if meta["kind"] == "words":
        raise Unsuited(f"a list of words out of {', '.join(options)}")
    near = suggest(value, options) if isinstance(value, str) else ""
    raise Unsuited(" or ".join(["a list of numbers", *options]), near)


def _plain(text: str) -> Any:
    """The number that a text spells, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
