"""One function for each kind of field: its default, its bounds, what it does and how it is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

MISSING = dataclasses.MISSING


def declare(
    kind: str,
    default: Any,
    doc: str = "",
    group: str = "",
    words: Sequence[str] = (),
    *,
    compare: bool = True,
    **more: Any,
) -> Any:
    """A field of a kind. words: what introduces it in the notation; group: its heading in pages and help texts.

    default: a value, or a function that makes one.
    """
    metadata = {"kind": kind, "doc": doc, "group": group, "words": tuple(words), **more}
    if callable(default):
        return dataclasses.field(default_factory=default, compare=compare, metadata=metadata)
    return dataclasses.field(default=default, compare=compare, metadata=metadata)


def count(
    default: Any = MISSING,
    doc: str = "",
    group: str = "",
    *,
    words: Sequence[str] = (),
    least: int | None = 1,
    also: Sequence[str] = (),
    optional: bool = False,
    limit: int | None = None,
) -> Any:
    """A whole number of at least `least`, or a word of `also`; optional: or None.

    limit: a number beyond it raises LimitError.
    """
    more: dict[str, Any] = {"least": least, "also": tuple(also), "optional": optional, "limit": limit}
    return declare("count", default, doc, group, words, **more)


def number(
    default: Any = MISSING,
    doc: str = "",
    group: str = "",
    *,
    words: Sequence[str] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    auto: bool = False,
) -> Any:
    """A finite number within bounds; auto: None (in files "auto") is one that follows from other settings."""
    bounds: dict[str, Any] = {"least": least, "most": most, "above": above, "below": below}
    return declare("number", default, doc, group, words, auto=auto, **bounds)


def numbers(default: Any, doc: str, group: str = "", *, least: float = 0.0, also: Sequence[str] = ()) -> Any:
    """Any number of numbers of at least `least`, or a word of `also` in their place."""
    return declare("numbers", default, doc, group, least=least, options=tuple(also))


def flag(default: bool, doc: str = "", group: str = "", *, words: Sequence[str] = ()) -> Any:
    """True or false."""
    return declare("flag", default, doc, group, words)


def choice(
    default: Any, options: Sequence[str], doc: str = "", group: str = "", *, words: Sequence[str] = ()
) -> Any:
    """One word of several."""
    return declare("choice", default, doc, group, words, options=tuple(options))


def choices(default: tuple[str, ...], options: Sequence[str], doc: str, group: str = "") -> Any:
    """Any number of words of several."""
    return declare("choices", default, doc, group, options=tuple(options))


def text(default: Any = MISSING, doc: str = "", group: str = "", *, words: Sequence[str] = ()) -> Any:
    """Any text."""
    return declare("text", default, doc, group, words)


def path(default: Any, doc: str, group: str = "") -> Any:
    """A file or folder; held as a text."""
    return declare("path", default, doc, group)


def amount(default: Any, doc: str, group: str = "") -> Any:
    """A number of parameters or MACs, such as 5000000 or "5M"; held as a whole number."""
    return declare("amount", default, doc, group)


def memory(default: Any, doc: str, group: str = "", *, as_text: bool = False) -> Any:
    """An amount of memory, such as "2GB" or "512MiB"; held in bytes, or as it was written (empty: any)."""
    return declare("memory", default, doc, group, as_text=as_text)
