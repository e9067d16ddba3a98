"""Typed fields of ops: what kind of value each takes, how it is checked, and how the notation writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.diagnostics import LimitError, suggest
from striate.geometry import PADDING_MODES, PADDING_POLICIES
from striate.tensor import LARGEST

Sizes = int | tuple[int, ...]
"""One size for every spatial axis, or one per axis."""
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]
"""One padding for every side, one per axis, (before, after) per axis, or a policy's name."""

MISSING = dataclasses.MISSING


def _attribute(kind: str, default: Any, words: Sequence[str], doc: str, **more: Any) -> Any:
    metadata = {"kind": kind, "words": tuple(words), "doc": doc, **more}
    return dataclasses.field(default=default, metadata=metadata)


def sizes(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int = 1) -> Any:
    """A field of sizes per spatial axis."""
    return _attribute("sizes", default, words, doc, least=least)


def count(
    default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int | None = 1, **more: Any
) -> Any:
    """A whole number, at least `least`; `also` names words that are accepted besides numbers."""
    return _attribute("count", default, words, doc, least=least, **more)


def padding(
    default: Any = 0,
    *,
    words: Sequence[str] = ("pad",),
    doc: str = "rows and columns around the input",
    policies: bool = True,
) -> Any:
    """A field of paddings: numbers or, with `policies`, a policy's name."""
    return _attribute("padding", default, words, doc, policies=policies)


def flag(default: bool, *, words: Sequence[str], doc: str = "") -> Any:
    """A field that is on or off."""
    return _attribute("flag", default, words, doc)


def choice(default: Any, options: Sequence[str], *, words: Sequence[str] = (), doc: str = "") -> Any:
    """A field that takes one of some words."""
    return _attribute("choice", default, words, doc, options=tuple(options))


def mode(doc: str = "what lies beyond the border") -> Any:
    """A field for what lies beyond the border."""
    return choice("zeros", PADDING_MODES, words=("mode",), doc=doc)


def number(
    default: Any = MISSING,
    *,
    words: Sequence[str] = (),
    doc: str = "",
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field that takes any finite number, from `least` to `most` where they are given."""
    return _attribute("number", default, words, doc, least=least, most=most)


def integers(
    default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int | None = None
) -> Any:
    """A tuple of whole numbers."""
    return _attribute("ints", default, words, doc, least=least)


def text(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "") -> Any:
    """A field that takes a word."""
    return _attribute("text", default, words, doc)


def note(doc: str = "") -> Any:
    """A remark: files keep it; the notation leaves it out, and it makes no difference between ops."""
    metadata = {"kind": "text", "words": (), "doc": doc, "note": True}
    return dataclasses.field(default="", compare=False, metadata=metadata)


class Meaningless(Exception):
    """A value that a field cannot take; says what was expected instead."""


def _whole(value: Any, least: int | None, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        bound = "" if least is None else " of 1 or more" if least == 1 else f" of {least} or more"
        raise Meaningless(f"{what}{bound}")
    if abs(value) > LARGEST:
        raise LimitError(
            f"{value} is beyond any size that can be meant",
            why=f"the limit is {LARGEST}",
            fix="give a smaller number",
        )
    return value


def _sizes(value: Any, meta: Mapping[str, Any]) -> Sizes:
    if isinstance(value, list | tuple):
        if not value:
            raise Meaningless("a whole number, or one per axis")
        entries = tuple(_whole(item, meta["least"], "whole numbers") for item in value)
        return entries[0] if len(set(entries)) == 1 else entries
    return _whole(value, meta["least"], "a whole number")


def _count(value: Any, meta: Mapping[str, Any]) -> int | str:
    if isinstance(value, str) and value in meta.get("also", ()):
        return value
    return _whole(value, meta["least"], "a whole number")


def _padding(value: Any, meta: Mapping[str, Any]) -> Padding:
    policies = PADDING_POLICIES if meta["policies"] else ()
    expected = "a whole number of 0 or more, one (or a before, after pair) per axis"
    expected += f", or one of {', '.join(policies)}" if policies else ""
    if isinstance(value, str):
        if value not in policies:
            raise Meaningless(expected)
        return value
    if isinstance(value, list | tuple) and value:
        entries = [item if isinstance(item, list | tuple) else (item, item) for item in value]
        if any(len(entry) != 2 for entry in entries):
            raise Meaningless(expected)
        pairs = [(_whole(a, 0, "whole numbers"), _whole(b, 0, "whole numbers")) for a, b in entries]
        if any(a != b for a, b in pairs):
            return tuple(pairs)
        return pairs[0][0] if len(set(pairs)) == 1 else tuple(a for a, _ in pairs)
    return _whole(value, 0, expected.removesuffix(" of 0 or more"))


def _number(value: Any, meta: Mapping[str, Any]) -> float:
    least, most = meta["least"], meta["most"]
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    if not fine or (least is not None and value < least) or (most is not None and value > most):
        bounds = (
            ""
            if least is None
            else f" of {least:g} or more"
            if most is None
            else f" from {least:g} to {most:g}"
        )
        raise Meaningless("a number" + bounds)
    return float(value)


def _flag(value: Any, meta: Mapping[str, Any]) -> bool:
    if not isinstance(value, bool):
        raise Meaningless("true or false")
    return value


def _choice(value: Any, meta: Mapping[str, Any]) -> str:
    if value not in meta["options"]:
        near = suggest(str(value), meta["options"])
        raise Meaningless(f"one of {', '.join(meta['options'])}" + (f" (nearest: {near})" if near else ""))
    return str(value)


def _ints(value: Any, meta: Mapping[str, Any]) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else (value,)
    return tuple(_whole(item, meta["least"], "whole numbers") for item in items)


def _text(value: Any, meta: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise Meaningless("a text")
    return value


VALIDATE: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "sizes": _sizes, "count": _count, "padding": _padding, "number": _number,
    "flag": _flag, "choice": _choice, "ints": _ints, "text": _text,
}  # fmt: skip


def in_notation(value: Any, meta: Mapping[str, Any], rank: int) -> str:
    """A field's value as the notation writes it."""
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return repr(value).removesuffix(".0")
        case int() if meta["kind"] == "sizes" and not meta["words"]:
            return "x".join([str(value)] * max(rank, 1))
        case tuple() if value and isinstance(value[0], tuple):
            return ",".join(str(side) for pair in value for side in pair)
        case tuple():
            return ("x" if meta["kind"] in ("sizes", "padding") else ",").join(map(str, value))
        case str() if meta["kind"] == "text" and not _bare(value):
            import json

            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _bare(text: str) -> bool:
    """Whether a text can stand without quotes: the notation's own words are all lower case."""
    return text.isascii() and text.isidentifier() and not text.islower()


def plain(value: Any) -> Any:
    """Tuples as lists, as files hold them."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def tuples(value: Any) -> Any:
    """Lists as tuples, as ops hold them."""
    return tuple(tuples(item) for item in value) if isinstance(value, list | tuple) else value


def shown(value: Any) -> str:
    """A value for a message, cut when long."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
