"""Kernel calls that copy: inputs in, results out, concatenations, slices, padding by channels; and borders."""

from __future__ import annotations

from collections.abc import Callable

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import border, copy
from striate.engine.kernels.argument_record import record
from striate.engine.layout import Layout
from striate.engine.plan.computation import Copies, Copy
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.units import Buffer, Enter, Leave, Unit


def plain(value: Buffer) -> Layout:
    """NCHW without border, as the user's arrays."""
    return Layout(value.images, value.channels, value.height, value.width, 1)


class EnterLowering(Lowering[Enter]):
    """A program's input, or a flattened map in plain order, copied into the layout that kernels read."""

    bodies = (Enter,)

    def calls(self, unit: Unit, body: Enter, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs
        name = "copy in" if x.is_input else "copy"
        return [_step(unit, name, x, plain(x), y, y.layout, (0, y.layout.blocks * y.layout.lanes, 0))]


class LeaveLowering(Lowering[Leave]):
    """A value, copied into plain order: a result, or a flattened map."""

    bodies = (Leave,)

    def calls(self, unit: Unit, body: Leave, context: PlanContext) -> list[KernelCall]:
        x, y = unit.inputs[0].shaped, unit.outputs[0]
        name, span = "copy out" if y.is_result else "copy", (0, x.channels, 0)
        return [_step(unit, name, x, x.layout, y, plain(x), span, imagewise=not y.is_result)]


def _step(
    unit: Unit, name: str, x: Buffer, source: Layout, y: Buffer, result: Layout,
    span: tuple[int, int, int], area: tuple[int, int] | None = None,
    start: int = 0, skip: tuple[int, int] = (1, 1), end: int = 0, apart: tuple[int, int] = (1, 1),
    imagewise: bool = True,
) -> KernelCall:  # fmt: skip
    """Copy channels of x, numbered `shift` lower, to channels [first, last) of y, over area (rows, columns).

    start: bytes from x's first number to the first one read; end: from y's to the first one written; skip, apart:
    rows and columns from one to the next.
    """
    first, last, shift = span
    rows, columns = area or (result.height, result.width)

    arguments = record(
        copy.ARGUMENTS,
        {
            copy.IN: x.address + start,
            copy.IN_IMAGE: source.image,
            copy.IN_BLOCK: source.block,
            copy.IN_ROW: source.row * skip[0],
            copy.IN_PIXEL: source.pixel * skip[1],
            copy.OUT: y.address + end,
            copy.OUT_IMAGE: result.image,
            copy.OUT_BLOCK: result.block,
            copy.OUT_ROW: result.row * apart[0],
            copy.OUT_PIXEL: result.pixel * apart[1],
            copy.ROWS: rows,
            copy.COLUMNS: columns,
            copy.FIRST: first,
            copy.LAST: last,
            copy.SHIFT: shift,
            copy.CHANNELS: x.channels,
        },
    )
    turn = copy.rotation(shift, source.lanes, result.lanes)
    return KernelCall(
        unit, name, f"{source.lanes}->{result.lanes}", Kernel("copy", (source.lanes, result.lanes, turn)), arguments,
        x.images * rows, copy.parts(first, last, result.lanes), [x], [y], imagewise=imagewise,
    )  # fmt: skip


class CopiesLowering(Lowering[Copies]):
    """One call per copy; zeros where no copy reaches."""

    bodies = (Copies,)

    def calls(self, unit: Unit, body: Copies, context: PlanContext) -> list[KernelCall]:
        calls: list[KernelCall] = []
        for y in unit.outputs:
            k = unit.outputs.index(y)
            pieces = sorted((p for p in body.pieces if p.output == k), key=lambda p: p.target)
            parts = [_piece(unit, piece, unit.inputs[piece.port], y) for piece in pieces]
            covered = sum(
                piece.channels * rows * columns
                for piece, (rows, columns, _) in zip(pieces, parts, strict=True)
            )
            gaps = not body.partly and covered < y.channels * y.height * y.width
            if gaps:
                calls.append(zeros(unit, y))
            for index, (rows, columns, copied) in enumerate(parts):
                if rows and columns and pieces[index].channels:
                    calls.append(copied(index == len(pieces) - 1 and not gaps))
        return calls


def _piece(unit: Unit, piece: Copy, x: Buffer, y: Buffer) -> tuple[int, int, Callable[[bool], KernelCall]]:
    """Rows and columns of a piece, and a function that makes its call; its argument: fill the last block with zeros."""
    lanes = y.layout.lanes
    first, last = piece.target, piece.target + piece.channels
    top = left = 0
    rows, columns, start, end = y.height, y.width, 0, 0
    skip = apart = (1, 1)
    source, result = x.layout, y.layout
    if piece.maps is not None:
        ends = []
        inner = x if piece.back else y
        for m, size in zip(piece.maps, (inner.height, inner.width), strict=True):
            low = -(-max(m.before, 0) // m.step)
            high = min(-(-(m.input + m.before) // m.step), size)
            ends.append((low, max(high, low), low * m.step - m.before, m.step))
        (top, bottom, row, row_step), (left, right, column, column_step) = ends
        rows, columns = bottom - top, right - left
        read, write = (row, column), (top, left)
        if piece.back:
            read, write, apart = write, read, (row_step, column_step)
        else:
            skip = row_step, column_step
        start = read[0] * source.row + read[1] * source.pixel
        end = write[0] * result.row + write[1] * result.pixel

    def copied(final: bool) -> KernelCall:
        span = first, -(-last // lanes) * lanes if final else last, piece.target - piece.source
        return _step(unit, "copy", x, source, y, result, span, (rows, columns), start, skip, end, apart)

    return rows, columns, copied


def zeros(unit: Unit, y: Buffer) -> KernelCall:
    """Zeros for the whole buffer: a copy of channels that its source does not have."""
    span = 0, y.layout.blocks * y.layout.lanes, 1 << 40
    return _step(unit, "zeros", y, y.layout, y, y.layout, span)


def zero_border(unit: Unit, value: Buffer) -> KernelCall:
    """A call that zeroes the border of a buffer."""
    layout = value.layout
    lines = layout.top + layout.height + layout.bottom

    arguments = record(
        border.ARGUMENTS,
        {
            border.OUT: value.start_address, border.OUT_IMAGE: layout.image,
            border.OUT_BLOCK: layout.block, border.OUT_ROW: layout.row,
            border.TOP: layout.top, border.HEIGHT: layout.height, border.BOTTOM: layout.bottom,
            border.LEFT: layout.left, border.WIDTH: layout.width, border.RIGHT: layout.right,
        },
    )  # fmt: skip
    return KernelCall(
        unit, "border", "", Kernel("border", ("constant", layout.lanes)), arguments,
        layout.images * lines, layout.blocks, [], [value], only_writes=True, by_parts=True, imagewise=True,
    )  # fmt: skip
