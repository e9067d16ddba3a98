"""Kernel calls that only training needs: sums by channel, gradients of weights, norms and pooling."""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import (
    channel_sums,
    depthwise,
    depthwise_adjoint,
    depthwise_gradient,
    expression,
    norm,
    norm_gradient,
    pool,
    pool_gradient,
    weight_gradient,
)
from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.layout import Layout
from striate.engine.plan import choose, dense, elements, generic, windows
from striate.engine.plan.computation import Correlation, Norm
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.nest import lower
from striate.engine.plan.units import ChannelSums, Loops, NormGradient, PoolGradient, Unit, WeightGradient
from striate.geometry import Window

Array = NDArray[Any]


def border(unit: Unit, context: PlanContext) -> tuple[int, int, int, int]:
    """Padding that a unit reads around its first input."""
    if isinstance(unit.body, WeightGradient):
        body, x = unit.body.body, unit.inputs[0]
        return dense.border(dataclasses.replace(body, adjoint=False), (x.height, x.width))
    if isinstance(unit.body, Correlation) and _is_depthwise_adjoint(unit.body):
        assert unit.body.windows is not None
        return depthwise_adjoint.padding(unit.body.windows)
    return choose.border(unit, context)


def steps(unit: Unit, context: PlanContext) -> list[KernelCall]:
    """The kernel calls of one unit."""
    body = unit.body
    if isinstance(body, ChannelSums):
        return [_channel_sums(unit, body, context)]
    if isinstance(body, WeightGradient):
        return [_weight_gradient(unit, body.body, context)]
    if isinstance(body, PoolGradient):
        return [_pool(unit, body, context)]
    if isinstance(body, Norm):
        return [_norm(unit, body, context)]
    if isinstance(body, NormGradient):
        return [_norm_back(unit, body.body, context)]
    if isinstance(body, Loops):
        places = {name: generic.axes(value) for name, value in body.values.items()}
        nests = lower(body.statements, places, context.target)
        return [generic.step(unit, nest, body.values) for nest in nests]
    if isinstance(body, Correlation) and _is_depthwise_adjoint(body):
        return [_depthwise_adjoint(unit, body, context)]
    return choose.steps(unit, context)


def _channel_sums(unit: Unit, body: ChannelSums, context: PlanContext) -> KernelCall:
    lanes = context.target.lanes
    names = list(body.values)
    letters = {name: chr(ord("a") + k) for k, name in enumerate(names)}
    texts = [expression.text(expr, letters) for expr in body.exprs]
    kinds = "".join(body.kinds[name] for name in names)
    x = body.like
    like = Layout(x.images, x.channels, x.height, x.width, lanes)
    row_images = 1 if body.by_image else 0

    outputs = [y.base_address for y in unit.outputs]
    places = [elements.place(body.values[name], body.kinds[name]) for name in names]
    record = channel_sums.arguments(like, outputs, places, row_images)
    flops, _ = channel_sums.cost(like, kinds, texts)
    return KernelCall(
        unit, "channel sums", kinds, Kernel("channel_sums", (kinds, *texts)), record,
        channel_sums.rows(like.images, row_images), like.blocks, unit.reads, unit.outputs,
        flops=flops, by_parts=True, scratch=channel_sums.scratch_bytes(lanes, len(texts)),
    )  # fmt: skip


def has_weight_gradient(body: Correlation, lanes: int) -> bool:
    """Whether a kernel computes the gradient of a correlation's weight."""
    if body.windows is None or any(min(m.before, m.after) < 0 for m in body.windows):
        return False
    if windows.slides(body):
        return True
    return weight_gradient.covers(body.windows, body.groups, body.depth, body.outputs, lanes)


def has_input_gradient(body: Correlation, lanes: int) -> bool:
    """Whether a kernel computes this gradient with respect to a correlation's input."""
    return _is_depthwise_adjoint(body) or choose.has_kernel(body, lanes)


def _is_depthwise_adjoint(body: Correlation) -> bool:
    """Whether it is the gradient with respect to the input of a depthwise convolution."""
    if not body.adjoint or body.windows is None or body.groups == 1:
        return False
    return depthwise_adjoint.covers(body.windows, body.groups, body.depth, body.outputs)


def _depthwise_adjoint(unit: Unit, body: Correlation, context: PlanContext) -> KernelCall:
    (dy,), (dx,) = unit.inputs, unit.outputs
    assert body.windows is not None
    maps, lanes = body.windows, context.target.lanes
    taps = maps[0].kernel * maps[1].kernel

    weights = Constant(
        (unit.name, "depthwise", lanes), lambda: depthwise.pack(lanes, *dense.fold_weights(unit))
    )
    addresses = dy.base_address, dx.base_address, Address(weights)
    record = depthwise_adjoint.arguments(dy.layout, dx.layout, maps, 4 * lanes * (1 + taps), addresses)
    flops, _ = depthwise_adjoint.cost(dy.layout, dx.layout, maps)
    return KernelCall(
        unit, "depthwise adjoint", f"{maps[0].kernel}x{maps[1].kernel}", Kernel("depthwise_adjoint"), record,
        dx.images * dx.height, dx.layout.blocks, unit.reads, unit.outputs,
        flops=flops, weights=4 * dx.channels * taps, by_parts=True,
    )  # fmt: skip


def _depthwise_gradient(unit: Unit, windows_: tuple[Window, Window], context: PlanContext) -> KernelCall:
    """The gradient with respect to depthwise weights."""
    (x, dy), (dw,), target = unit.inputs, unit.outputs, context.target
    numbers = depthwise_gradient.parameters(target, windows_)

    addresses = x.base_address, dy.base_address, dw.base_address
    record = depthwise_gradient.arguments(target, x.layout, dy.layout, windows_, addresses)
    flops, _ = depthwise_gradient.cost(x.layout, dy.layout, windows_)
    return KernelCall(
        unit, "depthwise gradient", f"{windows_[0].kernel}x{windows_[1].kernel}",
        Kernel("depthwise_gradient", numbers), record,
        depthwise_gradient.rows(target, windows_), dw.layout.blocks, [x, dy], [dw], flops=flops, by_parts=True,
    )  # fmt: skip


def _weight_gradient(unit: Unit, body: Correlation, context: PlanContext) -> KernelCall:
    x, dy = unit.inputs
    (dw,) = unit.outputs
    assert body.windows is not None
    if windows.slides(body):
        return _depthwise_gradient(unit, body.windows, context)
    product = weight_gradient.product(context.target, x.layout, dy.layout, body.windows, body.groups)
    inner = {numbers: Kernel("weight_gradient", numbers) for numbers in product.numbers}

    addresses = x.base_address, dy.base_address, dw.base_address
    record = weight_gradient.arguments(product, addresses, lambda *numbers: Address(inner[numbers]))
    return KernelCall(
        unit, "weight gradient", "", Kernel("weight_gradient"), record, product.rows, product.parts,
        [x, dy], [dw], tuple(inner.values()), flops=product.flops, by_parts=True,
    )  # fmt: skip


def _norm(unit: Unit, body: Norm, context: PlanContext) -> KernelCall:
    """A norm whose weight and bias are buffers."""
    (x, *_), (y,), lanes = unit.inputs, unit.outputs, context.target.lanes
    over = "group" if body.groups else "pixel"
    group = x.channels // body.groups if body.groups else 0

    vectors = _vector(unit, 1, lanes, 1.0), _vector(unit, 2, lanes, 0.0)
    addresses = x.base_address, y.base_address, *vectors
    record = norm.arguments(x.layout, y.layout, over, addresses, body.eps, group)
    flops, _ = norm.cost(x.layout)
    return KernelCall(
        unit, "norm", over, Kernel("norm", (over,)), record, norm.rows(x.layout, over),
        norm.parts(lanes, x.channels, over, group), unit.reads, unit.outputs, flops=flops,
        scratch=norm.scratch_bytes(lanes, x.channels, over, group),
    )  # fmt: skip


def _vector(unit: Unit, at: int, lanes: int, missing: float) -> Address:
    """Address of one of a unit's vectors: an input, or `missing` for every channel."""
    if at < len(unit.inputs):
        return unit.inputs[at].base_address
    channels = unit.outputs[0].channels
    key = ("norm", missing, channels, lanes)
    return Address(Constant(key, lambda: norm.pack(lanes, channels, None, missing)))


def _norm_back(unit: Unit, body: Norm, context: PlanContext) -> KernelCall:
    (dy, x, *_), (dx, mean, scale), lanes = unit.inputs, unit.outputs, context.target.lanes

    layouts = dy.layout, x.layout, dx.layout
    addresses = [value.base_address for value in (dy, x, dx, mean, scale)]
    record = norm_gradient.arguments(layouts, (*addresses, _vector(unit, 2, lanes, 1.0)), body.eps)
    flops, _ = norm_gradient.cost(x.layout)
    return KernelCall(
        unit, "norm gradient", "pixel", Kernel("norm_gradient"), record, x.images * x.height, 1,
        unit.reads, unit.outputs, flops=flops,
    )  # fmt: skip


def _pool(unit: Unit, body: PoolGradient, context: PlanContext) -> KernelCall:
    """Each window's gradient goes to the number that was the maximum, or to all numbers of the window."""
    dy, (dx,) = unit.inputs[0], unit.outputs
    x, y = unit.inputs[1:] or (dx, dy)
    maps = windows.pool_windows(body.body)
    rows, columns = (axis_taps[0] for m in maps if (axis_taps := pool.taps(m, body.body.padded)) is not None)
    addresses = x.base_address, y.base_address, dy.base_address, dx.base_address
    record = pool_gradient.arguments(
        x.layout, y.layout, (dy.layout, dx.layout), maps, (rows, columns), addresses, body.low, body.high
    )
    numbers = pool_gradient.parameters(body.body.reduce, maps, body.body.padded, body.low, body.high)
    flops, _ = pool_gradient.cost(dx.layout, dy.layout, maps, body.body.reduce)
    return KernelCall(
        unit, f"{body.body.reduce} pool gradient", f"{maps[0].taps}x{maps[1].taps}",
        Kernel("pool_gradient", numbers), record,
        dx.images, dx.layout.blocks, unit.reads, [dx], flops=flops, by_parts=True,
    )  # fmt: skip
