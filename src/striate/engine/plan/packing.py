"""Packed weights of dense products for inference; kernels pack them when they are first needed."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import pack_weights, winograd_pack
from striate.engine.kernels.argument_record import Location, Record, Resolver
from striate.engine.kernels.argument_record import table as kept
from striate.engine.kernels.winograd_sizes import Winograd
from striate.engine.plan.computation import Correlation
from striate.engine.plan.units import Unit

Array = NDArray[Any]

PACK = Kernel("pack_weights", ("pack",))
_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p)


def transform(m: int) -> Kernel:
    """The kernel that packs Winograd's weights."""
    return Kernel("winograd_pack", (m,))


@dataclasses.dataclass(frozen=True)
class Packing:
    """A kernel call that packs a unit's weights into the order of use.

    size: packed numbers; scratch: bytes. record: makes the argument record from the addresses of the plain and the
    packed weights.
    """

    unit: Unit
    kernel: Kernel
    rows: int
    parts: int
    size: int
    scratch: int
    record: Callable[[Location, Location], Record]

    def pack(self, code: Mapping[Kernel, int]) -> Array:
        """Pack on this thread; other threads may pack other weights meanwhile."""
        plain = np.ascontiguousarray(self.unit.weights["weight"], np.float32)
        packed, scratch = aligned.zeros(self.size), aligned.zeros(self.scratch, np.uint8)
        tables = Resolver({}, lambda array: array)
        record = tables.array(self.record(aligned.address(plain), aligned.address(packed)))
        _STEP(code[self.kernel])(
            aligned.address(record), 0, self.rows, 0, self.parts, aligned.address(scratch)
        )
        return packed


def direct(
    unit: Unit, table: pack_weights.PackTable, panels: Array, lanes: int, groups: int, size: int
) -> Packing:
    """A unit's weights in `size` numbers, by a table of steps."""

    def record(plain: Location, packed: Location) -> Record:
        return pack_weights.arguments(table, panels, plain, packed, _factors(unit, groups, lanes))

    return Packing(unit, PACK, len(table.rows), len(panels), size, 0, record)


def winograd(unit: Unit, shape: Winograd) -> Packing:
    """A unit's weights, transformed; in the backward pass those of the flipped kernels, inputs and outputs swapped."""
    body, lanes = unit.body, shape.target.lanes
    assert isinstance(body, Correlation)
    strides = (36, 36 * shape.outputs) if body.adjoint else (36 * shape.channels, 36)

    def record(plain: Location, packed: Location) -> Record:
        panels = pack_weights.panels(shape.panels, shape.outputs, shape.channels, strides[0], lanes)
        return winograd_pack.arguments(
            shape.target, panels, plain, packed, shape.w_frequency, strides, _factors(unit, 1, lanes), body.adjoint,
        )  # fmt: skip

    scratch = winograd_pack.scratch_bytes(shape.target, shape.m)
    parts, size = len(shape.panels), shape.weight_bytes // 4
    return Packing(unit, transform(shape.m), shape.channels, parts, size, scratch, record)


def bias(unit: Unit, outputs: int) -> Array:
    """Bias by output channel, with folds applied, float32."""
    body = unit.body
    assert isinstance(body, Correlation)
    values = unit.weights["bias"].astype(np.float64) if body.bias else np.zeros(outputs)
    if (scaling := unit.scaling) is not None:
        scale, shift = scaling
        values = values * scale + shift
    return np.asarray(values, np.float32)


def _factors(unit: Unit, groups: int, lanes: int) -> Location:
    scaling = unit.scaling
    return 0 if scaling is None else kept(pack_weights.factors(scaling[0], groups, lanes))
