"""Convolutions, pools and resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.operators.register import reads, writes
from striate.geometry import Window
from striate.op import Op
from striate.ops import pool
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.functions import Exp, Log, Pow
from striate.ops.merge import Add
from striate.ops.reduce import Reduce
from striate.ops.reshape import Pad, Permute
from striate.ops.scalar import Affine

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

Array = NDArray[Any]

AUTOMATIC = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": 0}
Pairs = tuple[tuple[int, int], ...]


def _pairs(pads: Sequence[int]) -> Pairs:
    """Convert ONNX's order (all before, then all after) to (before, after) per axis."""
    rank = len(pads) // 2
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def _padding(site: Site, rank: int) -> Any:
    automatic = site.attribute("auto_pad", "NOTSET")
    if automatic != "NOTSET":
        site.expect(automatic in AUTOMATIC, f"auto_pad {automatic}")
        return AUTOMATIC[automatic]
    pads = site.attribute("pads") or [0] * 2 * rank
    site.expect(len(pads) == 2 * rank and min(pads) >= 0, "negative padding")
    return _pairs(pads)


def _per_axis(site: Site, name: str, rank: int, default: int = 1) -> tuple[int, ...]:
    values = tuple(site.attribute(name) or (default,) * rank)
    site.expect(len(values) == rank, f"{name} with a wrong number of axes")
    return values


@reads("Conv")
def _conv(site: Site) -> Value:
    x, weight = site.standard(site.value()), site.array(1)
    rank, groups = weight.ndim - 2, site.attribute("group", 1)
    depthwise = groups == x.spec.channels == len(weight) and groups > 1
    bias = site.optional(2)
    op = Conv(
        None if depthwise else len(weight),
        weight.shape[2:],
        _per_axis(site, "strides", rank),
        _padding(site, rank),
        _per_axis(site, "dilations", rank),
        "depthwise" if depthwise else groups,
        bias is not None,
    )
    return site.emit(op, x, weight=weight, **({} if bias is None else {"bias": bias}))


@writes("conv")
def _write_conv(pen: Pen, op: Any) -> None:
    groups = pen.inputs[0].channels if op.groups == "depthwise" else op.groups
    more = [pen.weight("bias")] if op.bias else []
    x, pads = pen.x, pen.sides()
    if op.mode != "zeros":
        x, pads = pen.pad(x, _pairs(pads), op.mode), [0] * len(pads)
    pen.last("Conv", x, pen.weight("weight"), *more, group=groups, **_window(pen, pads, dilated=True))


def _window(pen: Pen, pads: Sequence[int], *, dilated: bool) -> dict[str, Any]:
    windows = pen.windows
    attributes = {
        "kernel_shape": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "pads": [*pads],
    }
    return attributes | ({"dilations": [w.dilation for w in windows]} if dilated else {})


@reads("ConvTranspose")
def _tconv(site: Site) -> Value:
    x, weight = site.standard(site.value()), site.array(1)
    rank, groups, bias = weight.ndim - 2, site.attribute("group", 1), site.optional(2)
    kernel, stride = weight.shape[2:], _per_axis(site, "strides", rank)
    dilation = _per_axis(site, "dilations", rank)
    extra = list(_per_axis(site, "output_padding", rank, 0))
    pairs: list[tuple[int, int]] = []
    automatic, sizes = site.attribute("auto_pad", "NOTSET"), site.attribute("output_shape")
    if sizes is None and automatic in ("SAME_UPPER", "SAME_LOWER"):
        sizes = [n * s for n, s in zip(x.spec.spatial, stride)]
    if sizes is None:
        padding = _padding(site, rank)
        pairs = [(0, 0)] * rank if padding == 0 else list(padding)
    else:  # the padding that results in this size; a deficit becomes output padding
        for k, (n, size) in enumerate(zip(x.spec.spatial, sizes[-rank:])):
            total = stride[k] * (n - 1) + extra[k] + dilation[k] * (kernel[k] - 1) + 1 - size
            if total < 0:
                extra[k], total = extra[k] - total, 0
            half = total // 2
            pairs.append((half, total - half) if automatic == "SAME_UPPER" else (total - half, half))
    op = ConvTranspose(
        weight.shape[1] * groups,
        kernel,
        stride,
        tuple(pairs),
        tuple(extra),
        dilation,
        groups,
        bias is not None,
    )
    return site.emit(op, x, weight=weight, **({} if bias is None else {"bias": bias}))


@writes("tconv")
def _write_tconv(pen: Pen, op: Any) -> None:
    rank = len(pen.inputs[0].spatial)
    more = [pen.weight("bias")] if op.bias else []
    extra, stride = op.per_axis("output_padding", rank), op.per_axis("stride", rank)
    attributes = _window(pen, pen.sides(), dilated=True)
    if all(e < s for e, s in zip(extra, stride)):
        pen.last(
            "ConvTranspose",
            pen.x,
            pen.weight("weight"),
            *more,
            group=op.groups,
            **attributes,
            output_padding=[*extra],
        )
        return
    # Runtimes need output padding below the stride: crop less, add zeros, and add the bias last.
    after = attributes["pads"][rank:]
    attributes["pads"][rank:] = [max(a - e, 0) for a, e in zip(after, extra)]
    y = pen.call("ConvTranspose", pen.x, pen.weight("weight"), group=op.groups, **attributes)
    pairs = [(0, 0), *((0, max(e - a, 0)) for a, e in zip(after, extra))]
    wide = ("Pad", y, pen.integers(*pen.pads(pairs)), pen.number(0))
    if op.bias:
        shape = pen.integers(1, -1, *(1,) * rank)
        pen.last("Add", pen.call(*wide), pen.call("Reshape", pen.weight("bias"), shape))
    else:
        pen.last(*wide)


@reads("MaxPool", "AveragePool", "LpPool")
def _pool(site: Site) -> Value:
    site.only_first_output()
    x = site.standard(site.value())
    rank = len(x.spec.spatial)
    kernel = _per_axis(site, "kernel_shape", rank)
    stride: tuple[int, ...] | None = _per_axis(site, "strides", rank)
    stride = None if stride == kernel else stride
    dilation, ceil = _per_axis(site, "dilations", rank), bool(site.attribute("ceil_mode", 0))
    padding = _padding(site, rank)
    if isinstance(padding, tuple) and any(max(p) > k // 2 for k, p in zip(kernel, padding)):
        return _pool_with_pad(site, x, kernel, stride or kernel, padding, dilation, ceil)
    if site.call.kind == "MaxPool":
        return site.emit(pool.MaxPool(kernel, stride, padding, dilation, ceil), x)
    if site.call.kind == "LpPool":
        return site.emit(pool.LpPool(kernel, site.attribute("p", 2), stride, padding, ceil, dilation), x)
    count_include_pad = bool(site.attribute("count_include_pad", 0))
    if padding == 0 or (isinstance(padding, tuple) and not any(map(any, padding))):
        count_include_pad = True  # without padding both settings agree; this is the default of the op
    return site.emit(pool.AvgPool(kernel, stride, padding, ceil, count_include_pad, dilation), x)


def _overhangs(pen: Pen) -> list[int]:
    """Overhang of the last window of each axis over the padded end."""
    return [max((w.output - 1) * w.stride + w.extent - w.padded, 0) for w in pen.sliding]


def _round(pen: Pen, ceil: bool) -> tuple[list[int], int]:
    """Padding and ceil_mode of a pool. PyTorch drops a last window that would start after the image; ONNX's size
    formula does not, so such an axis is rounded down.
    """
    hangs = _overhangs(pen)
    plain = all(-(-w.slack // w.stride) + 1 == w.output for w in pen.sliding)
    if not ceil or not any(hangs):
        return pen.sides(), 0
    if plain:
        return pen.sides(), 1
    return [*(w.before for w in pen.windows), *(w.after + h for w, h in zip(pen.windows, hangs))], 0


def _pool_with_pad(
    site: Site,
    x: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    ceil: bool,
) -> Value:
    """Read a pool with more padding than Striate's pools take. A separate pad op reaches the end of the last windows,
    so that the output size is that of ONNX.
    """
    axes = [
        Window.resolve(n, k, s, d, p, ceil)
        for n, k, s, d, p in zip(x.spec.spatial, kernel, stride, dilation, padding)
    ]
    site.expect(all(w.output and not w.padding_only() for w in axes), "windows that read only padding")
    reach = tuple((w.before, max((w.output - 1) * w.stride + w.extent - w.input - w.before, 0)) for w in axes)
    kind, step = site.call.kind, None if stride == kernel else stride
    lowest = float(str(np.finfo(np.float32).min)) if kind == "MaxPool" else 0.0
    wide = site.emit(Pad(reach, "zeros", lowest), x) if any(map(any, reach)) else x
    if kind == "MaxPool":
        return site.emit(pool.MaxPool(kernel, step, 0, dilation), wide)
    if kind == "LpPool":
        return site.emit(pool.LpPool(kernel, site.attribute("p", 2), step, 0, False, dilation), wide)
    mean = site.emit(pool.AvgPool(kernel, step, 0, False, True, dilation), wide)
    counts = window_counts(axes, bool(site.attribute("count_include_pad", 0)))
    share = (math.prod(kernel) / counts[0]).astype(np.float32)
    if (share == 1).all():
        return mean
    return site.emit(Affine(weight=share.shape, learned=False), mean, weight=share)


@writes("maxpool")
def _write_max(pen: Pen, op: Any) -> None:
    pads, ceil = _round(pen, op.ceil)
    x = pen.x
    if any(max(w.before, w.after) >= w.kernel for w in pen.windows):  # more padding than MaxPool takes
        sides = _pads_to_last_window(pen)
        around = pen.integers(*pen.pads([(0, 0), *_pairs(sides)]))
        x = pen.call("Pad", x, around, pen.number(-np.inf), mode="constant")
        pads, ceil = [0] * len(sides), 0
    pen.last("MaxPool", x, ceil_mode=ceil, **_window(pen, pads, dilated=True))


def _window_sums(pen: Pen, x: str) -> str:
    """The sum of each window, as a depthwise convolution with ones, because opset 17 has no dilated average pool."""
    channels, pads = pen.inputs[0].channels, _pads_to_last_window(pen)
    ones = pen.constant(np.ones((channels, 1, *(w.kernel for w in pen.windows)), np.float32))
    return pen.call("Conv", x, ones, group=channels, **_window(pen, pads, dilated=True))


def _pads_to_last_window(pen: Pen) -> list[int]:
    """Padding up to the end of the last windows."""
    return [*(w.before for w in pen.windows), *(w.after + h for w, h in zip(pen.windows, _overhangs(pen)))]


def window_counts(windows: Sequence[Window], padded: bool) -> Array:
    """The divisor of each window of an average pool: (1, 1, positions…)."""
    total = np.ones(1)
    for w in windows:
        first, last = (-w.before, w.input + w.after) if padded else (0, w.input)
        taps = np.arange(w.output)[:, None] * w.stride - w.before + np.arange(w.kernel) * w.dilation
        total = np.multiply.outer(total, ((taps >= first) & (taps < last)).sum(1))
    return total[None].astype(np.float32)


@writes("avgpool")
def _write_avg(pen: Pen, op: Any) -> None:
    if any(w.dilation > 1 for w in pen.sliding):
        pen.last(
            "Div", _window_sums(pen, pen.x), pen.constant(window_counts(pen.sliding, op.count_include_pad))
        )
        return
    pads, ceil = _round(pen, op.ceil)
    x, count_include_pad = pen.x, int(op.count_include_pad and any(pads))
    if count_include_pad and op.ceil and (ceil or pads != pen.sides()):
        # The overhang does not count, padding does: the padding becomes part of the image.
        x, count_include_pad = pen.pad(x, _pairs(pen.sides()), "zeros"), 0
        pads = [after - before for after, before in zip(pads, pen.sides())]
    pen.last(
        "AveragePool",
        x,
        count_include_pad=count_include_pad,
        ceil_mode=ceil,
        **_window(pen, pads, dilated=False),
    )


@writes("lppool")
def _write_lp(pen: Pen, op: Any) -> None:
    if any(w.dilation > 1 for w in pen.sliding):
        powers = pen.call("Pow", pen.call("Abs", pen.x), pen.number(op.p))
        pen.last("Pow", _window_sums(pen, powers), pen.number(1 / op.p))
        return
    pen.last("LpPool", pen.x, p=op.p, **_window(pen, _pads_to_last_window(pen), dilated=False))


@reads("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _global(site: Site) -> Value:
    if site.call.kind == "GlobalLpPool":
        x, p = site.standard(site.value()), site.attribute("p", 2)
        site.expect(p in (1, 2), f"an L{p} norm")
        return site.emit(Reduce(f"l{p}", "".join(x.spec.spatial_axes)), x)
    op: Op = pool.GlobalAvgPool() if site.call.kind == "GlobalAveragePool" else pool.GlobalMaxPool()
    return site.emit(op, site.standard(site.value()))


REDUCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceL1": "l1",
    "ReduceL2": "l2", "ReduceSumSquare": "sum", "ReduceLogSum": "sum", "ReduceLogSumExp": "sum",
}  # fmt: skip


@reads(*REDUCTIONS)
def _reduce(site: Site) -> Value:
    """A mean or maximum over all positions is a global pool."""
    x, kind = site.value(), site.call.kind
    axes = site.integers("axes", 1)
    if not axes and site.attribute("noop_with_empty_axes", 0):
        return x
    over = {x.spec.axes[site.axis(axis, len(x.shape))]: None for axis in sorted(axes or range(len(x.shape)))}
    site.expect("N" not in over, "a reduction over the batch")
    keep, axes_before = site.attribute("keepdims", 1), x.spec.axes
    shape = tuple(n for axis, n in zip(axes_before, x.shape) if axis not in over)
    site.expect(bool(keep) or len(shape) > 1, "one number per image, without an axis")
    if kind in ("ReduceMean", "ReduceMax") and over.keys() == set(x.spec.spatial_axes):
        op: Op = pool.GlobalAvgPool() if kind == "ReduceMean" else pool.GlobalMaxPool()
        y = site.emit(op, site.in_order(x))
        if keep and axes_before != y.spec.axes:
            y = site.emit(Permute("".join(axes_before[1:])), y)
    else:
        letters = "".join(axis for axis in x.spec.axes if axis in over)
        if kind == "ReduceSumSquare":
            x = site.emit(Pow(2.0), x)
        largest = None
        if kind == "ReduceLogSumExp":  # the largest is subtracted, so that no exponential overflows
            largest = site.emit(Reduce("max", letters), x)
            x = site.emit(Exp(), site.emit(Add(), x, site.emit(Affine(-1.0), largest)))
        y = site.emit(Reduce(REDUCTIONS[kind], letters), x)
        y = site.emit(Log(), y) if kind.startswith("ReduceLog") else y
        y = y if largest is None else site.emit(Add(), y, largest)
    return y if keep else site.reshape(y, shape)


@writes("reduce")
def _write_reduce(pen: Pen, op: Any) -> None:
    kind = next(kind for kind, function in REDUCTIONS.items() if function == op.function)
    axes = [pen.inputs[0].axes.index(axis) for axis in op.over]
    if kind == "ReduceSum":  # its axes became an input in an earlier opset than those of the others
        pen.last(kind, pen.x, pen.integers(*axes), keepdims=1)
    else:
        pen.last(kind, pen.x, axes=axes, keepdims=1)


@writes("gap", "gmp")
def _write_global(pen: Pen, op: Any) -> None:
    pen.last(op.onnx, pen.x)


@writes("adaptiveavgpool")
def _write_adaptive_avg(pen: Pen, op: Any) -> None:
    """An average pool if the bins are equal, else a matrix product with the bins' weights, axis by axis."""
    spec = pen.inputs[0]
    sizes = op.per_axis("size", len(spec.spatial))
    if all(n % m == 0 for n, m in zip(spec.spatial, sizes)):
        kernel = [n // m for n, m in zip(spec.spatial, sizes)]
        pen.last("AveragePool", pen.x, kernel_shape=kernel, strides=kernel, pads=[0] * 2 * len(kernel))
        return
    x, rank = pen.x, len(spec.shape)
    for axis, (n, m) in enumerate(zip(spec.spatial, sizes), 2):
        share = np.zeros((n, m), np.float32)
        for at, (start, stop) in enumerate(_bins(n, m)):
            share[start:stop, at] = 1 / (stop - start)
        order = [k for k in range(rank) if k != axis] + [axis]
        inverse = [order.index(k) for k in range(rank)]
        x = pen.call(
            "Transpose",
            pen.call("MatMul", pen.call("Transpose", x, perm=order), pen.constant(share)),
            perm=inverse,
        )
    pen.last("Identity", x)


@writes("adaptivemaxpool")
def _write_adaptive_max(pen: Pen, op: Any) -> None:
    """A max pool if the bins are equal, else bin by bin, axis by axis."""
    spec = pen.inputs[0]
    sizes = op.per_axis("size", len(spec.spatial))
    if all(n % m == 0 for n, m in zip(spec.spatial, sizes)):
        kernel = [n // m for n, m in zip(spec.spatial, sizes)]
        pen.last("MaxPool", pen.x, kernel_shape=kernel, strides=kernel, pads=[0] * 2 * len(kernel))
        return
    x = pen.x
    for axis, (n, m) in enumerate(zip(spec.spatial, sizes), 2):
        rows = []
        for start, stop in _bins(n, m):
            cut = pen.call("Slice", x, pen.integers(start), pen.integers(stop), pen.integers(axis))
            rows.append(pen.call("ReduceMax", cut, axes=[axis], keepdims=1))
        x = pen.call("Concat", *rows, axis=axis)
    pen.last("Identity", x)


def _bins(n: int, m: int) -> list[tuple[int, int]]:
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
