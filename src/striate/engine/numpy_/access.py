"""Accesses as arrays: a load becomes a strided view whose axes are the loop variables, and back.

`read` turns the index of a load into a view of its tensor; `scatter` is its adjoint: it adds a gradient of the view to
the tensor. Sliding windows are strides, never copies; only padding and irregular maps copy.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from striate.geometry import AxisMap, Shift, Window
from striate.statement import Affine, Index

Array = NDArray[Any]

_PAD_MODE = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


@dataclasses.dataclass(frozen=True)
class Labeled:
    """An array and the loop variable of each of its axes."""

    array: Array
    labels: tuple[str, ...]

    def align(self, labels: Sequence[str]) -> Array:
        """The array with one axis per label, of size 1 where it does not vary."""
        order = [self.labels.index(label) for label in labels if label in self.labels]
        transposed = self.array.transpose(order)
        return transposed.reshape(
            [transposed.shape[order.index(self.labels.index(v))] if v in self.labels else 1 for v in labels]
        )


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Access along one tensor axis. terms: (variable, stride, size); table: positions of an irregular map."""

    terms: tuple[tuple[str, int, int], ...]
    start: int = 0
    before: int = 0
    after: int = 0
    mode: str = "zeros"
    table: Array | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.terms)


def _axis(index: Index, ranges: Mapping[str, int], size: int) -> _Axis:
    """The access along one axis of `size`."""
    if isinstance(index, Affine):
        if index.divisor == 1 and not index.modulus:
            return _Axis(tuple((v, factor, ranges[v]) for v, factor in index.terms), index.offset)
        grids = np.indices(tuple(ranges[v] for v, _ in index.terms))
        flat = sum(
            (grid * factor for grid, (_, factor) in zip(grids, index.terms)), start=np.asarray(index.offset)
        )
        flat = flat // index.divisor
        return _Axis(
            tuple((v, 0, ranges[v]) for v, _ in index.terms),
            table=flat % index.modulus if index.modulus else flat,
        )
    axis_map, out, tap = index.map, index.out, index.tap
    if isinstance(axis_map, Window):
        # A transposed convolution may leave the last positions of its target unwritten.
        reach = (ranges[out] - 1) * axis_map.stride + axis_map.extent
        before, after = axis_map.before, max(reach - axis_map.before - size, 0)
        slides = ((out, axis_map.stride, ranges[out]), (tap, axis_map.dilation, axis_map.kernel))
        # Positions that ceil mode adds past the end are not padding: only zeros can stand for them.
        plain = axis_map.mode == "zeros" or after <= axis_map.after
        if plain and _pads(axis_map.mode, size, before, after):
            return _Axis(slides, 0, before, after, axis_map.mode)
    if isinstance(axis_map, Shift):
        before, after = max(axis_map.before, 0), max(axis_map.after, 0)
        if _pads(axis_map.mode, size, before, after):
            moves = ((out, axis_map.step, axis_map.output),)
            return _Axis(moves, max(-axis_map.before, 0), before, after, axis_map.mode)
    if not tap:
        return _Axis(((out, 0, axis_map.output),), table=_table(axis_map)[:, 0])
    return _Axis(((out, 0, axis_map.output), (tap, 0, axis_map.taps)), table=_table(axis_map))


def _pads(mode: str, size: int, before: int, after: int) -> bool:
    """Whether numpy's padding equals folding once; larger pads need a table."""
    limit = {"zeros": before + after, "replicate": before + after, "reflect": size - 1}.get(mode, size)
    return max(before, after) <= limit


@functools.lru_cache(maxsize=256)
def _table(axis_map: AxisMap) -> Array:
    """Positions (output, taps), -1 where nothing is read."""
    rows = [[axis_map.position(i, u) for u in range(axis_map.taps)] for i in range(axis_map.output)]
    table = np.array([[-1 if x is None else x for x in row] for row in rows], np.int64)
    return table.reshape(axis_map.output, axis_map.taps)


@functools.lru_cache(maxsize=2048)
def plan(
    index: tuple[Index, ...], ranges: tuple[tuple[str, int], ...], shape: tuple[int, ...]
) -> tuple[_Axis, ...]:
    """The access along each axis of a tensor of `shape`, for an index over loop ranges."""
    return tuple(_axis(item, dict(ranges), size) for item, size in zip(index, shape, strict=True))


def pad(array: Array, axes: Sequence[_Axis], outside: float) -> Array:
    """Pad the tensor as its axes require; the tensor itself if they need no padding."""
    for at, axis in enumerate(axes):
        if axis.mode != "zeros" and (axis.before or axis.after):
            widths = [(0, 0)] * array.ndim
            widths[at] = (axis.before, axis.after)
            array = np.pad(array, widths, mode=_PAD_MODE[axis.mode])  # type: ignore[call-overload]
    widths = [(a.before, a.after) if a.mode == "zeros" else (0, 0) for a in axes]
    if any(before or after for before, after in widths):
        shape = [n + before + after for n, (before, after) in zip(array.shape, widths)]
        result = np.full(shape, outside, array.dtype)
        result[tuple(slice(before, before + n) for n, (before, _) in zip(array.shape, widths))] = array
        array = result
    return array


def read(array: Array, index: tuple[Index, ...], ranges: Mapping[str, int], outside: float = 0.0) -> Labeled:
    """The tensor with one axis per loop variable; a view of `array` wherever strides suffice."""
    if _is_entangled(index):
        flat = _addresses(index, ranges, array.shape)
        return Labeled(array.ravel()[flat.array], flat.labels)
    axes = plan(index, tuple(ranges.items()), array.shape)
    for at, axis in enumerate(axes):
        if axis.table is not None:
            # One row after the end stands for positions outside.
            lack = bool((axis.table < 0).any())
            if lack:
                edge = np.full((*array.shape[:at], 1, *array.shape[at + 1 :]), outside, array.dtype)
                array = np.concatenate([array, edge], axis=at)
            array = np.take(array, axis.table.ravel(), axis=at, mode="wrap" if lack else "raise")
            axes = _flatten_axis(axes, at, axis)
    array = pad(array, axes, outside)
    shape: list[int] = []
    strides: list[int] = []
    labels: list[str] = []
    corner: list[slice] = []
    for at, axis in enumerate(axes):
        corner.append(slice(axis.start, None))
        for name, step, size in axis.terms:
            shape.append(size)
            strides.append(step * array.strides[at])
            labels.append(name)
    view = as_strided(array[tuple(corner)], shape, strides, writeable=False)
    return Labeled(view, tuple(labels))


def _flatten_axis(axes: tuple[_Axis, ...], at: int, axis: _Axis) -> tuple[_Axis, ...]:
    """Replace an axis by the result of its table: row-major over its variables."""
    terms, step = [], 1
    for name, _, size in reversed(axis.terms):
        terms.append((name, step, size))
        step *= size
    return (*axes[:at], _Axis(tuple(reversed(terms))), *axes[at + 1 :])


def _is_entangled(index: tuple[Index, ...]) -> bool:
    """Whether one variable indexes several axes, as in a reshape: entries are then addressed one by one."""
    names = [v for item in index if isinstance(item, Affine) for v, _ in item.terms]
    return len(set(names)) < len(names)


def _addresses(index: tuple[Index, ...], ranges: Mapping[str, int], shape: tuple[int, ...]) -> Labeled:
    """Flat positions, row-major, of every entry that an affine index reads."""
    affine = [item for item in index if isinstance(item, Affine)]
    names = tuple(v for v in ranges if any(v == name for item in affine for name, _ in item.terms))
    grids = dict(zip(names, np.ogrid[tuple(slice(ranges[v]) for v in names)], strict=True))
    flat: Array = np.zeros([ranges[v] for v in names], np.int64)
    for item, size in zip(affine, shape, strict=True):
        place = (
            sum((grids[v] * factor for v, factor in item.terms), start=np.asarray(item.offset))
            // item.divisor
        )
        flat = flat * size + (place % item.modulus if item.modulus else place)
    return Labeled(flat, names)


def scatter(
    gradient: Labeled, index: tuple[Index, ...], ranges: Mapping[str, int], shape: tuple[int, ...]
) -> Array:
    """Adjoint of `read`: add every number of the view to the tensor entry that it was read from."""
    if _is_entangled(index):
        flat = _addresses(index, ranges, shape)
        values = _reduce_to(gradient, flat.labels, ranges)
        target = np.zeros(shape, values.dtype)
        np.add.at(target.reshape(-1), flat.array.ravel(), values.ravel())
        return target
    axes = plan(index, tuple(ranges.items()), shape)
    dense = tuple(axis if axis.table is None else _flatten_axis((axis,), 0, axis)[0] for axis in axes)
    names = [name for axis in dense for name in axis.labels]
    values = _reduce_to(gradient, names, ranges)
    extents = [
        axis.table.size if axis.table is not None else size + axis.before + axis.after
        for axis, size in zip(axes, shape, strict=True)
    ]
    target = np.zeros(extents, values.dtype)
    _add(target, dense, values)
    for at, axis in enumerate(axes):
        if axis.table is not None:
            target = _table_adjoint(target, at, axis.table, shape[at])
        elif axis.before or axis.after:
            target = _padding_adjoint(target, at, axis, shape[at])
    return target


def _reduce_to(gradient: Labeled, names: Sequence[str], ranges: Mapping[str, int]) -> Array:
    """The gradient with exactly the axes `names`: others are summed, missing ones broadcast."""
    extra = tuple(k for k, label in enumerate(gradient.labels) if label not in names)
    array = gradient.array.sum(axis=extra) if extra else gradient.array
    labeled = Labeled(array, tuple(label for label in gradient.labels if label in names))
    return np.broadcast_to(labeled.align(names), tuple(ranges[name] for name in names))


def _add(target: Array, axes: Sequence[_Axis], values: Array) -> None:
    """Accumulate a view's values: one slice per combination of all but each axis' longest variable."""
    slow: list[range] = []
    for axis in axes:
        longest = max(range(len(axis.terms)), key=lambda k: axis.terms[k][2], default=-1)
        slow.extend(range(1) if k == longest else range(size) for k, (_, _, size) in enumerate(axis.terms))
    for step in itertools.product(*slow):
        where: list[slice | int] = []
        pick: list[slice | int] = []
        at = 0
        for axis in axes:
            start, long = axis.start, None
            longest = max(range(len(axis.terms)), key=lambda k: axis.terms[k][2], default=-1)
            for k, (_, stride, size) in enumerate(axis.terms):
                if k == longest:
                    long = (stride, size)
                    pick.append(slice(None))
                else:
                    start += step[at] * stride
                    pick.append(step[at])
                at += 1
            where.append(
                start if long is None else slice(start, start + (long[1] - 1) * long[0] + 1, long[0])
            )
        target[tuple(where)] += values[tuple(pick)]


def _table_adjoint(values: Array, at: int, table: Array, size: int) -> Array:
    """Adjoint of indexing one axis by a table."""
    rows = np.moveaxis(values, at, 0)
    total = np.zeros((size, *rows.shape[1:]), values.dtype)
    flat = table.ravel()
    real = flat >= 0
    np.add.at(total, flat[real], rows[real])
    return np.moveaxis(total, 0, at)


def _padding_adjoint(values: Array, at: int, axis: _Axis, size: int) -> Array:
    """Adjoint of padding along one axis: zeros are dropped, repeated entries added to their sources."""
    rows = np.moveaxis(values, at, 0)
    inner = rows[axis.before : axis.before + size]
    if axis.mode != "zeros":
        inner = inner.copy()
        table = _table(Shift(size, axis.before, axis.after, 1, axis.mode))[:, 0]
        outside = np.r_[0 : axis.before, axis.before + size : len(rows)]
        np.add.at(inner, table[outside], rows[outside])
    return np.moveaxis(inner, 0, at)
