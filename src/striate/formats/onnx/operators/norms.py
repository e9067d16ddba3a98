"""Normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.onnx.operators.register import reads, writes
from striate.ops.functions import Pow
from striate.ops.merge import Add, Divide, Multiply
from striate.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from striate.ops.reduce import Reduce
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

_EPS = 1e-5
MIN_NORMAL_FLOAT = 1.1754944e-38
"""The smallest normal float32."""


@reads("BatchNormalization")
def _bn(site: Site) -> Value:
    site.only_first_output()
    site.expect(not site.attribute("training_mode", 0), "training mode")
    site.expect(bool(site.attribute("spatial", 1)), "statistics per position")
    x = site.standard(site.value())
    names = ("weight", "bias", "running_mean", "running_var")
    weights = {name: site.array(at) for at, name in enumerate(names, 1)}
    op = BatchNorm(site.attribute("epsilon", _EPS), round(1 - site.attribute("momentum", 0.9), 7))
    return site.emit(op, x, **weights)


@writes("bn")
def _write_bn(pen: Pen, op: Any) -> None:
    channels = pen.inputs[0].channels
    scale = pen.weight("weight") if op.affine else pen.constant(np.ones(channels, np.float32))
    shift = pen.weight("bias") if op.affine else pen.constant(np.zeros(channels, np.float32))
    statistics = pen.weight("running_mean"), pen.weight("running_var")
    with pen.channels_second() as x:
        pen.result(
            "BatchNormalization", x, scale, shift, *statistics, epsilon=op.eps, momentum=1 - op.momentum
        )


@reads("InstanceNormalization")
def _in(site: Site) -> Value:
    x = site.standard(site.value())
    op = InstanceNorm(site.attribute("epsilon", _EPS), True)
    return site.emit(op, x, weight=site.array(1), bias=site.array(2))


@writes("in")
def _write_in(pen: Pen, op: Any) -> None:
    channels = pen.inputs[0].channels
    scale = pen.weight("weight") if op.affine else pen.constant(np.ones(channels, np.float32))
    shift = pen.weight("bias") if op.affine else pen.constant(np.zeros(channels, np.float32))
    with pen.channels_second() as x:
        pen.result("InstanceNormalization", x, scale, shift, epsilon=op.eps)


@reads("GroupNormalization")
def _gn(site: Site) -> Value:
    x, groups = site.standard(site.value()), site.attribute("num_groups")
    per_group = x.spec.channels // groups
    scale, shift = site.array(1), site.array(2)
    if site.opset < 21:  # before opset 21: one number per group
        scale, shift = np.repeat(scale, per_group), np.repeat(shift, per_group)
    return site.emit(GroupNorm(groups, site.attribute("epsilon", _EPS)), x, weight=scale, bias=shift)


@reads("striate.GroupNorm")
def _gn_pattern(site: Site) -> Value:
    """Reshape to (N, groups, -1), instance norm, reshape back, scale and shift."""
    x, apart = site.standard(site.value()), site.array(site.attribute("at_groups"))
    site.expect(site.attribute("plain") and apart.size == 3, "an inner scale or shift")
    groups = int(apart.ravel()[1])
    affine = "at_scale" in site.call.attributes
    weights = {}
    if affine:
        weights = {
            "weight": site.array(site.attribute("at_scale")),
            "bias": site.array(site.attribute("at_bias")),
        }
        site.expect(all(w.size == x.spec.channels for w in weights.values()), "a scale per position")
    return site.emit(GroupNorm(groups, site.attribute("epsilon"), affine), x, **weights)


@writes("gn")
def _write_gn(pen: Pen, op: Any) -> None:
    ones, zeros = (pen.constant(f(op.groups, np.float32)) for f in (np.ones, np.zeros))
    with pen.channels_second() as x:
        parts = pen.call("Reshape", x, pen.integers(0, op.groups, -1))
        normal = pen.call("InstanceNormalization", parts, ones, zeros, epsilon=op.eps)
        shape = pen.integers(0, *(pen.inputs[0].size(axis) for axis in pen.axes[1:]))
        if not op.affine:
            pen.result("Reshape", normal, shape)
            return
        image = pen.call("Reshape", normal, shape)
        scale, shift = pen.by_channel(pen.weight("weight")), pen.by_channel(pen.weight("bias"))
        pen.result("Add", pen.call("Mul", image, scale), shift)


@reads("LayerNormalization")
def _ln(site: Site) -> list[Value]:
    x = site.value()
    axis = site.axis(site.attribute("axis", -1), len(x.shape))
    epsilon = site.attribute("epsilon", _EPS)
    weights = {"weight": site.array(1)}
    shift = site.optional(2)
    weights["bias"] = np.zeros_like(weights["weight"]) if shift is None else shift
    over = list(range(axis, len(x.shape)))
    outputs = [_normalize(site, x, over, epsilon, weights)]
    if site.reads_output(1) or site.reads_output(2):
        mean = _mean(site, x, over)
        centered = site.emit(Add(), x, site.emit(Affine(-1.0), mean))
        variance = _mean(site, site.emit(Pow(2.0), centered), over)
        outputs += [mean, site.emit(Pow(-0.5), site.emit(Affine(1.0, epsilon), variance))]
    return outputs


def _mean(site: Site, x: Value, over: list[int]) -> Value:
    site.expect(0 not in over, "a mean over the batch")
    return site.emit(Reduce("mean", "".join(x.spec.axes[k] for k in over)), x)


@reads("RMSNormalization")
def _rms(site: Site) -> Value:
    """x divided by the root of its mean square, times a scale."""
    x, scale = site.value(), site.array(1)
    over = list(range(site.axis(site.attribute("axis", -1), len(x.shape)), len(x.shape)))
    square = site.emit(
        Affine(1.0, site.attribute("epsilon", _EPS)), _mean(site, site.emit(Pow(2.0), x), over)
    )
    normal = site.emit(Multiply(), x, site.emit(Pow(-0.5), square))
    shape = (*(1,) * (len(x.shape) - 1 - scale.ndim), *scale.shape)
    return site.emit(Affine(weight=shape, learned=site.learned(1)), normal, weight=scale)


@reads("LpNormalization")
def _lp(site: Site) -> Value:
    x, p = site.value(), site.attribute("p", 2)
    axis = x.spec.axes[site.axis(site.attribute("axis", -1), len(x.shape))]
    site.expect(axis != "N", "a norm over the batch")
    norm = site.emit(Clip(MIN_NORMAL_FLOAT), site.emit(Reduce(f"l{p}", axis), x))  # 0 / 0 becomes 0
    return site.emit(Divide(), x, norm)


@reads("striate.LayerNorm")
def _ln_pattern(site: Site) -> Value:
    x, axes = site.value(), site.attribute("axes")
    site.expect(bool(axes), "a mean over everything")
    over = sorted(site.axis(axis, len(x.shape)) for axis in axes)
    weights = {}
    if "at_scale" in site.call.attributes:
        weights = {
            "weight": site.array(site.attribute("at_scale")),
            "bias": site.array(site.attribute("at_bias")),
        }
    epsilon = float(str(np.float32(site.scalar(site.attribute("at_epsilon")))))
    return _normalize(site, x, over, epsilon, weights)


def _normalize(site: Site, x: Value, over: list[int], eps: float, weights: dict[str, Any]) -> Value:
    rank, shape = len(x.shape), x.shape
    if [x.spec.axes[k] for k in over] == ["C"]:
        return site.emit(LayerNorm("channels", eps, bool(weights)), x, **weights)
    if over == list(range(1, rank)):
        return site.emit(LayerNorm("all", eps, bool(weights)), x, **weights)
    site.expect(
        over == list(range(over[0], rank)) and over[0] > 0, "axes other than the channels or the last ones"
    )
    # Over the last axes: they are joined to one axis, which is named C.
    flat = x if len(over) == 1 else site.reshape(x, (*shape[: over[0]], int(np.prod(shape[over[0] :]))))
    y = site.emit(LayerNorm("channels", eps, bool(weights)), site.features_last(flat), **weights)
    return y if len(over) == 1 else site.reshape(y, shape)


@writes("ln")
def _write_ln(pen: Pen, op: Any) -> None:
    spec = pen.inputs[0]
    shape = spec.shape[1:] if op.axes == "all" else (spec.channels,)
    scale = pen.weight("weight") if op.affine else pen.constant(np.ones(shape, np.float32))
    shift = pen.weight("bias") if op.affine else pen.constant(np.zeros(shape, np.float32))
    if op.axes == "all":
        pen.last("LayerNormalization", pen.x, scale, shift, axis=1, epsilon=op.eps)
        return
    with pen.channels_last() as x:
        pen.result("LayerNormalization", x, scale, shift, axis=-1, epsilon=op.eps)


@reads("LRN")
def _lrn(site: Site) -> Value:
    size = site.attribute("size")
    fields = {
        "odd": "before" if size % 2 else "after",
        "alpha": site.attribute("alpha", 1e-4),
        "beta": site.attribute("beta", 0.75),
        "k": site.attribute("bias", 1.0),
    }
    return site.emit(LocalResponseNorm(size, **fields), site.standard(site.value()))


@writes("lrn")
def _write_lrn(pen: Pen, op: Any) -> None:
    with pen.channels_second() as x:
        if op.size % 2 and len(pen.axes) == 4:
            pen.result("LRN", x, size=op.size, alpha=op.alpha, beta=op.beta, bias=op.k)
            return
        # onnxruntime supports only odd sizes and images: else the mean of squares is a pool along the channels.
        sides = op.size // 2, (op.size - 1) // 2
        before, after = sides if op.odd == "before" else sides[::-1]
        shape = pen.call("Shape", x)
        rows = pen.call("Reshape", pen.call("Mul", x, x), pen.integers(0, 1, pen.inputs[0].channels, -1))
        window = {"kernel_shape": [op.size, 1], "strides": [1, 1], "pads": [before, 0, after, 0]}
        mean = pen.call("Reshape", pen.call("AveragePool", rows, count_include_pad=1, **window), shape)
        total = pen.call("Add", pen.call("Mul", mean, pen.number(op.alpha)), pen.number(op.k))
        pen.result("Div", x, pen.call("Pow", total, pen.number(op.beta)))
