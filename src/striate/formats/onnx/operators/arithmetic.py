"""Arithmetic between values, and between values and constants."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.operators.functions import clip_op
from striate.formats.onnx.operators.register import reads, writes
from striate.ops.activation import Relu
from striate.ops.functions import Pow
from striate.ops.merge import Add, Concat, Divide, Maximum, Minimum, Multiply
from striate.ops.regularize import LayerScale
from striate.ops.scalar import Affine

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen

Array = NDArray[Any]


@reads("Add", "Sum", "Mul", "Sub", "Div", "Neg")
def _arithmetic(site: Site) -> Value:
    kind, data = site.call.kind, site.slim
    if kind == "Neg":
        return site.emit(Affine(-1.0), site.value())
    if len(data) == len(site.call.inputs) == 1:
        return site.value()  # the sum of one
    if len(data) == len(site.call.inputs):
        data = _align(site, data)
        if kind == "Sub":
            data[1] = site.emit(Affine(-1.0), data[1])
        if kind in ("Add", "Sum", "Sub") and any(v.shape != data[0].shape for v in data):
            data.sort(key=lambda v: -v.spec.elements)  # the largest first: it determines the shape
        return site.emit({"Mul": Multiply(), "Div": Divide()}.get(kind, Add()), *data)
    site.expect(len(site.call.inputs) == 2 and len(data) == 1, "more than one constant")
    at = 1 if site.is_value(site.call.inputs[0]) else 0
    x, number = data[0], np.asarray(site.array(at))
    site.expect(np.issubdtype(number.dtype, np.floating), "whole numbers")
    if kind == "Div" and at == 0:
        x = site.emit(Pow(-1.0), site.full(x))
        kind = "Mul"
    if kind == "Div":
        number = (1 / number).astype(number.dtype)
    if kind == "Sub" and at == 1:
        number = -number
    turned = kind == "Sub" and at == 0
    times = kind in ("Mul", "Div")
    if number.size == 1 and number.ndim <= len(x.shape) and not site.learned(at):
        x = site.full(x)
        value = float(number.ravel()[0])
        value = float(str(np.float32(value))) if kind != "Div" else value
        if times and value == 1:
            return x
        return site.emit(Affine(value, 0.0) if times else Affine(-1.0 if turned else 1.0, value), x)
    if (
        "axis" in site.call.attributes
    ):  # before opset 7 the axes of a constant began at `axis`, instead of ending at the last one
        at_axis = site.axis(site.attribute("axis"), len(x.shape))
        number = number.reshape(number.shape + (1,) * (len(x.shape) - at_axis - number.ndim))
    x, number = with_number(site, x, number)
    learned = site.learned(at)
    name = site.origin(at)
    shape = number.shape
    if (
        times
        and name.endswith((".layer_scale", ".gamma"))
        and shape == (x.shape[1], *(1,) * (len(shape) - 1))
    ):
        return site.emit(LayerScale(), x, layer_scale=number)
    if times:
        return site.emit(Affine(weight=shape, learned=learned), x, weight=number)
    return site.emit(Affine(-1.0 if turned else 1.0, bias=shape, learned=learned), x, bias=number)


@reads("Mean")
def _mean(site: Site) -> Value:
    """Elementwise mean of values."""
    data, count = site.slim, len(site.call.inputs)
    site.expect(len(data) == count, "constants next to values")
    total = site.value() if count == 1 else site.emit(Add(), *_align(site, data))
    return total if count == 1 else site.emit(Affine(1 / count), total)


@reads("Max", "Min")
def _extreme(site: Site) -> Value:
    """Maximum or minimum of values, of a value and a number, or of a value and one number per channel."""
    highest, data = site.call.kind == "Max", site.slim
    if len(data) == len(site.call.inputs):
        if len(data) == 1:
            return site.value()
        return site.emit(Maximum() if highest else Minimum(), *_align(site, data))
    site.expect(len(data) == 1 and len(site.call.inputs) == 2, "more than one constant")
    at = 1 - site.call.inputs.index(next(n for n in site.call.inputs if site.is_value(n)))
    limit = site.array(at)
    if limit.size == 1:
        number = site.scalar(at)
        return site.emit(clip_op(number, None) if highest else clip_op(None, number), site.value(1 - at))
    # max(x, t) = max(x - t, 0) + t, and min(x, t) = -max(-x, -t). t occurs twice, so it is not learned.
    x, limit = with_number(site, site.value(1 - at), limit if highest else -limit)
    over = site.emit(Affine(1.0 if highest else -1.0, bias=limit.shape, learned=False), x, bias=-limit)
    sign = 1.0 if highest else -1.0
    excess = site.emit(Relu(), over)
    return site.emit(Affine(sign, bias=limit.shape, learned=False), excess, bias=sign * limit)


@reads("Where")
def _where(site: Site) -> Value:
    """Where, with a constant condition."""
    mask = site.array(0).astype(np.float32)
    total: Value | None = None
    for at, share in ((1, mask), (2, 1 - mask)):
        if site.is_value(site.call.inputs[at]):
            x, weight = with_number(site, site.value(at), share)
            part = site.emit(Affine(weight=weight.shape, learned=False), x, weight=weight)
            total = part if total is None else site.emit(Add(), *_align(site, [total, part]))
    site.expect(total is not None, "no value")
    assert total is not None
    for at, share in ((1, mask), (2, 1 - mask)):
        if not site.is_value(site.call.inputs[at]):
            other = np.where(share > 0, site.array(at), 0).astype(np.float32)
            if other.any():
                x, shift = with_number(site, total, other)
                total = site.emit(Affine(bias=shift.shape, learned=False), x, bias=shift)
    return total


@reads("Pow")
def _pow(site: Site) -> Value:
    exponent = site.scalar(1)
    return site.value() if exponent == 1 else site.emit(Pow(exponent), site.value())


@reads("Sqrt", "Reciprocal")
def _power(site: Site) -> Value:
    return site.emit(Pow(0.5 if site.call.kind == "Sqrt" else -1.0), site.value())


def _align(site: Site, data: list[Value]) -> list[Value]:
    """Bring values to equal axis names, and one of them to the shape that ONNX would broadcast to."""
    data = same_axes(site, data)
    shape = np.broadcast_shapes(*(v.wide or v.shape for v in data))
    if shape != np.broadcast_shapes(*(v.shape for v in data)):
        data[0] = site.broadcast(data[0], shape)
    return [dataclasses.replace(v, wide=None) for v in data]


def same_axes(site: Site, data: list[Value]) -> list[Value]:
    """Bring values of equal rank to equal axis names."""
    site.expect(len({len(v.shape) for v in data}) == 1, "values of different rank")
    if len({v.spec.axes for v in data}) > 1:
        largest = max(data, key=lambda v: v.spec.elements)
        data = [site.rename_axes(v, largest.spec.axes) for v in data]
    return data


def with_number(site: Site, x: Value, number: Array) -> tuple[Value, Array]:
    """Bring a value and a constant to equal rank; the constant has no batch axis. The value is broadcast if needed."""
    site.expect(number.ndim <= len(x.shape), "a constant of higher rank")
    wide = number.reshape((1,) * (len(x.shape) - number.ndim) + number.shape)
    site.expect(wide.shape[0] == 1, "a constant with a batch axis")
    shape = np.broadcast_shapes(wide.shape, x.wide or x.shape)
    if shape != np.broadcast_shapes(wide.shape, x.shape) or any(n < m for n, m in zip(x.shape, wide.shape)):
        x = site.broadcast(x, shape)
    return dataclasses.replace(x, wide=None), wide[0]


@writes("add", "mul", "maximum", "minimum")
def _write_merge(pen: Pen, op: Any) -> None:
    total, *others = pen.sources
    for other in others[:-1]:
        total = pen.call(op.onnx, total, other)
    pen.last(op.onnx, total, others[-1])


@writes("div", "matmul")
def _write_two(pen: Pen, op: Any) -> None:
    pen.last(op.onnx, *pen.sources)


@writes("pow")
def _write_pow(pen: Pen, op: Any) -> None:
    match op.exponent:
        case 0.5:
            pen.last("Sqrt", pen.x)
        case -1:
            pen.last("Reciprocal", pen.x)
        case _:
            pen.last("Pow", pen.x, pen.number(op.exponent))


@writes("layerscale")
def _write_layer_scale(pen: Pen, _op: Any) -> None:
    (scale,), weight = pen.declaration.parameters, pen.weight("layer_scale")
    pen.last("Mul", pen.x, pen.by_channel(weight) if len(scale.shape) == 1 else weight)


@writes("affine")
def _write_affine(pen: Pen, op: Any) -> None:
    steps = []
    if op.scale != 1:
        steps.append(("Mul", pen.number(op.scale)))
    if op.weight is not None:
        steps.append(("Mul", pen.weight("weight")))
    if op.bias is not None:
        steps.append(("Add", pen.weight("bias")))
    if op.shift != 0:
        steps.append(("Add", pen.number(op.shift)))
    x = pen.x
    for kind, other in steps[:-1]:
        x = pen.call(kind, x, other)
    if steps:
        pen.last(steps[-1][0], x, steps[-1][1])
    else:
        pen.last("Identity", x)


@reads("Concat")
def _concat(site: Site) -> Value:
    data = site.data
    site.expect(len(data) == len(site.call.inputs), "constants next to values")
    if len(data) == 1:
        return data[0]
    data = same_axes(site, data)
    axis = data[0].spec.axes[site.axis(site.attribute("axis"), len(data[0].shape))]
    site.expect(axis != "N", "concatenation along the batch")
    return site.emit(Concat(axis), *data)


@writes("concat")
def _write_concat(pen: Pen, op: Any) -> None:
    pen.last("Concat", *pen.sources, axis=pen.inputs[0].axes.index(op.axis))
