"""One block of memory for all buffers: two share memory if they are never live at the same time."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.layout import ALIGN_BYTES
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.plan.units import Buffer

Array = NDArray[Any]

MAX_OFFSET_BYTES = 1 << 62
"""An offset larger than all others."""


@dataclasses.dataclass(frozen=True)
class Arena:
    """Offsets by buffer (owners of memory only), the total size in bytes, and the first and last epoch of each
    buffer."""

    offsets: dict[Buffer, int]
    bytes: int
    life: Mapping[Buffer, tuple[int, int]] = dataclasses.field(default_factory=dict, compare=False)


def epochs(steps: Sequence[KernelCall]) -> list[int]:
    """The epoch of each step. Steps of one epoch run in parallel, without waiting: none reads what another writes.

    Steps may write different parts of one value (a border and its inside, pieces of a concatenation).
    """
    numbers: list[int] = []
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    epoch = 0
    for step in steps:
        own_reads = {v.root for v in step.reads if not v.outside} - {
            v.root for v in step.writes if step.only_writes
        }
        own_writes = {v.root for v in step.writes if not v.outside}
        if own_reads & writes or own_writes & reads or step.after_all:
            epoch += 1
            reads, writes = set(), set()
        reads |= own_reads
        writes |= own_writes
        numbers.append(epoch)
    return numbers


def lives(
    steps: Sequence[KernelCall],
    when: Sequence[int],
    spans: Sequence[tuple[int, int, int]] = (),
    lasting: Collection[Buffer] = (),
) -> dict[Buffer, tuple[int, int]]:
    """First and last epoch of every value. spans: (first, second_image, end) of spans that run image by image.

    A span repeats the same calls for each image: buffers that only the span touches live as they do for the first
    image, all others live through the whole span. lasting: buffers that live to the end.
    """
    life: dict[Buffer, tuple[int, int]] = {}
    for k, (step, epoch) in enumerate(zip(steps, when, strict=True)):
        span = next((s for s in spans if s[0] <= k < s[2]), None)
        for root in dict.fromkeys(value.root for value in (*step.reads, *step.writes)):
            if root.outside or (span and root.shares_image_slot and k >= span[1]):
                continue
            start, end = (
                (when[span[0]], when[span[2] - 1]) if span and not root.shares_image_slot else (epoch, epoch)
            )
            first, last = life.get(root, (start, end))
            life[root] = min(first, start), max(last, end)
    return life | {value: (life[value][0], when[-1]) for value in lasting}


def allot(
    steps: Sequence[KernelCall], when: Sequence[int], spans: Sequence[tuple[int, int, int]] = ()
) -> Arena:
    """Offsets, assigned by size, the largest first."""
    return smallest_arena(lives(steps, when, spans))


def smallest_arena(life: Mapping[Buffer, tuple[int, int]], most: int = 1) -> Arena:
    """The smallest of up to `most` ways to put values in order: each lies as low as those before allow that live with
    it. By size, by beginning, by end, by the time that they live, by both. With several ways small values come last.
    """
    values = list(life)
    sizes = np.array([value.layout.bytes for value in values], np.int64)
    sizes += -sizes % ALIGN_BYTES
    first, last = np.array([life[value] for value in values], np.int64).reshape(-1, 2).T
    orders = [
        (last, first, -sizes), (-sizes, last, first), (-sizes, first, -last), (-sizes, first - last),
        (first, sizes * (first - last - 1)),
    ]  # fmt: skip
    small = sizes <= (sizes.sum() >> 14 if most > 1 else -1)
    rest = np.flatnonzero(small)[np.argsort(-sizes[small], kind="stable")]
    ways = [(order := np.lexsort(keys))[~small[order]] for keys in orders[:most]]
    nothing = np.zeros(len(sizes), np.int64)
    layouts = [_offsets(nothing, sizes, first, last, order[:0], order) for order in ways]
    large = [int((starts + sizes)[~small].max(initial=0)) for starts in layouts]
    least = large.index(min(large))
    best = _offsets(layouts[least], sizes, first, last, ways[least], rest)
    return Arena(
        {value: int(start) for value, start in zip(values, best, strict=True)},
        int((best + sizes).max(initial=0)),
        life,
    )


def _offsets(starts: Array, sizes: Array, first: Array, last: Array, before: Array, order: Array) -> Array:
    """Offset of each buffer, placed in `order` among those that are in place `before`."""
    starts, every = starts.copy(), np.concatenate([before, order])
    for count, k in enumerate(order, len(before)):
        others = every[:count]
        others = others[(first[others] <= last[k]) & (last[others] >= first[k])]
        others = others[np.argsort(starts[others], kind="stable")]
        free = np.maximum.accumulate(np.append(0, starts[others] + sizes[others]))
        fits = np.append(starts[others], MAX_OFFSET_BYTES) - free >= sizes[k]
        starts[k] = free[np.argmax(fits)]
    return starts
