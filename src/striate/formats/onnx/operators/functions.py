"""Activations: one row each for both directions, then those that need more than a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.importing import STEEP
from striate.formats.onnx.operators.register import READERS, WRITERS, Reader, Writer, reads, writes
from striate.op import Op
from striate.ops import activation as ops
from striate.ops import functions
from striate.ops.merge import Add, Multiply
from striate.ops.regularize import Dropout
from striate.ops.reshape import Identity
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

ROWS: tuple[tuple[type[Op], Mapping[str, tuple[str, float]]], ...] = (
    (ops.Relu, {}),
    (ops.LeakyRelu, {"alpha": ("slope", 0.01)}),
    (ops.Elu, {"alpha": ("alpha", 1.0)}),
    (ops.Sigmoid, {}),
    (ops.Tanh, {}),
    (ops.Hardswish, {}),
    (ops.Softplus, {}),
    (ops.Softsign, {}),
    (ops.Mish, {}),
    (Identity, {}),
    (functions.Abs, {}),
    (functions.Exp, {}),
    (functions.Log, {}),
    (functions.Erf, {}),
)
"""Op and its ONNX attributes: the field that each fills, and its default. The key is the operator's name."""

SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}


def _reader(cls: type[Op], fields: Mapping[str, tuple[str, float]]) -> Reader:
    def read(site: Site) -> Value:
        values = {field: site.attribute(key, default) for key, (field, default) in fields.items()}
        return site.emit(cls(**values), site.value())

    return read


def _writer(cls: type[Op], fields: Mapping[str, tuple[str, float]]) -> Writer:
    def write(pen: Pen, op: Any) -> None:
        pen.last(cls.onnx, pen.x, **{key: getattr(op, field) for key, (field, _) in fields.items()})

    return write


for _cls, _fields in ROWS:
    READERS[_cls.onnx] = _reader(_cls, _fields)
    WRITERS[_cls.word] = _writer(_cls, _fields)


@reads("Selu")
def _selu(site: Site) -> Value:
    alpha, gamma = (site.attribute(k, v) for k, v in SELU.items())
    if abs(alpha - SELU["alpha"]) < 1e-5 and abs(gamma - SELU["gamma"]) < 1e-5:
        return site.emit(ops.Selu(), site.value())
    return site.emit(Affine(gamma), site.emit(ops.Elu(alpha), site.value()))


@writes("selu")
def _write_selu(pen: Pen, _op: Any) -> None:
    pen.last("Selu", pen.x)


@reads("Celu")
def _celu(site: Site) -> Value:
    alpha = site.attribute("alpha", 1.0)
    if alpha == 1:
        return site.emit(ops.Elu(), site.value())
    return site.emit(Affine(alpha), site.emit(ops.Elu(), site.emit(Affine(1 / alpha), site.value())))


@reads("Gelu", "striate.TanhGelu")
def _gelu(site: Site) -> Value:
    tanh = site.call.kind != "Gelu" or site.attribute("approximate", "none") == "tanh"
    return site.emit(ops.Gelu(tanh), site.value())


@writes("gelu")
def _write_gelu(pen: Pen, op: Any) -> None:
    if op.approximate:
        cube = pen.call("Mul", pen.call("Pow", pen.x, pen.number(3)), pen.number(0.044715))
        inner = pen.call("Mul", pen.call("Add", pen.x, cube), pen.number(float(np.sqrt(2 / np.pi))))
        rise = pen.call("Add", pen.call("Tanh", inner), pen.number(1))
    else:
        part = pen.call("Erf", pen.call("Div", pen.x, pen.number(float(np.sqrt(2)))))
        rise = pen.call("Add", part, pen.number(1))
    pen.last("Mul", pen.call("Mul", pen.x, rise), pen.number(0.5))


@reads("striate.Silu", "Swish")
def _silu(site: Site) -> Value:
    site.expect(site.attribute("alpha", 1.0) == 1, "an alpha other than 1")
    return site.emit(ops.Silu(), site.value())


@writes("silu")
def _write_silu(pen: Pen, _op: Any) -> None:
    pen.last("Mul", pen.x, pen.call("Sigmoid", pen.x))


@writes("mish")
def _write_mish(pen: Pen, _op: Any) -> None:
    pen.last("Mul", pen.x, pen.call("Tanh", pen.call("Softplus", pen.x)))


@reads("HardSigmoid", "striate.Hardsigmoid")
def _hardsigmoid(site: Site) -> Value:
    x = site.value()
    if site.call.kind != "HardSigmoid":
        return site.emit(ops.Hardsigmoid(), x)
    line = site.emit(Affine(site.attribute("alpha", 0.2), site.attribute("beta", 0.5)), x)
    return site.emit(Clip(0.0, 1.0), line)


@writes("hardsigmoid")
def _write_hardsigmoid(pen: Pen, _op: Any) -> None:
    pen.last("HardSigmoid", pen.x, alpha=1 / 6, beta=0.5)


@reads("Clip")
def _clip(site: Site) -> Value:
    low, high = site.attribute("min"), site.attribute("max")
    if site.has(1):
        low = site.scalar(1)
    if site.has(2):
        high = site.scalar(2)
    if site.opset < 11 and high is not None and high > 3e38:
        high = None
    if site.opset < 11 and low is not None and low < -3e38:
        low = None
    return site.emit(clip_op(low, high), site.value())


@reads("striate.Quantized")
def _quantized(site: Site) -> Value:
    """Quantize and dequantize, executed in float. Values are still clipped to the integer range, because exporters drop
    activations that the range implies; only the rounding is skipped.
    """
    scale, scale_back = (site.array(site.attribute(f"at_{name}")) for name in ("scale", "scale2"))
    zero = zero_back = np.zeros((), np.uint8)
    if "at_zero" in site.call.attributes:
        zero, zero_back = (site.array(site.attribute(f"at_{name}")) for name in ("zero", "zero2"))
    site.expect(scale.size == zero.size == 1, "activations quantized by channel")
    same = np.array_equal(scale, scale_back) and np.array_equal(zero, zero_back) and zero.dtype.kind in "iu"
    site.expect(same, "quantized and dequantized by different scales")
    limits, step, at = np.iinfo(zero.dtype), float(scale.ravel()[0]), int(zero.ravel()[0])
    bounds = (float(str(np.float32((limit - at) * step))) for limit in (limits.min, limits.max))
    return site.emit(clip_op(*bounds), site.value())


def clip_op(low: float | None, high: float | None) -> Op:
    """The op that clips to two bounds, which may be None."""
    if low == 0 and high in (None, 6):
        return ops.Relu() if high is None else ops.Relu6()
    return Clip(low, high)


@writes("relu6")
def _write_relu6(pen: Pen, _op: Any) -> None:
    pen.last("Clip", pen.x, pen.number(0), pen.number(6))


@writes("clip")
def _write_clip(pen: Pen, op: Any) -> None:
    low, high = ("" if bound is None else pen.number(bound) for bound in (op.low, op.high))
    pen.last("Clip", pen.x, low, high)


@reads("PRelu")
def _prelu(site: Site) -> Value:
    x, slope = site.value(), site.array(1)
    if slope.size == 1:
        return site.emit(ops.Prelu("shared"), x, weight=slope.reshape(1))
    channels = x.spec.axes.index("C")
    if site.opset < 7 and slope.ndim == 1:
        slope = slope.reshape(-1, *(1,) * (len(x.shape) - 1 - channels))
    wide = (1,) * (len(x.shape) - slope.ndim) + slope.shape
    if any(n != 1 for k, n in enumerate(wide) if k != channels):
        return _slopes(site, x, np.asarray(wide), slope)
    site.expect(wide[channels] == x.spec.channels, "a wrong number of slopes")
    return site.emit(ops.Prelu("each"), x, weight=slope.ravel())


def _slopes(site: Site, x: Value, wide: Any, slope: Any) -> Value:
    """A slope for every position: max(x, 0) - slope · max(-x, 0)."""
    site.expect(wide[0] == 1, "slopes for every image")
    below = site.emit(ops.Relu(), site.emit(Affine(-1.0), x))
    shape = tuple(int(n) for n in wide[1:])
    negative = site.emit(Affine(weight=shape, learned=site.learned(1)), below, weight=-slope)
    return site.emit(Add(), site.emit(ops.Relu(), x), negative)


@reads("ThresholdedRelu")
def _thresholded(site: Site) -> Value:
    """x above alpha, else 0: relu(x) times a step, which is a steep clipped line."""
    x, alpha = site.value(), site.attribute("alpha", 1.0)
    site.expect(alpha >= 0, "a threshold below 0")
    over = site.emit(Clip(0.0, 1.0), site.emit(Affine(1.0, -alpha), x))
    step = site.emit(Clip(0.0, 1.0), site.emit(Affine(STEEP), over))
    return site.emit(Multiply(), site.emit(ops.Relu(), x), step)


@reads("Sign")
def _sign(site: Site) -> Value:
    small = site.emit(Clip(-1.0, 1.0), site.value())
    return site.emit(Clip(-1.0, 1.0), site.emit(Affine(STEEP), small))


@reads("Shrink")
def _shrink(site: Site) -> Value:
    """Soft shrink only: values further from 0 than a bound move toward it by the bound."""
    x, threshold, bias = site.value(), site.attribute("lambd", 0.5), site.attribute("bias", 0.0)
    site.expect(threshold == bias >= 0, "a jump at its threshold")
    above = site.emit(ops.Relu(), site.emit(Affine(1.0, -threshold), x))
    below = site.emit(ops.Relu(), site.emit(Affine(-1.0, -threshold), x))
    return site.emit(Add(), above, site.emit(Affine(-1.0), below))


@writes("prelu")
def _write_prelu(pen: Pen, op: Any) -> None:
    weight = pen.weight("weight")
    if op.channels == "each":
        weight = pen.by_channel(weight)
    pen.last("PRelu", pen.x, weight)


@reads("Softmax", "LogSoftmax")
def _softmax(site: Site) -> Value:
    x = site.value()
    axis = site.axis(site.attribute("axis", 1 if site.opset < 13 else -1), len(x.shape))
    cls = {"Softmax": ops.Softmax, "LogSoftmax": ops.LogSoftmax}[site.call.kind]
    site.expect(axis > 0, "softmax over the batch")
    if (
        site.opset < 13 and np.prod(x.shape[axis + 1 :]) > 1
    ):  # before opset 13 it normalizes over all axes from `axis` on
        flat = site.reshape(x, (*x.shape[:axis], int(np.prod(x.shape[axis:]))))
        return site.reshape(site.emit(cls(flat.spec.axes[-1]), flat), x.shape)
    return site.emit(cls(x.spec.axes[axis]), x)


@writes("softmax", "logsoftmax")
def _write_softmax(pen: Pen, op: Any) -> None:
    pen.last(op.onnx, pen.x, axis=pen.inputs[0].axes.index(op.axis))


@reads("Dropout")
def _dropout(site: Site) -> Value:
    site.only_first_output()
    training = site.optional(2)
    rate = site.scalar(1) if site.has(1) else site.attribute("ratio", 0.5)
    site.expect(rate == 0 or training is None or not training.any(), "training mode")
    return site.emit(Dropout(rate), site.value())


@writes("dropout")
def _write_dropout(pen: Pen, op: Any) -> None:
    pen.last("Dropout", pen.x, pen.number(op.rate))


@writes("stochasticdepth")
def _write_stochastic_depth(pen: Pen, _op: Any) -> None:
    pen.last("Identity", pen.x)
