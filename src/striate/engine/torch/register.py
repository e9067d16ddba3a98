"""The table of ops in torch, and the decorator that registers them.

An op becomes a function of tensors, called as `run(training, inputs, params)`; params: its parameters by short name.
Windows come from the declaration, so that no size is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.op import Declaration

Run = Callable[[bool, Sequence[Any], Mapping[str, Any]], Any]
"""Function of an op: (training, inputs, parameters) -> a tensor, or a list of several."""

LOWERINGS: dict[str, Callable[[Any, Declaration], Run]] = {}


def lowers(*words: str) -> Callable[[Callable[[Any, Declaration], Run]], Callable[[Any, Declaration], Run]]:
    """Register how the ops of these words become functions."""

    def add(make: Callable[[Any, Declaration], Run]) -> Callable[[Any, Declaration], Run]:
        LOWERINGS.update(dict.fromkeys(words, make))
        return make

    return add
