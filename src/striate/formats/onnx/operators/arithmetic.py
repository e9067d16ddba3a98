"""Where values meet, and where they meet constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.operators.register import reads, writes
from striate.ops.merge import Add, Concat, Multiply
from striate.ops.regularise import LayerScale
from striate.ops.scalar import Affine

if TYPE_CHECKING:
    from striate.formats.onnx.reading import Site, Value
    from striate.formats.onnx.writing import Pen

Array = NDArray[Any]


@reads("Add", "Sum", "Mul", "Sub", "Div", "Neg")
def _arithmetic(site: Site) -> Value:
    kind, data = site.call.kind, site.data
    if kind == "Neg":
        return site.emit(Affine(-1.0), site.value())
    if len(data) == len(site.call.inputs) == 1:
        return site.value()  # the sum of one
    if len(data) == len(site.call.inputs):
        site.expect(kind != "Div", "a quotient of two values")
        data = _same_axes(site, data)
        if kind == "Sub":
            data[1] = site.emit(Affine(-1.0), data[1])
        if kind != "Mul" and any(v.shape != data[0].shape for v in data):
            data.sort(key=lambda v: -v.spec.elements)  # the whole one first: it says the size
        return site.emit(Multiply() if kind == "Mul" else Add(), *data)
    site.expect(len(site.call.inputs) == 2 and len(data) == 1, "more than one constant")
    at = 1 if site.is_value(site.call.inputs[0]) else 0
    x, number = data[0], np.asarray(site.array(at))
    site.expect(np.issubdtype(number.dtype, np.floating), "whole numbers")
    if kind == "Div":
        site.expect(at == 1, "a constant divided by a value")
        number = (1 / number).astype(number.dtype)
    if kind == "Sub" and at == 1:
        number = -number
    turned = kind == "Sub" and at == 0
    times = kind in ("Mul", "Div")
    if number.size == 1:
        value = float(number.ravel()[0])
        value = float(str(np.float32(value))) if kind != "Div" else value
        return site.emit(Affine(value, 0.0) if times else Affine(-1.0 if turned else 1.0, value), x)
    if "axis" in site.call.attributes:  # before opset 7 a constant stood at an axis, not at the end
        at_axis = site.attribute("axis") % len(x.shape)
        number = number.reshape(number.shape + (1,) * (len(x.shape) - at_axis - number.ndim))
    shape = _shape_beside(site, x, number)
    learned = site.learned(at)
    name = site.origin(at)
    if (
        times
        and name.endswith((".layer_scale", ".gamma"))
        and shape == (x.shape[1], *(1,) * (len(shape) - 1))
    ):
        return site.emit(LayerScale(), x, layer_scale=number)
    if times:
        return site.emit(Affine(weight=shape, learned=learned), x, weight=number.reshape(shape))
    bias = number.reshape(shape)
    return site.emit(Affine(-1.0 if turned else 1.0, bias=shape, learned=learned), x, bias=bias)


def _same_axes(site: Site, data: list[Value]) -> list[Value]:
    """Values whose axes have the same names, where only their names differ."""
    site.expect(len({len(v.shape) for v in data}) == 1, "values of different rank")
    if len({v.spec.axes for v in data}) > 1:
        data = [site.standard(v) for v in data]
    return data


def _shape_beside(site: Site, x: Value, number: Array) -> tuple[int, ...]:
    """A constant's shape beside one image of x. Raises Unknown where it would make x larger."""
    site.expect(number.ndim <= len(x.shape), "a constant of more axes")
    wide = (1,) * (len(x.shape) - number.ndim) + number.shape
    site.expect(wide[0] == 1, "a constant for every image")
    site.expect(
        all(s in (1, n) for s, n in zip(wide, x.shape, strict=True)), "a constant larger than the value"
    )
    return tuple(wide[1:])


@writes("add", "mul")
def _write_merge(pen: Pen, op: Any) -> None:
    total, *others = pen.sources
    for other in others[:-1]:
        total = pen.call(op.onnx, total, other)
    pen.last(op.onnx, total, others[-1])


@writes("layerscale")
def _write_layer_scale(pen: Pen, _op: Any) -> None:
    pen.last("Mul", pen.x, pen.weight("layer_scale"))


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
    site.expect(len(data) == len(site.call.inputs), "constants beside values")
    if len(data) == 1:
        return data[0]
    data = _same_axes(site, data)
    axis = data[0].spec.axes[site.attribute("axis") % len(data[0].shape)]
    site.expect(axis != "N", "images joined to a batch")
    return site.emit(Concat(axis), *data)


@writes("concat")
def _write_concat(pen: Pen, op: Any) -> None:
    pen.last("Concat", *pen.sources, axis=pen.inputs[0].axes.index(op.axis))
