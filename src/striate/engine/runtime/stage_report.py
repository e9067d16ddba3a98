"""The stages of a plan before its calls run, as data: units, buffers, spans and memory."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence

from striate.engine.kernels.expression import text
from striate.engine.plan.execution_plan import ExecutionPlan
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.plan.per_image import PerImageSpan
from striate.engine.plan.units import Buffer, FusedElementwise, Unit


@dataclasses.dataclass(frozen=True)
class UnitRow:
    """Nodes that are computed together. body: what they compute; applied: what is applied to it before it is stored;
    reads, writes: names of buffers."""

    nodes: tuple[str, ...]
    body: str
    applied: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class BufferRow:
    """Where a buffer lies. lanes: channels that lie side by side; home: the buffer that it is a part of, or "", and the
    first channel in it; border: top, bottom, left, right; bytes: of the buffer and its border."""

    name: str
    shape: tuple[int, ...]
    lanes: int
    home: str
    first: int
    border: tuple[int, int, int, int]
    bytes: int


@dataclasses.dataclass(frozen=True)
class CallRow:
    """A kernel call for the whole batch. span: number of the span whose images it runs one by one, or None; slots:
    buffers that it touches and that have one slot for all images; weights: bytes."""

    nodes: tuple[str, ...]
    algorithm: str
    tile: str
    span: int | None
    slots: tuple[str, ...]
    weights: int


@dataclasses.dataclass(frozen=True)
class MemoryRow:
    """A buffer's place in the arena, in bytes, and the first and last epoch in which it is needed."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int


def unit_rows(units: Iterable[Unit]) -> tuple[UnitRow, ...]:
    """Rows of some units, in the order of the run."""
    return tuple(
        UnitRow(tuple(unit.nodes), _body(unit), _applied(unit), _names(unit.reads), _names(unit.outputs))
        for unit in units
    )


def buffer_rows(units: Iterable[Unit]) -> tuple[BufferRow, ...]:
    """Rows of the buffers of some units, in the order in which they are written."""
    every = dict.fromkeys(value for unit in units for value in (*unit.reads, *unit.outputs))
    return tuple(
        BufferRow(
            value.name, value.shape, value.root.lanes, value.root.name if value.home is not None else "", value.first,
            value.root.pads, value.shaped.layout.bytes,
        )
        for value in every
    )  # fmt: skip


def call_rows(calls: Sequence[KernelCall], spans: Sequence[PerImageSpan]) -> tuple[CallRow, ...]:
    """Rows of the calls for a batch."""
    rows = []
    for k, call in enumerate(calls):
        span = next((at for at, span in enumerate(spans, 1) if span.first <= k < span.end), None)
        slots = [v.root for v in (*call.reads, *call.writes) if v.root.shares_image_slot]
        rows.append(
            CallRow(tuple(call.unit.nodes), call.algorithm, call.tile, span, _names(slots), call.weights)
        )
    return tuple(rows)


def memory_rows(plan: ExecutionPlan, calls: Iterable[KernelCall]) -> tuple[MemoryRow, ...]:
    """Rows of the buffers that some calls of a plan use, by the time of their first use, then by their place."""
    used = dict.fromkeys(v.root for call in calls for v in (*call.reads, *call.writes) if not v.root.outside)
    rows = [
        MemoryRow(value.name, plan.arena.offsets[value], value.layout.bytes, *plan.arena.life[value])
        for value in used
    ]
    return tuple(sorted(rows, key=lambda row: (row.first, row.offset)))


def _names(values: Iterable[Buffer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.name for value in values))


def _body(unit: Unit) -> str:
    """What a unit computes: the expression of elementwise functions, else the name of its pattern."""
    body = unit.body
    if isinstance(body, FusedElementwise):
        constants = {name: name for name in body.constants}
        return text(body.value, {**constants, **{name: value.name for name, value in body.values.items()}})
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", type(body).__name__).lower()


def _applied(unit: Unit) -> str:
    """Folds, residual, clamp and epilogue, in this order."""
    parts = [f"{len(unit.folds)} folded into the weights"] if unit.folds else []
    if unit.residual is not None:
        parts.append(f"+ {unit.residual.name}")
    if unit.low != -math.inf:
        parts.append(f"max {unit.low:g}")
    if unit.high != math.inf:
        parts.append(f"min {unit.high:g}")
    if unit.epilogue is not None:
        parts.append(text(unit.epilogue, {"x0": "x"}))
    return ", ".join(parts)
