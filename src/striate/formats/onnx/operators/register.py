"""The tables of readers and writers, and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

Reader = Callable[["Site"], "Value | Sequence[Value]"]
Writer = Callable[["Pen", Any], None]

READERS: dict[str, Reader] = {}
"""ONNX operator -> reader. Raises Unknown for a use that has no counterpart."""
WRITERS: dict[str, Writer] = {}
"""Word of an op -> writer. Raises OpError for what ONNX cannot express."""


def reads(*kinds: str) -> Callable[[Reader], Reader]:
    """Register the reader of these ONNX operators."""

    def add(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(kinds, function))
        return function

    return add


def writes(*words: str) -> Callable[[Writer], Writer]:
    """Register the writer of ops with these words."""

    def add(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(words, function))
        return function

    return add
