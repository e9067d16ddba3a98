"""Addresses of a plan without memory: each value, constant and table in its own region.

In a record made with these, every address identifies its value, even where two values share memory in a run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.kernel import Kernel
from striate.engine.plan.kernel_calls import Memory
from striate.engine.plan.packing import Packing
from striate.engine.plan.units import Buffer

Array = NDArray[Any]

FIRST, SPACE, HALF = 1 << 50, 1 << 38, 1 << 37
"""First region, beyond all memory of a process; bytes from one to the next. A region's zero lies in its middle, so that
negative offsets are detected, too."""


class Regions(Memory):
    """Buffer or key of a constant, and bytes, of each region, in order. packed: where weights lie that steps pack."""

    def __init__(self, packed: dict[tuple[Any, ...], Buffer] | None = None) -> None:
        self.owners: list[Buffer | tuple[Any, ...]] = []
        self.sizes: list[int] = []
        self.requested: list[tuple[Any, ...]] = []
        """Keys of the constants that the current record has requested."""
        self._packed = packed
        self._at: dict[int | tuple[Any, ...], int] = {}
        self._tables: list[Array] = []

    def _region(self, key: int | tuple[Any, ...], owner: Buffer | tuple[Any, ...], size: int) -> int:
        if key not in self._at:
            self._at[key] = FIRST + len(self.owners) * SPACE + HALF
            self.owners.append(owner)
            self.sizes.append(size)
        return self._at[key]

    def start(self, value: Buffer) -> int:
        return self._region(id(value), value, value.root.layout.bytes)

    def constant(self, key: tuple[Any, ...], make: Callable[[], Array]) -> int:
        self.requested.append(key)
        return self._at[key] if key in self._at else self._region(key, key, make().nbytes)

    def packed(self, key: tuple[Any, ...], packing: Callable[[], Packing]) -> int:
        if self._packed is not None and key in self._packed:
            return self.start(self._packed[key])
        return self._at[key] if key in self._at else self._region(key, key, 4 * packing().size)

    def keep(self, array: Array) -> Array:
        self._tables.append(aligned.aligned_copy(array))
        return self._tables[-1]

    def kernel(self, kernel: Kernel) -> int:
        """The number of vectors of a tile, in place of the address of its code."""
        return int(kernel.parameters[-1]) if kernel.template == "weight_gradient" and kernel.parameters else 1


def numbers(address: Any, count: Any, kind: type = np.int64) -> Array:
    """Numbers of a table at an address of a record."""
    count = int(count)
    size = count * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(int(address)), kind, count)
