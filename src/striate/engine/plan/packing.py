"""Weights of dense products packed for inference, by the kernels that pack them: each where it is first needed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.code import Kernel
from striate.engine.kernels import gather, winograd_pack
from striate.engine.kernels.winograd_sizes import Winograd
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.steps import Memory
from striate.engine.plan.units import Unit

Array = NDArray[Any]

PACK = Kernel("gather", ("pack",))
_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p)


def transform(m: int) -> Kernel:
    """The kernel that packs Winograd's weights."""
    return Kernel("winograd_pack", (m,))


class _Kept:
    """Arrays that stay while a kernel reads them."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []

    def __call__(self, array: Array) -> int:
        self._arrays.append(np.ascontiguousarray(array))
        return aligned.address(self._arrays[-1])


def direct(
    unit: Unit, table: gather.Table, panels: Array, lanes: int, groups: int, size: int, memory: Memory
) -> Array:
    """A unit's weights in `size` numbers, by a table of steps."""
    at, made = _Kept(), aligned.zeros(size)
    plain, packed = at(_weight(unit)), aligned.address(made)
    record = gather.arguments(table, panels, plain, packed, at, _factors(unit, groups, lanes, at))
    _run(memory.kernel(PACK), record, len(table.rows), len(panels), 0)
    return made


def winograd(unit: Unit, shape: Winograd, memory: Memory) -> Array:
    """A unit's weights, transformed."""
    at, made, lanes = _Kept(), aligned.zeros(shape.weight_bytes // 4), shape.target.lanes
    stride = 36 * shape.channels
    panels = gather.panels(shape.panels, shape.outputs, shape.channels, stride, lanes)
    record = winograd_pack.arguments(
        shape.target, panels, at(_weight(unit)), aligned.address(made), shape.w_frequency, (stride, 36), at,
        _factors(unit, 1, lanes, at),
    )  # fmt: skip
    scratch = at(aligned.zeros(winograd_pack.scratch_bytes(shape.target, shape.m), np.uint8))
    _run(memory.kernel(transform(shape.m)), record, shape.channels, len(panels), scratch)
    return made


def bias(unit: Unit, outputs: int) -> Array:
    """By output channel, with what was folded into it, float32."""
    body = unit.body
    assert isinstance(body, Correlation)
    made = unit.weights["bias"].astype(np.float64) if body.bias else np.zeros(outputs)
    if unit.scale is not None:
        made = made * unit.scale
    if unit.shift is not None:
        made = made + unit.shift
    return np.asarray(made, np.float32)


def _weight(unit: Unit) -> Array:
    return np.asarray(unit.weights["weight"], np.float32)


def _factors(unit: Unit, groups: int, lanes: int, at: Callable[[Array], int]) -> int:
    return 0 if unit.scale is None else at(gather.factors(unit.scale, groups, lanes))


def _run(code: int, record: Array, rows: int, parts: int, scratch: int) -> None:
    """All rows and parts, on this thread; others may run meanwhile."""
    _STEP(code)(aligned.address(record), 0, rows, 0, parts, scratch)
