"""Resampling and padding by lists of positions and weights, where torch's functions differ or do not exist.

torch copies an axis that keeps its size, whatever the scale; it rounds positions in single precision; it folds at a
border at most once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from striate.geometry import AxisMap, Linear, Nearest, fold
from striate.op import Declaration


def maps(declaration: Declaration) -> list[AxisMap]:
    """The map of every spatial axis by which an op reads its input."""
    readings, spec = declaration.readings[0], declaration.inputs[0]
    return [axis_map for axis in spec.spatial_axes if (axis_map := readings[axis].map) is not None]


def take(x: Any, axis: int, entries: Sequence[int]) -> Any:
    """The listed entries of an axis."""
    return x[(*(slice(None) for _ in range(axis)), [*entries])]


def nearest(x: Any, grids: Sequence[AxisMap]) -> Any:
    """Resample every spatial axis by the nearest neighbors of its map."""
    for axis, grid in enumerate(grids, 2):
        entries = [position for i in range(grid.output) if (position := grid.position(i, 0)) is not None]
        x = x if entries == list(range(grid.input)) else take(x, axis, entries)
    return x


def blend(x: Any, shares: Sequence[Any]) -> Any:
    """Multiply every spatial axis by its matrix of weights."""
    for axis, matrix in enumerate(shares, 2):
        x = (x.movedim(axis, -1) @ x.new_tensor(matrix)).movedim(-1, axis)
    return x


def pad_by_folding(x: Any, sizes: Sequence[int], pairs: Sequence[tuple[int, int]], mode: str) -> Any:
    """Pad the spatial axes, of these sizes, by their own values, to any length."""
    for axis, (size, (before, after)) in enumerate(zip(sizes, pairs, strict=True), 2):
        if before or after:
            entries = [fold(i, size, mode) for i in range(-before, size + after)]
            x = take(x, axis, [entry for entry in entries if entry is not None])
    return x


def torch_folds(mode: str, sizes: Sequence[int], pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether torch's padding suffices: it folds at most once."""
    beyond = {"reflect": 1, "circular": 0}.get(mode)
    if mode == "symmetric" or beyond is None:
        return mode == "replicate"
    return all(max(pair) + beyond <= size for size, pair in zip(sizes, pairs, strict=True))


def same_in_torch(grids: Sequence[AxisMap]) -> bool:
    """Whether torch resamples in the same way: nearest neighbors by integer factors, without rounding, and
    interpolation if no axis keeps its size at another scale than 1.
    """
    for grid in grids:
        if isinstance(grid, Nearest) and 1 not in (grid.ratio.numerator, grid.ratio.denominator):
            return False
        if type(grid) is Linear and grid.size == grid.input and not grid.align_corners and grid.ratio != 1:
            return False
    return True
