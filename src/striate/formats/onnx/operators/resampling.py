"""Resampling: the grids of ONNX's Resize as ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.operators.register import reads, writes
from striate.geometry import Linear, Nearest
from striate.ops.gather import Gather
from striate.ops.upsample import Upsample

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

Array = NDArray[Any]


@reads("Resize", "Upsample")
def _resize(site: Site) -> Value:
    x = site.standard(site.value())
    resize = site.call.kind == "Resize"
    newer = resize and site.opset >= 11
    scales = site.attribute("scales") or None
    if scales is None:
        array = site.optional(2 if newer else 1)
        scales = (
            None if array is None or not array.size else [float(str(np.float32(s))) for s in array.ravel()]
        )
    sizes = site.integers("sizes", 3) if newer else None
    rank = len(x.shape)
    axes = [site.axis(axis, rank) for axis in site.attribute("axes") or range(rank)]
    request = scales if scales is not None else sizes
    site.expect(request is not None and len(request) == len(axes), "neither scales nor sizes")
    site.expect(not site.attribute("exclude_outside", 0), "exclude_outside")
    full: dict[int, float] = dict(zip(axes, request or ()))
    if scales is None:
        full = _keep_aspect(site, x, full)
        full = {k: n / x.shape[k] for k, n in full.items()}
    site.expect(all(full.get(k, 1.0) == 1 for k in (0, 1)), "resized channels")
    factors = [full.get(k, 1.0) for k in range(2, rank)]
    target = [math.floor(n * f + 1e-9) for n, f in zip(x.spec.spatial, factors)]
    exact = all(abs(n * f - m) < 1e-6 for n, f, m in zip(x.spec.spatial, factors, target))
    if site.attribute("mode", "nearest") == "nearest":
        return _nearest(site, x, factors, target, "asymmetric" if not newer else "", scales is not None)
    place = site.attribute("coordinate_transformation_mode", "half_pixel") if newer else "asymmetric"
    if exact and place == "half_pixel_symmetric":  # then both are the same
        place = "half_pixel"
    method, corners = _method(site, place, target)
    site.expect(not site.attribute("antialias", 0) or min(factors) >= 1, "antialiasing")
    site.expect(exact or not corners, "scales that do not match the sizes")
    if len(set(factors)) == 1 and scales is not None:
        return site.emit(Upsample(factors[0], None, method, corners), x)
    site.expect(exact, "scales that do not match the sizes")
    return site.emit(Upsample(None, tuple(target), method, corners), x)


def _keep_aspect(site: Site, x: Value, sizes: Mapping[int, float]) -> dict[int, float]:
    """The sizes, or the nearest ones that keep the aspect ratio."""
    policy = site.attribute("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return dict(sizes)
    choose = {"not_larger": min, "not_smaller": max}[policy]
    factor = choose(n / x.shape[k] for k, n in sizes.items())
    return {k: math.floor(x.shape[k] * factor + 0.5) for k in sizes}


def _nearest(
    site: Site, x: Value, factors: Sequence[float], target: Sequence[int], place: str, scaled: bool
) -> Value:
    """Nearest neighbor: ⌊i/scale⌋ is an op of Striate; every other choice becomes a list of source positions."""
    rounding = "floor" if place else site.attribute("nearest_mode", "round_prefer_floor")
    place = place or site.attribute("coordinate_transformation_mode", "half_pixel")
    integral = all(f >= 1 and f == int(f) for f in factors)
    half = place in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
    if (place, rounding) == ("asymmetric", "floor") or (integral and half and rounding.startswith("round")):
        if len(set(factors)) == 1 and scaled:
            return site.emit(Upsample(factors[0]), x)
        if all(abs(n * f - m) < 1e-6 for n, f, m in zip(x.spec.spatial, factors, target)):
            return site.emit(Upsample(None, tuple(target)), x)
    site.expect(place in PLACES and rounding in ROUNDINGS, f"nearest by {place}, {rounding}")
    for axis, n, m, f in zip(x.spec.axes[2:], x.spec.spatial, target, factors):
        site.charge_list(n + m)
        grid = PLACES[place](np.arange(m, dtype=np.float64), n, m, f)
        entries = [int(k) for k in np.clip(ROUNDINGS[rounding](np.round(grid, 9)), 0, n - 1)]
        if entries != list(range(n)):
            x = site.emit(Gather(tuple(entries), axis), x)
    return x


PLACES: Mapping[str, Callable[[Array, int, int, float], Array]] = {
    "half_pixel": lambda i, n, m, f: (i + 0.5) / f - 0.5,
    "pytorch_half_pixel": lambda i, n, m, f: (i + 0.5) / f - 0.5 if m > 1 else 0 * i,
    "half_pixel_symmetric": lambda i, n, m, f: n / 2 * (1 - m / (f * n)) + (i + 0.5) / f - 0.5,
    "align_corners": lambda i, n, m, f: i * (n - 1) / max(m - 1, 1),
    "asymmetric": lambda i, n, m, f: i / f,
}
"""Source position of output i of m on an input of n, scaled by f."""
ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _method(site: Site, place: str, target: Sequence[int]) -> tuple[str, bool]:
    """(interpolation, whether corners are aligned). Raises Unknown for other grids."""
    mode = site.attribute("mode")
    site.expect(mode in ("linear", "bilinear", "cubic"), f"{mode} resampling")
    site.expect(mode != "cubic" or site.attribute("cubic_coeff_a", -0.75) == -0.75, "another cubic kernel")
    halves = place == "half_pixel" or (place == "pytorch_half_pixel" and min(target) > 1)
    site.expect(halves or place == "align_corners", f"{mode.removeprefix('bi')} by {place}")
    return "bicubic" if mode == "cubic" else "bilinear", place == "align_corners"


def _grids(pen: Pen) -> list[Nearest | Linear]:
    """The source positions along every spatial axis."""
    readings = pen.declaration.readings[0]
    maps = (readings[axis].map for axis in pen.inputs[0].spatial_axes)
    return [grid for grid in maps if isinstance(grid, Nearest | Linear)]


def _resizes(op: Any, grids: Sequence[Nearest | Linear]) -> bool:
    """True if a Resize expresses it: sizes and neighbors survive single precision, and an axis that keeps its size is
    copied (as onnxruntime does, whatever the scale).
    """
    if op.method == "bicubic" and len(grids) != 2:  # onnxruntime supports it for images only
        return False
    aligned = op.align_corners and op.method != "nearest"
    unchanged = all(grid.size == grid.input for grid in grids)
    if unchanged and not aligned and any(grid.ratio != 1 for grid in grids):
        return False
    for grid in grids:
        scale = np.float32(op.scale if op.scale is not None else grid.size / grid.input)
        if op.scale is not None and int(np.float32(grid.input) * scale) != grid.size:
            return False
        if isinstance(grid, Nearest):
            positions = np.floor(np.arange(grid.size, dtype=np.float32) / scale)
            if any(int(k) != grid.position(i, 0) for i, k in enumerate(positions)):
                return False
    return True


def _write_by_axis(pen: Pen, grids: Sequence[Nearest | Linear]) -> None:
    """Nearest neighbors as a gather, interpolation as a matrix product, axis by axis."""
    x, rank = pen.x, len(grids)
    for axis, grid in enumerate(grids, 2):
        final = axis == rank + 1
        if isinstance(grid, Nearest):
            entries = pen.integers(*(grid.position(i, 0) or 0 for i in range(grid.size)))
            if final:
                pen.last("Gather", x, entries, axis=axis)
            else:
                x = pen.call("Gather", x, entries, axis=axis)
            continue
        shares = pen.constant(np.array(grid.shares(), np.float32))
        if final:
            pen.last("MatMul", x, shares)
            continue
        order = [*range(rank + 2)]
        order[axis], order[-1] = order[-1], order[axis]
        turned = pen.call("MatMul", pen.call("Transpose", x, perm=order), shares)
        x = pen.call("Transpose", turned, perm=order)


@writes("upsample")
def _write_upsample(pen: Pen, op: Any) -> None:
    grids = _grids(pen)
    if not _resizes(op, grids):
        _write_by_axis(pen, grids)
        return
    if op.method == "nearest":
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    else:
        attributes = {
            "mode": "cubic" if op.method == "bicubic" else "linear",
            "coordinate_transformation_mode": "align_corners" if op.align_corners else "half_pixel",
        }
    if op.scale is not None:
        scales = pen.constant(np.array([1, 1, *[op.scale] * len(pen.inputs[0].spatial)], np.float32))
        pen.last("Resize", pen.x, "", scales, **attributes)
        return
    batch = pen.call("Slice", pen.call("Shape", pen.x), pen.integers(0), pen.integers(1))
    sizes = pen.call("Concat", batch, pen.integers(*pen.outputs[0].shape[1:]), axis=0)
    pen.last("Resize", pen.x, "", "", sizes, **attributes)
