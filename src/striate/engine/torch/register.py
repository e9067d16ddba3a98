"""The table of what ops are in torch, and the word by which a family enters it.

An op becomes a function of tensors, called as `run(training, inputs, own)`; `own` are its parameters by their short
names. Windows come resolved from the declaration, so that no size is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.op import Declaration

Run = Callable[[bool, Sequence[Any], Mapping[str, Any]], Any]
"""What an op computes: (training, inputs, own parameters) -> a tensor, or a list of several."""

LOWERINGS: dict[str, Callable[[Any, Declaration], Run]] = {}


def lowers(*words: str) -> Callable[[Callable[[Any, Declaration], Run]], Callable[[Any, Declaration], Run]]:
    """Register how the ops of these words become functions."""

    def add(make: Callable[[Any, Declaration], Run]) -> Callable[[Any, Declaration], Run]:
        LOWERINGS.update(dict.fromkeys(words, make))
        return make

    return add
