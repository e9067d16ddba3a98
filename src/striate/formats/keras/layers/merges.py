"""Merge layers, and arithmetic of keras.ops with numbers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from striate.formats.keras.graph import Constant
from striate.formats.keras.layers.moves import reshape
from striate.formats.keras.layers.norms import affine
from striate.formats.keras.layers.register import reads
from striate.op import Op
from striate.ops import activation as ops
from striate.ops.merge import Add, Concat, Divide, Maximum, Minimum, Multiply
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.keras.site import Site, Value


def _align(site: Site, values: list[Value]) -> list[Value]:
    """Bring values to one rank and axis order; layers insert new axes after the batch, ops before it."""
    rank = max(len(x.shape) for x in values)
    aligned = []
    for x in values:
        if len(x.shape) < rank:
            site.expect(not site.layer.is_operation, "tensors of different rank")
            x = reshape(site, x, (*(1,) * (rank - len(x.shape)), *x.shape[1:]))
        aligned.append(x)
    if len({x.order for x in aligned}) > 1:
        aligned = [site.standard(x) for x in aligned]
    if len({x.parts for x in aligned}) > 1:
        aligned = [site.plain(x) for x in aligned]
    return aligned


def _merge(site: Site, op: Op, values: list[Value], suffix: str = "") -> Value:
    alike = _align(site, values)
    if len(alike) == 1:
        return alike[0]
    y = site.emit(op, *alike, suffix=suffix)
    return y if y.known is None else dataclasses.replace(y, order=alike[0].order, parts=alike[0].parts)


def _negative(site: Site, x: Value) -> Value:
    return site.along(Affine(-1.0), x, "negative")


def _constant(site: Site) -> tuple[Value, Any, bool] | None:
    """(value, numbers, whether the value comes first) of an operation with a constant; None for two values."""
    if len(site.values) == len(site.items):
        return None
    site.expect(len(site.items) == 2 and len(site.values) == 1, "more than two operands")
    number = next(item for item in site.items if isinstance(item, Constant))
    return site.values[0], number.value, site.items[0] is site.values[0]


@reads("Add", "Average")
def _add(site: Site) -> Value:
    if pair := _constant(site):
        site.expect(site.layer.kind == "Add", "a mean with a number")
        return affine(site, pair[0], 1.0, pair[1])
    y = _merge(site, Add(), site.values)
    if site.layer.kind == "Average":
        return site.along(Affine(1 / len(site.values)), y)
    return y


@reads("CustomScaleLayer")
def _scaled_sum(site: Site) -> Value:
    """a + scale · b, the residual of Inception-ResNet (Szegedy et al., arXiv 1602.07261)."""
    first, second = site.values
    scaled = site.along(Affine(site.number("scale", 1.0)), second, "scale")
    return _merge(site, Add(), [first, scaled])


@reads("Subtract")
def _subtract(site: Site) -> Value:
    if pair := _constant(site):
        x, numbers, first = pair
        if first:
            site.expect(not isinstance(numbers, list), "a difference with several numbers")
            return affine(site, x, 1.0, -float(numbers))
        return affine(site, x, -1.0, numbers)
    site.expect(len(site.values) == 2, "more than two inputs")
    return _merge(site, Add(), [site.values[0], _negative(site, site.values[1])])


@reads("Multiply")
def _multiply(site: Site) -> Value:
    if pair := _constant(site):
        return affine(site, pair[0], pair[1], 0.0)
    return _merge(site, Multiply(), site.values)


@reads("TrueDivide", "Divide")
def _divide(site: Site) -> Value:
    pair = _constant(site)
    if pair is None:
        return _merge(site, Divide(), site.values)
    x, number, first = pair
    site.expect(first and isinstance(number, int | float) and number != 0, "a quotient by it")
    return affine(site, x, 1.0 / number, 0.0)


@reads("Negative")
def _minus(site: Site) -> Value:
    return site.along(Affine(-1.0), site.value)


@reads("Maximum", "Minimum")
def _bound(site: Site) -> Value:
    greater = site.layer.kind == "Maximum"
    pair = _constant(site)
    if pair is None:
        return _merge(site, Maximum() if greater else Minimum(), site.values)
    x, limit, _ = pair
    site.expect(isinstance(limit, int | float), "a bound of several numbers")
    if greater and limit == 0:
        return site.along(ops.Relu(), x)
    return site.along(Clip(limit, None) if greater else Clip(None, limit), x)


@reads("Clip")
def _clip(site: Site) -> Value:
    bounds = [item.value for item in site.items if isinstance(item, Constant)]
    low, high = bounds if len(bounds) == 2 else (site.get("x_min"), site.get("x_max"))
    (x,) = site.values
    return site.along(Clip(low, high), x)


@reads("Concatenate")
def _concatenate(site: Site) -> Value:
    axis, values = site.get("axis", -1), site.values
    numbers = [item.value for item in site.items if isinstance(item, Constant)]
    axis = numbers[0] if numbers and site.layer.is_operation else axis
    if len(values) == 1:
        return values[0]
    rank = len(values[0].shape)
    site.expect(type(axis) is int and -rank <= axis < rank and axis % rank > 0, f"axis {axis}")
    if rank == 2:
        y = site.emit(Concat(), *values)
        if not any(x.parts for x in values):
            return y
        parts = [part for x in values for part in (x.parts or ((x.shape[1],),))]
        return dataclasses.replace(y, parts=tuple(parts))
    if len({x.order for x in values}) > 1:
        values = [site.standard(x) for x in values]
    first = values[0]
    y = site.emit(Concat(first.spec.axes[first.order[axis % rank]]), *values)
    return y if y.known is None else dataclasses.replace(y, order=first.order)
