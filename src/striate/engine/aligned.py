"""Arrays that begin at a cache line: vectors of 64 bytes then never straddle two."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LINE_BYTES = 64
MAP_MIN_BYTES = 1 << 16
"""From this size on, memory is mapped in whole pages, and returned to the operating system."""
HUGE_PAGE_MIN_BYTES = 1 << 22
"""From this size on, 2 MB pages are requested: 500 times fewer page faults and TLB entries."""


def zeros(count: int, dtype: Any = np.float32) -> Array:
    """A one-dimensional array of zeros."""
    size = count * np.dtype(dtype).itemsize
    if size >= MAP_MIN_BYTES:
        # Private: after a fork, a child process must not compute in its parent's memory.
        try:
            room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"{size} bytes") from error
        if size >= HUGE_PAGE_MIN_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system without them
                room.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(room, dtype, count)
    raw = np.zeros(size + LINE_BYTES, np.uint8)
    start = -address(raw) % LINE_BYTES
    return raw[start : start + size].view(dtype)


Allocate = Callable[[int, Any], Array]
"""(count, type) -> a one-dimensional array."""


def aligned_copy(array: Array, allocate: Allocate = zeros) -> Array:
    """The array itself if it is contiguous and starts at a cache line; else a copy that is (from another allocator,
    always)."""
    if allocate is zeros and array.flags.c_contiguous and address(array) % LINE_BYTES == 0:
        return array
    copy = allocate(array.size, array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def address(array: Array) -> int:
    """Address of an array's first number."""
    return int(array.__array_interface__["data"][0])
