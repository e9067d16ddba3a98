"""Matrix products with weights, and of values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.onnx.operators.register import reads, writes
from striate.ops.linear import Linear
from striate.ops.merge import Add, MatMul
from striate.ops.rearrange import Rearrange
from striate.ops.scalar import Affine

if TYPE_CHECKING:
    from striate.formats.onnx.site import Site, Value
    from striate.formats.onnx.writing import Pen


@reads("Gemm", "MatMul", "striate.Linear")
def _linear(site: Site) -> Value:
    if site.call.kind == "MatMul" and len(site.slim) == 2:
        return _product(site)
    if site.call.kind == "MatMul" and not site.is_value(site.call.inputs[0]):
        return _from_the_left(site)
    x, weight, bias = site.value(), site.array(1), None
    transposed, addend = False, None
    if site.call.kind == "Gemm":
        site.expect(not site.attribute("transA", 0) and len(x.shape) == 2, "a transposed input")
        transposed = bool(site.attribute("transB", 0))
        weight = weight * np.float32(site.attribute("alpha", 1.0))
        if site.has(2) and site.is_value(site.call.inputs[2]):
            addend = site.value(2)
        else:
            bias = site.optional(2)
            bias = None if bias is None else bias * np.float32(site.attribute("beta", 1.0))
    elif site.call.kind == "striate.Linear":
        bias = site.array(2)
    if (
        weight.ndim == 1 and site.call.kind == "MatMul" and len(x.shape) > 2
    ):  # a dot product with the last axis
        rows = site.emit(Linear(1, False, len(weight)), site.features_last(x), weight=weight[None])
        return site.reshape(rows, x.shape[:-1])
    site.expect(weight.ndim == 2, "a product of more than two axes")
    weight = weight if transposed else weight.T
    if bias is not None:
        site.expect(
            bias.size in (1, len(weight)) and bias.shape[-1:] in ((), (bias.size,)), "a bias per position"
        )
        bias = np.broadcast_to(bias.ravel(), (len(weight),))
    weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    op = Linear(len(weight), bias is not None, weight.shape[1])
    y = site.emit(op, site.features_last(x), **weights)
    if addend is None:
        return y
    scale = site.attribute("beta", 1.0)
    return site.emit(Add(), y, addend if scale == 1 else site.emit(Affine(scale), addend))


def _product(site: Site) -> Value:
    """Matrix product of two values, per image."""
    a, b = site.value(0), site.value(1)
    site.expect(len(a.shape) == len(b.shape) > 2, "a product of more than two axes")
    return site.emit(MatMul(), a, b)


def _from_the_left(site: Site) -> Value:
    """A constant times a value mixes the axis before the last: y = (xᵀ wᵀ)ᵀ."""
    x, weight = site.value(1), site.array(0)
    site.expect(weight.ndim == 2 and len(x.shape) > 2, "a product of more than two axes")
    order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    turned = site.features_last(site.transpose(x, order))
    return site.transpose(
        site.emit(Linear(len(weight), False, weight.shape[1]), turned, weight=weight), order
    )


@writes("fc")
def _write_linear(pen: Pen, op: Any) -> None:
    weight = pen.weight("weight")
    if len(pen.inputs[0].shape) == 2:
        more = [pen.weight("bias")] if op.bias else []
        pen.last("Gemm", pen.x, weight, *more, transB=1)
        return
    turned = pen.call("Transpose", weight, perm=[1, 0])
    if op.bias:
        pen.last("Add", pen.call("MatMul", pen.x, turned), pen.weight("bias"))
    else:
        pen.last("MatMul", pen.x, turned)


@reads("Einsum")
def _einsum(site: Site) -> Value:
    """Einsum of two factors, per image: one matrix product over the letters that both have and the result lacks."""
    terms, _, out = site.attribute("equation", "").replace(" ", "").partition("->")
    letters = terms.split(",")
    site.expect(
        len(letters) == 2 and bool(out) and "." not in terms, "more factors than two, or letters left out"
    )
    if not site.is_value(site.call.inputs[0]):
        letters.reverse()
    (x, *others), (one, other) = site.data, letters
    image, repeated = one[:1], any(len(set(word)) < len(word) for word in (one, other, out))
    site.expect(not repeated and out[:1] == image, "a diagonal, or a batch axis that moves")
    size = dict(zip(one, x.shape, strict=True))
    common = [v for v in one[1:] if v in other]
    inner = [v for v in common if v not in out]
    both, x_only = [v for v in common if v in out], [v for v in one[1:] if v not in other]
    site.expect(all(v in out for v in x_only), "a sum over one factor's axis")
    if others:
        (y,) = others
        site.expect(other[:1] == image, "a batch axis that moves")
        size |= dict(zip(other, y.shape, strict=True))
    else:
        weight = site.array(1 if site.is_value(site.call.inputs[0]) else 0)
        size |= dict(zip(other, weight.shape, strict=True))
        site.expect(not both and image not in other, "weights per position")
    y_only = [v for v in other if v not in one]
    site.expect(all(v in out for v in y_only), "a sum over one factor's axis")

    def join(value: Value, word: str, *groups: list[str]) -> Value:
        """Join each group of a value's axes into one axis; the first group may be empty."""
        order = tuple(word[1:].index(v) for group in groups for v in group)
        shape = tuple(math.prod(size[v] for v in group) for group in groups)
        return site.emit(Rearrange(tuple(size[v] for v in word[1:]), order, shape), value)

    if others:
        product = site.emit(MatMul(), join(x, one, both, x_only, inner), join(y, other, both, inner, y_only))
    else:
        matrix = weight.transpose([other.index(v) for v in (*y_only, *inner)])
        matrix = matrix.reshape(math.prod(size[v] for v in y_only), -1)
        rows = site.features_last(join(x, one, x_only, inner))
        product = site.emit(Linear(len(matrix), False, matrix.shape[1]), rows, weight=matrix)
    axes = [*both, *x_only, *y_only]
    shape = tuple(size[v] for v in out[1:])
    return site.emit(
        Rearrange(tuple(size[v] for v in axes), tuple(axes.index(v) for v in out[1:]), shape), product
    )
