"""Pack weights from the order in which networks store them into the order of use; unpack gradients.

    "pack":   for panel: for vector: for step: for lane:
                  packed[panel][step][vector][lane] = plain[panel's first output + lane of panel][source of step]
    "unpack": the same with both sides exchanged

Plain numbers lie `stride` bytes apart from an output to the next; a table holds the offset of each step's number within
an output's, so that every order of channels and taps, flipped, strided or transposed, is the same to the kernel. Lanes
beyond the real outputs become 0. Packed numbers may be multiplied by a float64 of their output, rounded once.

Numbers are copied in squares of lanes x lanes, transposed in registers: neighboring numbers of as many outputs. Where
outputs are contiguous (stride 4), vectors are copied as they are; smaller pieces are copied number by number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.argument_record import table as kept
from striate.engine.kernels.copy import interleave
from striate.engine.kernels.lanes import inside
from striate.engine.target import Target

PLAIN, PACKED, STRIDE, SCALE, TABLE, SQUARES, FULL, PANELS = range(0, 64, 8)
"""Addresses of both sides; bytes of the plain side from an output to the next; address of the outputs' factors
(float64), or 0; of the table; whether it lists squares, and how many of them have no gap; address of the panels."""
ARGUMENTS = 64

P_PLAIN, P_PACKED, P_STEP, P_VECTORS, P_OUTPUTS, P_SCALE = range(0, 48, 8)
"""A panel: bytes from PLAIN to its first output's numbers, from PACKED to its first step; bytes of a step; vectors;
real outputs; bytes from SCALE to its factors, of which there is one for every lane."""
PANEL_SIZE = 48


def emit(target: Target, way: str) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch). Rows are those of the table, parts are panels."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    walk = _Walk(code, a, row, end_row)
    with code.loop(part, end_part) as p:
        panel = a.pointer(PANELS) + p * PANEL_SIZE
        with code.loop(0, panel.int(P_VECTORS)) as v:
            walk.vector(way, panel, v)
    return code.finish()


class _Walk:
    """One vector of outputs through some rows of the table."""

    def __init__(self, code: Code, a: Pointer, row: Int, end_row: Int) -> None:
        self.code, self.a, self.row, self.end = code, a, row, end_row
        self.stride, self.table, self.scale = a.int(STRIDE), a.pointer(TABLE), a.pointer(SCALE)

    def vector(self, way: str, panel: Pointer, v: Int) -> None:
        code, lanes = self.code, self.code.lanes
        self.real = panel.int(P_OUTPUTS) - v * lanes
        self.plain = self.a.pointer(PLAIN) + (panel.int(P_PLAIN) + v * lanes * self.stride)
        self.packed = self.a.pointer(PACKED) + (panel.int(P_PACKED) + v * code.bytes)
        self.step = panel.int(P_STEP)
        self.factors = self.scale + (panel.int(P_SCALE) + v * lanes * 8)
        squares = self.a.int(SQUARES).differs(0)
        with code.choice(squares) as (then, otherwise):
            with then:
                self.pack_squares() if way == "pack" else self.unpack_squares()
            with otherwise, code.loop(self.row, self.end) as r:
                entry = self.table + r * 8
                source, packed = self.plain + entry.short() * 4, self.packed + entry.short(4) * self.step
                self.pack_single(source, packed) if way == "pack" else self.unpack_single(source, packed)

    def outputs(self) -> list[Pointer]:
        """Addresses of the lanes' outputs; padding lanes repeat the last real one."""
        pointers = [self.plain]
        for lane in range(1, self.code.lanes):
            ahead = self.code.select(self.real > lane, self.stride, self.code.int(0))
            pointers.append(pointers[-1] + ahead)
        return pointers

    def pack_squares(self) -> None:
        code = self.code
        outputs, real = self.outputs(), inside(code, self.real)
        with code.loop(self.row, self.end) as r:
            entry = self.table + r * (4 + code.bytes)
            source = entry.short() * 4
            vectors = interleave(code, [output.vector(source) for output in outputs])
            values = [code.variable(code.select(real, vector, code.broadcast(0.0))) for vector in vectors]
            with code.when(self.scale.not_null):
                by = self.factors.doubles()
                for value in values:
                    value.set(code.scale_by(value.get(), by))
            for k, value in enumerate(values):
                step = entry.short(4 + 4 * k)
                with code.when(step >= 0):
                    (self.packed + step * self.step).store(value.get())

    def unpack_squares(self) -> None:
        code, lanes = self.code, self.code.lanes
        outputs, full = self.outputs(), self.a.int(FULL)
        with code.loop(self.row, self.end.least(full)) as r:
            entry = self.table + r * (4 + code.bytes)
            source = entry.short() * 4
            steps = [self.packed + entry.short(4 + 4 * k) * self.step for k in range(lanes)]
            for lane, vector in enumerate(interleave(code, [step.vector() for step in steps])):
                with code.when(self.real > lane):
                    outputs[lane].store(vector, source)
        with code.loop(self.row.most(full), self.end) as r:
            entry = self.table + r * (4 + code.bytes)
            with code.loop(0, lanes) as k:
                step = entry.short(4 + 4 * k)
                with code.when(step >= 0):
                    self.unpack_single(self.plain + (entry.short() + k) * 4, self.packed + step * self.step)

    def pack_single(self, source: Pointer, packed: Pointer) -> None:
        """One step of all lanes."""
        code, lanes = self.code, self.code.lanes
        real = self.real.least(lanes)
        adjacent = code.builder.and_(self.stride.equals(4), real.equals(lanes))
        with code.choice(adjacent) as (then, otherwise):
            with then:
                packed.store(source.vector())
            with otherwise:
                with code.loop(0, real) as lane:
                    packed.store(source.number(lane * self.stride), lane * 4)
                with code.loop(real.most(0), lanes) as lane:
                    packed.store(code.number(0), lane * 4)
        with code.when(self.scale.not_null):
            packed.store(code.scale_by(packed.vector(), self.factors.doubles()))

    def unpack_single(self, source: Pointer, packed: Pointer) -> None:
        """One step of the real lanes."""
        with self.code.loop(0, self.real.least(self.code.lanes)) as lane:
            source.store(packed.number(lane * 4), lane * self.stride)


Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class PackTable:
    """Offsets of the steps' numbers. rows: squares, [(first number, step of each of the next ones, or -1)], those
    without a gap first; or, for numbers one by one, [(number, step)]. full: squares without a gap."""

    rows: Array
    squares: bool
    full: int
    stride: int
    """Bytes of the plain side from an output to the next."""


def table(offsets: Array, stride: int, outputs: int, span: int, lanes: int) -> PackTable:
    """The table for steps whose numbers lie `offsets` bytes (multiples of 4, all different) after an output's first.

    stride: bytes from an output to the next; outputs: of one group; span: bytes of a group's numbers on the plain side,
    beyond which nothing is read.
    """
    order = np.argsort(offsets, kind="stable")
    numbers = offsets[order] // 4
    reach = span // 4 - (outputs - 1) * (stride // 4) - lanes
    if stride == 4 or reach < 0 or not len(numbers):
        return PackTable(np.stack([numbers, order], 1).astype(np.int32), False, 0, stride)
    breaks = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - lanes) >= lanes)
    run = np.repeat(breaks, np.diff(breaks, append=len(numbers)))
    window = (numbers - numbers[run]) // lanes
    first = np.flatnonzero(np.diff(run, prepend=-1) | np.diff(window, prepend=-1))
    start = numbers[run[first]] + window[first] * lanes
    start = np.minimum(start, reach)  # the last square may begin earlier and overlap its neighbor
    square = np.repeat(np.arange(len(first)), np.diff(first, append=len(numbers)))
    rows = np.full((len(first), 1 + lanes), -1, np.int32)
    rows[:, 0] = start
    rows[square, 1 + numbers - start[square]] = order
    gaps = (rows[:, 1:] < 0).any(1)
    return PackTable(rows[np.argsort(gaps, kind="stable")], True, int(len(rows) - gaps.sum()), stride)


def panels(
    split: Sequence[int], outputs: int, steps: int, stride: int, lanes: int, groups: int = 1, span: int = 0
) -> Array:
    """Panels one after another, as `dense_conv` reads them: [group][panel][step][vector][lane].

    split: vectors of each panel of one group; outputs: of one group; span: bytes from a group's plain numbers to the
    next one's.
    """
    entries, packed, vectors = [], 0, sum(split)
    for group in range(groups):
        first = 0
        for size in split:
            real = min(size * lanes, outputs - first * lanes)
            entries.append((
                group * span + first * lanes * stride, packed, 4 * lanes * size, size, real,
                8 * lanes * (group * vectors + first),
            ))  # fmt: skip
            packed, first = packed + 4 * lanes * size * steps, first + size
    return np.array(entries, np.int64).reshape(-1, PANEL_SIZE // 8)


def columns(outputs: int, stride: int, lanes: int) -> Array:
    """A panel for each vector of [step][outputs, padded to whole vectors]: the layout of weight gradients."""
    vectors = -(-outputs // lanes)
    entries = [
        (
            k * lanes * stride,
            4 * lanes * k,
            4 * lanes * vectors,
            1,
            min(outputs - k * lanes, lanes),
            8 * lanes * k,
        )
        for k in range(vectors)
    ]
    return np.array(entries, np.int64).reshape(-1, PANEL_SIZE // 8)


def factors(scale: Array, groups: int, lanes: int) -> Array:
    """Factors of all outputs (float64), 1 in padding lanes: (groups, lanes of a group's panels)."""
    by_group = scale.reshape(groups, -1)
    padded = np.ones((groups, -(-by_group.shape[1] // lanes) * lanes))
    padded[:, : by_group.shape[1]] = by_group
    return padded


def arguments(
    table: PackTable, panels: Array, plain: Location, packed: Location, scale: Location = 0
) -> Record:
    """The record. plain, packed, scale: addresses (scale: of `factors`, or 0).

    The step has len(table.rows) rows and len(panels) parts.
    """
    return record(
        ARGUMENTS,
        {
            PLAIN: plain, PACKED: packed, STRIDE: table.stride, SCALE: scale, TABLE: kept(table.rows),
            SQUARES: int(table.squares), FULL: table.full, PANELS: kept(panels),
        },
    )  # fmt: skip
