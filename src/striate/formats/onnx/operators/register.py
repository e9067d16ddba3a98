"""The two tables of operators, and the words by which a family enters them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

Reader = Callable[["Site"], "Value | Sequence[Value]"]
Writer = Callable[["Pen", Any], None]

READERS: dict[str, Reader] = {}
"""ONNX operator -> what it becomes. Raises Unknown for a use that has no counterpart."""
WRITERS: dict[str, Writer] = {}
"""Word of an op -> how it is written. Raises OpError for what ONNX cannot say."""


def reads(*kinds: str) -> Callable[[Reader], Reader]:
    """Enter what reads these ONNX operators."""

    def add(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(kinds, function))
        return function

    return add


def writes(*words: str) -> Callable[[Writer], Writer]:
    """Enter what writes the ops of these words."""

    def add(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(words, function))
        return function

    return add
