"""Addresses of a plan without memory: each value, constant and table in its own region.

In a record made with these, every address identifies its value, even where two values share memory in a run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import Constant, Key, Record, Resolver
from striate.engine.plan.kernel_calls import Packed
from striate.engine.plan.units import Buffer

Array = NDArray[Any]

FIRST, SPACE, HALF = 1 << 50, 1 << 38, 1 << 37
"""First region, beyond all memory of a process; bytes from one to the next. A region's zero lies in its middle, so that
negative offsets are detected, too."""


class Regions:
    """Buffer or key of a constant, and bytes, of each region, in order. packed: where weights lie that steps pack."""

    def __init__(self, packed: Mapping[Key, Buffer] | None = None) -> None:
        self.owners: list[Buffer | Key] = []
        self.sizes: list[int] = []
        self._packed = packed or {}
        self._at: dict[Any, int] = {}
        self._resolver = Resolver(self._at, aligned.aligned_copy)

    def array(self, record: Record) -> Array:
        """A record with addresses in regions. Tables lie in memory."""
        for value in record.places(Buffer):
            self._buffer(value)
        for constant in record.places(Constant):
            if constant not in self._at:
                self._at[constant] = self._region(constant.key, constant.make().nbytes)
        for packed in record.places(Packed):
            if packed.key in self._packed:
                self._at[packed] = self._buffer(self._packed[packed.key])
            elif packed not in self._at:
                self._at[packed] = self._region(packed.key, 4 * packed.packing().size)
        for kernel in record.places(Kernel):
            self._at[kernel] = _vectors(kernel)
        return self._resolver.array(record)

    def _buffer(self, value: Buffer) -> int:
        if value not in self._at:
            self._at[value] = self._region(value, value.root.layout.bytes)
        return self._at[value]

    def _region(self, owner: Buffer | Key, size: int) -> int:
        self.owners.append(owner)
        self.sizes.append(size)
        return FIRST + (len(self.owners) - 1) * SPACE + HALF


def _vectors(kernel: Kernel) -> int:
    """The number of vectors of a tile, in place of the address of its code."""
    return int(kernel.parameters[-1]) if kernel.template == "weight_gradient" and kernel.parameters else 1


def numbers(address: Any, count: Any, kind: type = np.int64) -> Array:
    """Numbers of a table at an address of a record."""
    count = int(count)
    size = count * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(int(address)), kind, count)
