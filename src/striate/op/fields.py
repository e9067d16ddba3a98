"""Fields of ops: the kinds that settings do not have, and how the notation writes a value."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from striate import fields
from striate.diagnostics import suggest
from striate.fields import MISSING, Meta, Unsuited, bounded, choice, declare, register, whole
from striate.geometry import PADDING_MODES, PADDING_POLICIES
from striate.tensor import MAX_SIZE

Sizes = int | tuple[int, ...]
"""One size for every spatial axis, or one per axis."""
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]
"""One padding for every side, one per axis, (before, after) per axis, or a policy's name."""

count = functools.partial(fields.count, limit=MAX_SIZE)
"""A whole number within the limit for sizes."""


def sizes(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int = 1) -> Any:
    """A field of sizes per spatial axis."""
    return declare("sizes", default, doc, words=words, least=least, limit=MAX_SIZE)


def padding(
    default: Any = 0,
    *,
    words: Sequence[str] = ("pad",),
    doc: str = "rows and columns around the input",
    policies: bool = True,
) -> Any:
    """A field of paddings: numbers or, with `policies`, a policy's name."""
    return declare("padding", default, doc, words=words, policies=policies, least=0, limit=MAX_SIZE)


def mode(doc: str = "values beyond the border") -> Any:
    """A field for values beyond the border."""
    return choice("zeros", PADDING_MODES, words=("mode",), doc=doc)


def integers(
    default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int | None = None
) -> Any:
    """A tuple of whole numbers."""
    return declare("ints", default, doc, words=words, least=least, limit=MAX_SIZE)


def note(doc: str = "") -> Any:
    """A remark: files keep it, the notation omits it, and it does not count in comparisons."""
    return declare("text", "", doc, note=True, compare=False)


@register("sizes", lambda meta: f"{bounded('a whole number', meta)}, or one per axis")
def _sizes(value: Any, meta: Meta) -> Sizes:
    if isinstance(value, list | tuple):
        if not value:
            raise Unsuited
        entries = tuple(whole(item, meta) for item in value)
        return entries[0] if len(set(entries)) == 1 else entries
    return whole(value, meta)


def _paddings(meta: Meta) -> str:
    policies = f", or one of {', '.join(PADDING_POLICIES)}" if meta["policies"] else ""
    return f"a whole number of at least 0, one (or a before, after pair) per axis{policies}"


@register("padding", _paddings)
def _padding(value: Any, meta: Meta) -> Padding:
    if isinstance(value, str):
        if not meta["policies"] or value not in PADDING_POLICIES:
            raise Unsuited(suggest(value, PADDING_POLICIES) if meta["policies"] else "")
        return value
    if isinstance(value, list | tuple) and value:
        entries = [item if isinstance(item, list | tuple) else (item, item) for item in value]
        if any(len(entry) != 2 for entry in entries):
            raise Unsuited
        pairs = [(whole(a, meta), whole(b, meta)) for a, b in entries]
        if any(a != b for a, b in pairs):
            return tuple(pairs)
        return pairs[0][0] if len(set(pairs)) == 1 else tuple(a for a, _ in pairs)
    return whole(value, meta)


@register("ints", lambda meta: bounded("whole numbers", meta))
def _ints(value: Any, meta: Meta) -> tuple[int, ...]:
    return tuple(whole(item, meta) for item in (value if isinstance(value, list | tuple) else (value,)))


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
    """Whether a text needs no quotes: the notation's own words are all lower case."""
    return text.isascii() and text.isidentifier() and not text.islower()


def plain(value: Any) -> Any:
    """Tuples as lists, as files hold them."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def tuples(value: Any) -> Any:
    """Lists as tuples, as ops hold them."""
    return tuple(tuples(item) for item in value) if isinstance(value, list | tuple) else value
