"""Reads and writes of a generic loop nest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels.nest_spec import Access, AffineAxis, TableAxis, parse
from striate.engine.verify.regions import FIRST, numbers
from striate.engine.verify.touches import Accesses, KernelTask, once, outer_sum

Array = NDArray[Any]
Axis: TypeAlias = AffineAxis[int] | TableAxis[int]


class _Nest:
    """A nest's loops, for the rows of a task. Axes without common loops are computed one by one and added."""

    def __init__(self, call: KernelTask) -> None:
        self.call = call
        self.spec = parse(str(call.numbers[0]))
        loops, width, vector = self.spec.loops, self.spec.width, self.spec.vector
        first, end = call.task[:2]
        self.row_values: dict[int, Array] = {}
        """Loop variables that rows enumerate: their values for the task's rows."""
        rest = np.arange(first, end)
        for k in reversed(range(self.spec.rows)):
            extent = -(-loops[k] // width) if k == vector else loops[k]
            self.row_values[k] = rest % extent if k else rest
            rest = rest // extent if k else rest

    def values(self, names: Sequence[int]) -> dict[int, Array]:
        """Every combination of some loop variables' values."""
        loops, width, vector = self.spec.loops, self.spec.width, self.spec.vector
        rows = [name for name in names if name in self.row_values]
        result: dict[int, Array] = {}
        if rows:
            columns = np.unique(np.stack([self.row_values[name] for name in rows]), axis=1)
            result = dict(zip(rows, columns, strict=True))
            if vector in result:
                lanes = np.arange(width)
                wide = {name: np.repeat(array, width) for name, array in result.items()}
                wide[vector] = wide[vector] * width + np.tile(lanes, columns.shape[1])
                keep = wide[vector] < loops[vector] if loops[vector] else np.ones(wide[vector].size, bool)
                result = {name: array[keep] for name, array in wide.items()}
        for name in names:
            if name in result:
                continue
            indices = np.arange(loops[name])
            count = next(iter(result.values())).size if result else 1
            result = {other: np.repeat(array, indices.size) for other, array in result.items()}
            result[name] = np.tile(indices, count)
        return result

    def loops_of(self, name: int) -> set[int]:
        """Loop variables that a variable depends on; none for -1."""
        count = len(self.spec.loops)
        if name < 0:
            return set()
        if name < count:
            return {name}
        let = self.spec.lets[name - count]
        return self.loops_of(let.position) | self.loops_of(let.slot)

    def variable(self, name: int, env: dict[int, Array]) -> Array:
        count = len(self.spec.loops)
        if name < 0:
            return np.zeros(1, np.int64)
        if name < count:
            return env[name]
        let = self.spec.lets[name - count]
        at = self.variable(let.position, env) * let.slots + self.variable(let.slot, env)
        return self.table(let.table, at)

    def table(self, slot: int, at: Array) -> Array:
        entries = numbers(int(self.call.record[slot]), int(at.max(initial=0)) + 1, np.int32)
        return entries[at].astype(np.int64)

    def names(self, axis: Axis) -> set[int]:
        return set().union(*(self.loops_of(name) for name in axis.variables))

    def axis(self, axis: Axis, env: dict[int, Array]) -> tuple[Array, Array, Array | None]:
        """Byte offsets, positions, and which of them are inside."""
        if isinstance(axis, TableAxis):
            at = self.table(
                axis.table, self.variable(axis.out, env) * axis.taps + self.variable(axis.tap, env)
            )
            return at * 4, at, at >= 0 if axis.tested else None
        place, lanes = np.full(1, axis.offset, np.int64), axis.lanes
        for name, factor in axis.terms:
            place = place + self.variable(name, env) * factor
        place = place // axis.divisor
        place = place % axis.modulus if axis.modulus else place
        byte_offset = place // lanes * axis.block + place % lanes * 4 if lanes else place * axis.step
        return byte_offset, place, (place >= 0) & (place < axis.limit) if axis.tested else None

    def groups(self, axes: Sequence[Axis]) -> list[tuple[list[Axis], list[int]]]:
        """Axes in groups that share loops (or rows, if a task takes only some)."""
        all_rows = self.call.task[1] - self.call.task[0] == self.call.count
        groups: list[tuple[list[Axis], set[int]]] = []
        for axis in axes:
            members, names = [axis], self.names(axis)
            for group in [
                g for g in groups if _linked(g[1], names, set() if all_rows else set(self.row_values))
            ]:
                groups.remove(group)
                members, names = group[0] + members, group[1] | names
            groups.append((members, names))
        return [(members, sorted(names)) for members, names in groups]

    def places(self, access: Access[int], only: tuple[Axis, int] | None = None) -> Array:
        """Addresses of an access. only: an axis of it, and the one position along it that counts."""
        offsets: list[Array] = []
        for axes, names in self.groups(access.axes):
            env = self.values(names)
            count = next(iter(env.values())).size if env else 1
            offset, inside = np.zeros(count, np.int64), np.ones(count, bool)
            for axis in axes:
                at, place, real = self.axis(axis, env)
                offset = offset + at
                inside = inside & real if real is not None else inside
                if only is not None and axis is only[0]:
                    inside = inside & (place == only[1])
            offsets.append(once(offset[inside]))
        if any(not array.size for array in offsets):
            return np.zeros(0, np.int64)
        return outer_sum(int(self.call.record[access.slot]), *offsets)


def _linked(a: set[int], b: set[int], rows: set[int]) -> bool:
    return bool(a & b) or bool(a & rows and b & rows)


def nest(call: KernelTask) -> Accesses:
    """A generic loop nest."""
    model = _Nest(call)
    spec, accesses = model.spec, Accesses()
    target = spec.target
    outputs = model.places(target)
    accesses.writes.append(outputs)
    if spec.fill:
        channels, lanes = spec.fill
        split = next((axis for axis in target.axes if isinstance(axis, AffineAxis) and axis.lanes), None)
        last = model.places(target, None if split is None else (split, channels - 1))
        if last.size and (split is not None or channels == 1):
            accesses.writes.append(outer_sum(last, np.arange(1, lanes - channels % lanes + 1) * 4))
    for access in (*spec.reads, *spec.starts):
        if access in spec.starts and (access.slot, access.axes) == (target.slot, target.axes):
            accesses.local.append((outputs, outputs))
            continue
        places = model.places(access)
        if places.size and places[0] >= FIRST:  # tables lie in a process's memory
            accesses.reads.append(places)
    accesses.writes = [array for array in accesses.writes if array.size]
    return accesses
