"""Comparison of the operators of a file with the operators that Striate writes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.proto import Call

Array = NDArray[Any]
Operator = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]
"""Kind, inputs, outputs, attributes."""


def same(operator: Operator, call: Call) -> bool:
    """Return whether a call of a file equals an operator that Striate writes."""
    kind, inputs, outputs, attributes = operator
    if (kind, inputs, outputs) != (call.kind, call.inputs, call.outputs):
        return False
    return attributes.keys() == call.attributes.keys() and all(
        np.array_equal(_single(value), _single(call.attributes[key])) for key, value in attributes.items()
    )


def _single(value: Any) -> Any:
    """A number in the precision of the file."""
    return np.float32(value) if isinstance(value, float) else np.asarray(value)


def equal(one: Array | None, other: Array) -> bool:
    """Return whether two constants have equal types and values."""
    return one is not None and one.dtype == other.dtype and np.array_equal(one, other)
