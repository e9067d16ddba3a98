"""Reads and writes of a kernel call, from its record and its task alone.

Modeled independently of the kernels' code and of the plan: loops are sums of steps here, and loads whose result is
discarded do not count. Addresses are those of 4-byte numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels import (
    border,
    channel_sums,
    copy,
    elementwise,
    lrn,
    norm,
    norm_gradient,
    pool,
    pool_gradient,
    softmax,
    to_planes,
)  # fmt: skip
from striate.engine.kernels import operands as entries
from striate.engine.plan.kernel_calls import Task
from striate.engine.target import Target
from striate.engine.verify.regions import numbers

Array = NDArray[Any]


@dataclasses.dataclass
class Accesses:
    """Addresses of a task, each in one region. local: (read, write) pairs in the same order: each number is read before
    the task writes another number at its address, and not again."""

    reads: list[Array] = dataclasses.field(default_factory=list)
    writes: list[Array] = dataclasses.field(default_factory=list)
    local: list[tuple[Array, Array]] = dataclasses.field(default_factory=list)


Model = Callable[["KernelTask"], Accesses]


@dataclasses.dataclass(frozen=True)
class KernelTask:
    """A kernel's numbers, its record, and a task of it."""

    target: Target
    numbers: tuple[int | str, ...]
    record: Array
    task: Task
    count: int
    """Rows of all tasks together."""

    def __getitem__(self, offset: int) -> int:
        """The number at a byte offset of the record."""
        return int(self.record[offset // 8])

    @property
    def lanes(self) -> int:
        return self.target.lanes

    @property
    def rows(self) -> Array:
        return np.arange(self.task[0], self.task[1])

    @property
    def parts(self) -> Array:
        return np.arange(self.task[2], self.task[3])

    def lines(self, rows: int, image: int, row: int) -> Array:
        """Bytes to each of the task's rows, counted over all images of `rows` each."""
        offsets: Array = self.rows // max(rows, 1) * image + self.rows % max(rows, 1) * row
        return offsets


def steps(count: int, stride: int) -> Array:
    """The first `count` multiples of a stride."""
    return np.arange(count) * stride


def once(array: Array) -> Array:
    """The numbers of an array in order, each once."""
    if array.size > 1 and not (array[1:] > array[:-1]).all():
        array = np.sort(array)
        array = array[np.append(True, array[1:] != array[:-1])]
    return array


def outer_sum(*terms: Array | int) -> Array:
    """Every sum of one number from each term, once each."""
    total = np.zeros(1, np.int64)
    for term in terms:
        array = once(np.atleast_1d(np.asarray(term, np.int64)))
        total = (total[:, None] + array).reshape(-1)
    return total


def vector(call: KernelTask, count: int = 1) -> Array:
    """Offsets of the numbers of some contiguous vectors."""
    return steps(count * call.lanes, 4)


def _border(call: KernelTask) -> Accesses:
    top, height, bottom, left, width, right = (
        call[at] for at in (border.TOP, border.HEIGHT, border.BOTTOM, border.LEFT, border.WIDTH, border.RIGHT)
    )
    lanes, lines = int(call.numbers[1]), top + height + bottom
    size = 4 * lanes
    inside = (call.rows % lines >= top) & (call.rows % lines < top + height)
    at = call.rows // lines * call[border.OUT_IMAGE] + call.rows % lines * call[border.OUT_ROW]
    base: list[Array | int] = [call[border.OUT], call.parts * call[border.OUT_BLOCK], steps(lanes, 4)]
    strips = np.concatenate([steps(left, size), (left + width) * size + steps(right, size)])
    writes = [
        outer_sum(*base, at[~inside], steps(left + width + right, size)),
        outer_sum(*base, at[inside], strips),
    ]
    return Accesses(writes=[one for one in writes if one.size])


def _copy(call: KernelTask) -> Accesses:
    source, lanes = int(call.numbers[0]), int(call.numbers[1])
    first, last = call[copy.FIRST], call[copy.LAST]
    if lanes == 1 and source > 1:
        to = first + call.parts
    else:
        blocks = first // lanes + call.parts
        to = (blocks[:, None] * lanes + np.arange(lanes)).reshape(-1)
        to = to[(to >= first) & (to < last)]
    channel = to - call[copy.SHIFT]
    channel = channel[(channel >= 0) & (channel < call[copy.CHANNELS])]
    rows = call[copy.ROWS]
    reads = outer_sum(
        call[copy.IN], call.lines(rows, call[copy.IN_IMAGE], call[copy.IN_ROW]),
        channel // source * call[copy.IN_BLOCK] + channel % source * 4,
        steps(call[copy.COLUMNS], call[copy.IN_PIXEL]),
    ) if channel.size else channel  # fmt: skip
    writes = outer_sum(
        call[copy.OUT], call.lines(rows, call[copy.OUT_IMAGE], call[copy.OUT_ROW]),
        to // lanes * call[copy.OUT_BLOCK] + to % lanes * 4,
        steps(call[copy.COLUMNS], call[copy.OUT_PIXEL]),
    )  # fmt: skip
    return Accesses([reads], [writes])


def _operand(
    call: KernelTask, at: int, kind: str, shape: tuple[int, int], lines: Callable[[int, int], Array]
) -> Array:
    """Addresses of an operand of an elementwise function. shape: pixels of a row; lines: from strides of images and
    rows."""
    columns, _ = shape
    image, block, row = (call[at + k] for k in (entries.IN_IMAGE, entries.IN_BLOCK, entries.IN_ROW))
    base = call[at + entries.IN]
    blocks = call.parts * block if kind in "sic" else 0
    where = lines(image if kind in "sipk" else 0, row if kind in "sp" else 0)
    pixel = {"s": 4 * call.lanes, "p": 4}.get(kind, 0)
    inner = vector(call) if kind in "sic" else 0
    return outer_sum(base, blocks, where, steps(columns, pixel) if pixel else 0, inner)


def _elementwise(call: KernelTask) -> Accesses:
    kinds = str(call.numbers[1])
    rows, columns = call[elementwise.ROWS], call[elementwise.COLUMNS]

    def lines(image: int, row: int) -> Array:
        return call.lines(rows, image, row)

    writes = outer_sum(
        call[elementwise.OUT], call.parts * call[elementwise.OUT_BLOCK],
        lines(call[elementwise.OUT_IMAGE], call[elementwise.OUT_ROW]), steps(columns, 4 * call.lanes), vector(call),
    )  # fmt: skip
    accesses = Accesses(writes=[writes])
    for k, kind in enumerate(kinds):
        reads = _operand(call, elementwise.OPERANDS + k * entries.OPERAND_SIZE, kind, (columns, rows), lines)
        if kind == "s":
            accesses.local.append((reads, writes))
        else:
            accesses.reads.append(reads)
    return accesses


def _channel_sums(call: KernelTask) -> Accesses:
    kinds, functions = str(call.numbers[0]), len(call.numbers) - 1
    row_images, images = call[channel_sums.ROW_IMAGES], call[channel_sums.IMAGES]
    image_numbers = np.concatenate(
        [np.arange(r * row_images, min(r * row_images + row_images, images)) for r in call.rows]
    )

    def lines(image: int, row: int) -> Array:
        return outer_sum(image_numbers * image, steps(call[channel_sums.ROWS], row))

    accesses = Accesses()
    for k, kind in enumerate(kinds):
        at = channel_sums.OUT + 8 * functions + k * entries.OPERAND_SIZE
        accesses.reads.append(
            _operand(call, at, kind, (call[channel_sums.COLUMNS], call[channel_sums.ROWS]), lines)
        )
    for k in range(functions):
        to = call[channel_sums.OUT + 8 * k]
        accesses.writes.append(
            outer_sum(to, call.parts * 4 * call.lanes, call.rows * call[channel_sums.OUT_ROW], vector(call))
        )
    return accesses


def _pool_taps(table: int, count: int, apart: int) -> list[Array]:
    """Places of every output's taps along an axis, in steps."""
    entries = numbers(table, 3 * count, np.int32).reshape(-1, 3).astype(np.int64)
    return [start + np.arange(taps) * apart for start, taps, _ in entries]


def _pool(call: KernelTask) -> Accesses:
    rows, columns = call[pool.ROWS], call[pool.COLUMNS]
    down = [
        start * call[pool.IN_ROW] + np.arange(taps) * call[pool.TAP_ROW]
        for start, taps, _ in numbers(call[pool.ROW_TAPS], 3 * rows, np.int32).reshape(-1, 3).astype(np.int64)
    ]
    across = [
        start * call[pool.IN_PIXEL] + np.arange(taps) * call[pool.TAP_COLUMN]
        for start, taps, _ in numbers(call[pool.COLUMN_TAPS], 3 * columns, np.int32)
        .reshape(-1, 3)
        .astype(np.int64)
    ]
    lines = np.concatenate([r // rows * call[pool.IN_IMAGE] + down[r % rows] for r in call.rows.tolist()])
    pixels = np.concatenate(across)
    accesses = Accesses()
    if lines.size and pixels.size:
        accesses.reads.append(
            outer_sum(call[pool.IN], call.parts * call[pool.IN_BLOCK], lines, pixels, vector(call))
        )
    accesses.writes.append(
        outer_sum(
            call[pool.OUT], call.parts * call[pool.OUT_BLOCK],
            call.lines(rows, call[pool.OUT_IMAGE], call[pool.OUT_ROW]),
            steps(columns, 4 * call.lanes), vector(call),
        )
    )  # fmt: skip
    return accesses


def _pool_gradient(call: KernelTask) -> Accesses:
    p = pool_gradient
    rows, columns, largest = call[p.ROWS], call[p.COLUMNS], call.numbers[0] == "max"
    pixel = 4 * call.lanes

    def plane(first: int, *inside: Array) -> Array:
        at = call.rows * call[first + 8]
        return outer_sum(call[first], at, call.parts * call[first + 16], *inside, vector(call))

    accesses = Accesses()
    outputs = [(p.DY, p.DY_ROW), *([(p.Y, p.Y_ROW)] if largest else [])]
    for first, row in outputs:
        accesses.reads.append(plane(first, steps(rows, call[row]), steps(columns, pixel)))
    down = _pool_taps(call[p.ROW_TAPS], rows, call[p.TAP_ROW])
    across = _pool_taps(call[p.COLUMN_TAPS], columns, 1)
    apart = call[p.TAP_COLUMN] // pixel
    across = [taps[0] + (taps - taps[0]) * apart for taps in across if taps.size]
    height, width = np.concatenate(down), np.concatenate([*across, np.zeros(0, np.int64)])
    if largest and height.size and width.size:
        reads = plane(p.X, height * call[p.X_ROW], width * pixel)
        if call[p.DONE]:
            accesses.local.append((reads, plane(p.DX, height * call[p.DX_ROW], width * pixel)))
        else:
            accesses.reads.append(reads)
    if call[p.DONE]:
        accesses.writes.append(plane(p.DX, height * call[p.DX_ROW], width * pixel))
    else:
        every = steps(call[p.HEIGHT], call[p.DX_ROW])
        accesses.writes.append(plane(p.DX, every, steps(call[p.WIDTH], pixel)))
    return accesses


def _plane(call: KernelTask, kernel: Any, blocks: Array, channels: str = "") -> Accesses:
    """Kernels that read one map and write another, in whole vectors of some blocks. channels: "pixel" where rows are
    those of all images; else rows are images."""
    rows, columns = call[kernel.ROWS], call[kernel.COLUMNS]
    spans = []
    for first in (kernel.IN, kernel.OUT):
        image, block, row = (call[first + 8 * k] for k in (1, 2, 3))
        where = call.lines(rows, image, row) if channels else outer_sum(call.rows * image, steps(rows, row))
        spans.append(
            outer_sum(call[first], where, blocks * block, steps(columns, 4 * call.lanes), vector(call))
        )
    return Accesses([spans[0]], [spans[1]])


def _norm(call: KernelTask) -> Accesses:
    count = -(-call[norm.CHANNELS] // call.lanes)
    if call.numbers[0] == "pixel":
        blocks = np.arange(count)
        accesses = _plane(call, norm, blocks, "pixel")
    else:
        unit = call[norm.UNIT]
        blocks = (call.parts[:, None] * unit + np.arange(unit)).reshape(-1)
        blocks = blocks[blocks < count]
        accesses = _plane(call, norm, blocks)
    for vectors in (norm.WEIGHT, norm.BIAS):
        accesses.reads.append(outer_sum(call[vectors], blocks * 4 * call.lanes, vector(call)))
    return accesses


def _softmax(call: KernelTask) -> Accesses:
    return _plane(call, softmax, np.arange(-(-call[softmax.CHANNELS] // call.lanes)), "pixel")


def _lrn(call: KernelTask) -> Accesses:
    count = -(-call[lrn.CHANNELS] // call.lanes)
    near = np.unique(np.clip(np.concatenate([call.parts - 1, call.parts, call.parts + 1]), 0, count - 1))
    return Accesses(_plane(call, lrn, near, "pixel").reads, _plane(call, lrn, call.parts, "pixel").writes)


def _norm_gradient(call: KernelTask) -> Accesses:
    n = norm_gradient
    rows, columns = call[n.ROWS], call[n.COLUMNS]
    blocks = np.arange(-(-call[n.CHANNELS] // call.lanes))
    maps_ = [
        outer_sum(
            call[first], call.lines(rows, call[first + n.IMAGE], call[first + n.ROW]),
            blocks * call[first + n.BLOCK], steps(columns, 4 * call.lanes), vector(call),
        )
        for first in (n.X, n.DY, n.DX)
    ]  # fmt: skip
    pixels = [outer_sum(call[at], call.rows * columns * 4, steps(columns, 4)) for at in (n.MEAN, n.SCALE)]
    weight = outer_sum(call[n.WEIGHT], blocks * 4 * call.lanes, vector(call))
    return Accesses([maps_[0], maps_[1], weight], [maps_[2], *pixels])


def _to_planes(call: KernelTask) -> Accesses:
    p = to_planes
    rows, columns, size = call[p.ROWS], call[p.COLUMNS], call[p.UNIT]
    units = rows // size
    image, unit = call.rows // units, call.rows % units
    accesses = Accesses()
    row, plane, line = call[p.OUT_ROW], call[p.OUT_PLANE], call[p.ORIGIN] - call[p.LEFT]
    for n, u in zip(image.tolist(), unit.tolist(), strict=True):
        lines = n * call[p.IN_IMAGE] + np.arange(u * size, u * size + size) * call[p.IN_ROW]
        begin = line + u * size * row if u else 0
        end = line + (u * size + size) * row if (u + 1) * size < rows else plane
        for block in call.parts.tolist():
            real = min(call[p.CHANNELS] - block * call.lanes, call.lanes)
            accesses.reads.append(
                outer_sum(
                    call[p.IN] + block * call[p.IN_BLOCK],
                    lines,
                    steps(columns, 4 * call.lanes),
                    steps(real, 4),
                )
            )
            to = call[p.OUT] + n * call[p.OUT_IMAGE] + block * call.lanes * plane
            accesses.writes.append(outer_sum(to, steps(real, plane), begin + steps((end - begin) // 4, 4)))
    return accesses


ELEMENTWISE: dict[str, Model] = {
    "border": _border, "copy": _copy, "elementwise": _elementwise, "channel_sums": _channel_sums, "pool": _pool,
    "pool_gradient": _pool_gradient,
    "norm": _norm, "softmax": _softmax, "lrn": _lrn, "norm_gradient": _norm_gradient, "to_planes": _to_planes,
}  # fmt: skip
"""Models by template, for kernels without products."""
