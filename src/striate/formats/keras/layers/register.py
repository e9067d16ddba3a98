"""The table that the families fill in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.formats.keras.site import Site, Value

READERS: dict[str, Callable[[Any], Any]] = {}
"""Keras class -> function that reads one call."""


def reads(*kinds: str) -> Callable[[Callable[[Site], Value]], Callable[[Site], Value]]:
    """Register a function for classes of Keras."""

    def register(function: Callable[[Site], Value]) -> Callable[[Site], Value]:
        READERS.update(dict.fromkeys(kinds, function))
        return function

    return register
