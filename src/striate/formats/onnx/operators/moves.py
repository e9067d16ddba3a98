"""Operators that only move entries: reshape, transpose, slice, pad, shuffle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.onnx.fold import target
from striate.formats.onnx.operators.register import reads, writes
from striate.formats.peephole import LOWEST
from striate.ops.gather import Gather
from striate.ops.rearrange import Rearrange
from striate.ops.reshape import ChannelShuffle, Pad, PixelShuffle, PixelUnshuffle, Slice, Split
from striate.tensor import SPATIAL

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
"""ONNX's padding mode -> Striate's."""
WRITTEN = {striate: onnx for onnx, striate in MODES.items()}
"""The inverse; wrap needs opset 19."""


@reads("Reshape")
def _reshape(site: Site) -> Value:
    x, request = site.value(), site.array(1).ravel().tolist()
    shape = target(x.shape, request, bool(site.attribute("allowzero", 0)))
    return site.reshape(x, shape, request)


@reads("Flatten")
def _flatten(site: Site) -> Value:
    x = site.value()
    axis = site.attribute("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return site.reshape(x, (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))))


@reads("Squeeze", "Unsqueeze")
def _squeeze(site: Site) -> Value:
    x, axes = site.value(), site.integers("axes", 1)
    shape = list(x.shape)
    if site.call.kind == "Unsqueeze":
        site.expect(axes is not None, "no axes")
        rank = len(shape) + len(axes or ())
        for axis in sorted(site.axis(a, rank) for a in axes or ()):
            shape.insert(axis, 1)
    else:
        ones = [k for k, n in enumerate(shape) if n == 1 and k]
        drop = {site.axis(a, len(shape)) for a in axes or ones}
        site.expect(all(shape[k] == 1 for k in drop), "it drops an axis with more than one entry")
        shape = [n for k, n in enumerate(shape) if k not in drop]
    return site.reshape(x, shape)


@reads("Expand")
def _expand(site: Site) -> Value:
    x = site.value()
    wide = np.broadcast_shapes(x.shape, tuple(site.array(1).ravel().tolist()))
    if wide == x.shape:
        return x
    site.expect(len(wide) == len(x.shape) and wide[0] == x.shape[0], "a value repeated along new axes")
    return site.broadcast(x, wide) if site.leaves else dataclasses.replace(x, wide=wide)


@reads("Tile")
def _tile(site: Site) -> Value:
    x, times = site.value(), [int(n) for n in site.array(1).ravel()]
    site.expect(
        len(times) == len(x.shape) and times[0] == 1 and min(times) > 0, "images repeated along the batch"
    )
    for axis, size, count in zip(x.spec.axes, x.shape, times):
        if count > 1:
            site.charge_list(size * count)
            x = site.emit(Gather(tuple(range(size)) * count, axis), x)
    return x


@reads("Cast", "CastLike")
def _cast(site: Site) -> Value:
    site.expect(
        site.call.kind == "CastLike" or site.attribute("to") in (1, 10, 11, 16), "a cast to whole numbers"
    )
    return site.value()


@reads("Transpose")
def _transpose(site: Site) -> Value:
    x = site.value()
    return site.transpose(x, site.attribute("perm") or [*range(len(x.shape))][::-1])


@reads("striate.Move")
def _move(site: Site) -> Value:
    """Reshape, transpose, reshape: a channel shuffle if it is one."""
    x = site.value()
    apart = target(x.shape, site.array(site.attribute("at_apart")).ravel().tolist())
    order = site.attribute("perm") or [*range(len(apart))][::-1]
    turned = [apart[k] for k in order]
    request = site.array(site.attribute("at_together")).ravel().tolist()
    together = target(turned, request)
    space = len(x.spec.spatial)
    if x.spec.axes[1] == "C" and apart[0] == together[0] == x.shape[0]:
        channels = x.spec.channels
        dealt = [0, 2, 1, *range(3, 3 + space)]
        if (
            order == dealt
            and apart[3:] == x.spec.spatial
            and together == x.shape
            and apart[1] * apart[2] == channels
        ):
            return site.emit(ChannelShuffle(apart[1]), x)
        if len(apart) == 6 and space == 2:
            factor = apart[3]
            out = (x.shape[0], apart[1], x.shape[2] * factor, x.shape[3] * factor)
            if (
                order == [0, 1, 4, 2, 5, 3]
                and apart[2] == factor
                and apart[4:] == x.spec.spatial
                and together == out
            ):
                return site.emit(PixelShuffle(factor), x)
            fold = (x.shape[0], channels * factor**2, apart[2], apart[4])
            if (
                order == [0, 1, 3, 5, 2, 4]
                and apart[5] == factor
                and apart[1] == channels
                and together == fold
            ):
                return site.emit(PixelUnshuffle(factor), x)
    if len(apart) - 2 in SPATIAL:
        parts = site.transpose(site.reshape(x, apart), order)
        return site.reshape(parts, together, request)
    site.expect(apart[0] == together[0] == x.shape[0] and order[0] == 0, "the batch does not stay first")
    return site.emit(Rearrange(apart[1:], tuple(k - 1 for k in order[1:]), together[1:]), x)


@reads("striate.Strided")
def _strided(site: Site) -> Value:
    """PyTorch's as_strided (flatten, then gather), supported as a reshape if it keeps the order."""
    x, where = site.value(), site.array(site.attribute("at_groups"))
    flat = target(x.shape, site.array(site.attribute("at_apart")).ravel().tolist())
    site.expect(len(flat) == 1 and where.size == flat[0], "scattered entries")
    site.expect(bool((where.ravel() == np.arange(flat[0])).all()), "scattered entries")
    return site.reshape(x, where.shape)


@reads("DepthToSpace")
def _depth_to_space(site: Site) -> Value:
    x, factor = site.standard(site.value()), site.attribute("blocksize")
    if site.attribute("mode", "DCR") == "DCR" and x.spec.channels > factor**2:
        x = site.emit(ChannelShuffle(factor**2), x)
    return site.emit(PixelShuffle(factor), x)


@reads("SpaceToDepth")
def _space_to_depth(site: Site) -> Value:
    x, factor = site.standard(site.value()), site.attribute("blocksize")
    y = site.emit(PixelUnshuffle(factor), x)
    plain = x.spec.channels == 1 or site.attribute("mode", "DCR") == "CRD"
    return y if plain else site.emit(ChannelShuffle(x.spec.channels), y)


@reads("Slice")
def _slice(site: Site) -> Value:
    x = site.value()
    starts, ends, axes = (site.integers(name, at) for at, name in enumerate(("starts", "ends", "axes"), 1))
    steps = site.integers("steps", 4) or [1] * len(starts or ())
    site.expect(starts is not None and ends is not None, "no limits")
    for start, end, axis, step in zip(starts or (), ends or (), axes or range(len(starts or ())), steps):
        x = _cut(site, x, site.axis(axis, len(x.shape)), start, end, step)
    return x


def _cut(site: Site, x: Value, axis: int, start: int, end: int | None, step: int) -> Value:
    size = x.shape[axis]
    first, last, _ = slice(start, end, step).indices(size)
    if step < 0:
        site.expect(axis > 0, "a slice of the batch")
        end = None if end is not None and end < -size else end
        site.charge_list(len(range(size)[start:end:step]))
        return site.emit(Gather(tuple(range(size)[start:end:step]), x.spec.axes[axis]), x)
    if (first, last, step) == (0, size, 1):
        return x
    site.expect(axis > 0, "a slice of the batch")
    stop = None if end is None or end >= size else end
    return site.emit(Slice(x.spec.axes[axis], max(start, -size), stop, step), x)


@reads("Gather")
def _gather(site: Site) -> Value:
    """Evenly spaced entries are a slice; a single entry also drops its axis."""
    x, where = site.value(), site.array(1)
    axis = site.axis(site.attribute("axis", 0), len(x.shape))
    entries = [site.axis(int(n), x.shape[axis]) for n in where.ravel()]
    step = entries[1] - entries[0] if len(entries) > 1 else 1
    if entries and step > 0 and entries == [entries[0] + k * step for k in range(len(entries))]:
        y = _cut(site, x, axis, entries[0], entries[-1] + 1, step)
    else:
        site.expect(axis > 0, "a slice of the batch")
        y = site.emit(Gather(tuple(entries), x.spec.axes[axis]), x)
    return y if where.ndim == 1 else site.reshape(y, x.shape[:axis] + where.shape + x.shape[axis + 1 :])


@reads("Split")
def _split(site: Site) -> Sequence[Value]:
    x = site.value()
    axis = site.axis(site.attribute("axis", 0), len(x.shape))
    sizes, size = site.integers("split", 1), x.shape[axis]
    if not sizes:
        parts = len(site.call.outputs)
        part = -(-size // parts)
        sizes = [min(part, size - k * part) for k in range(parts)]
    site.expect(axis > 0 and sum(sizes) == size and min(sizes) > 0, "parts that do not add up to the axis")
    if x.spec.axes[axis] == "C" and len(sizes) > 1:
        equal = len(set(sizes)) == 1
        return site.emit_all(Split(len(sizes)) if equal else Split(len(sizes), tuple(sizes)), x)
    starts = np.cumsum([0, *sizes]).tolist()
    return [_cut(site, x, axis, start, start + n, 1) for start, n in zip(starts, sizes)]


@reads("Pad")
def _pad(site: Site) -> Value:
    x = site.standard(site.value())
    mode = site.attribute("mode", "constant")
    site.expect(mode in MODES, f"mode {mode}")
    pads = site.integers("pads", 1) or []
    value = site.scalar(2) if site.has(2) else site.attribute("value", 0.0)
    rank = len(x.shape)
    axes = site.integers("axes", 3) or [*range(rank)]
    pairs = [(0, 0)] * rank
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        pairs[site.axis(axis, rank)] = (before, after)
    site.expect(pairs[0] == (0, 0), "a padded batch")
    if not any(map(any, pairs)):
        return x
    for axis, (before, after) in enumerate(pairs):  # negative padding cuts
        if before < 0 or after < 0:
            x = _cut(site, x, axis, max(-before, 0), x.shape[axis] - max(-after, 0), 1)
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if not any(map(any, pairs)):
        return x
    site.expect(mode == "constant" or pairs[1] == (0, 0), "channels padded with a mode other than constant")
    value = min(max(value, LOWEST), -LOWEST)
    site.expect(rank > 2, "a padded vector")
    op = Pad(tuple(pairs[2:]), MODES[mode], value if mode == "constant" else 0.0, pairs[1])
    return site.emit(op, x)


@writes("flatten")
def _write_flatten(pen: Pen, _op: Any) -> None:
    pen.last("Flatten", pen.x, axis=1)


@writes("reshape")
def _write_reshape(pen: Pen, op: Any) -> None:
    pen.last("Reshape", pen.x, pen.integers(0, *op.shape))


@writes("permute")
def _write_permute(pen: Pen, op: Any) -> None:
    axes = pen.inputs[0].axes
    pen.last("Transpose", pen.x, perm=[0, *(axes.index(axis) for axis in op.order)])


@writes("pad")
def _write_pad(pen: Pen, op: Any) -> None:
    pairs = [p for p in op.padding_per_axis(len(pen.inputs[0].spatial)) if isinstance(p, tuple)]
    x = pen.x
    if op.mode != "zeros":
        x = pen.pad(x, pairs, op.mode, last=not any(op.channels))
        pairs = [(0, 0) for _ in pairs]
    if op.mode == "zeros" or any(op.channels):
        sides = pen.integers(*pen.pads([tuple(op.channels), *pairs]))
        pen.last("Pad", x, sides, pen.number(op.value), mode="constant")


@writes("gather")
def _write_gather(pen: Pen, op: Any) -> None:
    pen.last("Gather", pen.x, pen.integers(*op.entries), axis=pen.inputs[0].axes.index(op.axis))


@writes("rearrange")
def _write_rearrange(pen: Pen, op: Any) -> None:
    product = int(np.prod([size for size in op.apart if size != -1]))
    apart = [pen.inputs[0].elements // product if size == -1 else size for size in op.apart]
    # -1 stands for the batch, which is open.
    parts = pen.call("Reshape", pen.x, pen.integers(-1, *apart))
    turned = pen.call("Transpose", parts, perm=[0, *(k + 1 for k in op.order)])
    pen.last("Reshape", turned, pen.integers(-1, *pen.outputs[0].shape[1:]))


@writes("slice")
def _write_slice(pen: Pen, op: Any) -> None:
    at = pen.inputs[0].axes.index(op.axis)
    stop = 2**63 - 1 if op.stop is None else op.stop
    more = [] if op.step == 1 else [pen.integers(op.step)]
    pen.last("Slice", pen.x, pen.integers(op.start), pen.integers(stop), pen.integers(at), *more)


@writes("split")
def _write_split(pen: Pen, _op: Any) -> None:
    at = pen.inputs[0].axes.index("C")
    pen.last("Split", pen.x, pen.integers(*(y.channels for y in pen.outputs)), axis=at)


@writes("crop")
def _write_crop(pen: Pen, _op: Any) -> None:
    """Slice the first input where the declaration reads it; the size of the second is known by then."""
    x, y = pen.inputs[0], pen.outputs[0]
    starts = [max(-getattr(pen.declaration.readings[0][axis].map, "before", 0), 0) for axis in x.spatial_axes]
    stops = [start + y.size(axis) for start, axis in zip(starts, x.spatial_axes)]
    axes = [x.axes.index(axis) for axis in x.spatial_axes]
    pen.last("Slice", pen.x, pen.integers(*starts), pen.integers(*stops), pen.integers(*axes))


@writes("channelshuffle")
def _write_channel_shuffle(pen: Pen, op: Any) -> None:
    x = pen.inputs[0]
    with pen.channels_second() as source:
        space = [x.size(axis) for axis in pen.axes[2:]]
        parts = pen.call("Reshape", source, pen.integers(0, op.groups, x.channels // op.groups, *space))
        order = [0, 2, 1, *range(3, len(x.shape) + 1)]
        turned = pen.call("Transpose", parts, perm=order)
        pen.result("Reshape", turned, pen.integers(0, x.channels, *space))


@writes("pixelshuffle")
def _write_pixel_shuffle(pen: Pen, op: Any) -> None:
    x, y = pen.inputs[0], pen.outputs[0]
    rank = len(x.spatial)
    if rank == 2:
        pen.last("DepthToSpace", pen.x, blocksize=op.factor, mode="CRD")
        return
    apart = pen.call("Reshape", pen.x, pen.integers(0, y.channels, *(op.factor,) * rank, *x.spatial))
    order = [0, 1, *(k for axis in range(rank) for k in (2 + rank + axis, 2 + axis))]
    pen.last("Reshape", pen.call("Transpose", apart, perm=order), pen.integers(0, *y.shape[1:]))


@writes("pixelunshuffle")
def _write_pixel_unshuffle(pen: Pen, op: Any) -> None:
    x, y = pen.inputs[0], pen.outputs[0]
    rank = len(x.spatial)
    split = [n for size in y.spatial for n in (size, op.factor)]
    apart = pen.call("Reshape", pen.x, pen.integers(0, x.channels, *split))
    order = [0, 1, *(3 + 2 * k for k in range(rank)), *(2 + 2 * k for k in range(rank))]
    pen.last("Reshape", pen.call("Transpose", apart, perm=order), pen.integers(0, *y.shape[1:]))
