"""Kernel calls of convolutions to few channels, with pixels in the lanes, and when they are faster."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import planar_conv, to_planes
from striate.engine.kernels.argument_record import Address, Constant, table
from striate.engine.kernels.planar_conv import Windows
from striate.engine.layout import Layout
from striate.engine.plan import elements, winograd
from striate.engine.plan.computation import Correlation
from striate.engine.plan.dense import fold_weights
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Buffer, Unit

Array = NDArray[Any]

LOOP_PRODUCTS, LOAD_PRODUCTS, STORE_PRODUCTS, TURN_PRODUCTS, ELEMENTWISE_PRODUCTS = 1.1, 3, 4.5, 14, 4
"""Time in products of whole vectors: a product in loops; a pixel vector with its load, at least; transposing and
storing one pixel of a vector; transposing one pixel of a block into planes; one pixel of an elementwise pass after."""
PIXEL_PRODUCTS, WINOGRAD_SAVING = 4, 2.2
"""Overhead of a pixel of a direct product besides its products, from blocks; from one plane it is twice as much.
Products that Winograd's algorithm saves, its transforms counted as such."""


class PlanarLowering(Lowering[Windows]):
    """Copy into planes if needed, the convolution, and an elementwise pass for an epilogue other than a clamp."""

    bodies = (Correlation,)
    finishes = True

    def covers(self, body: Correlation, lanes: int) -> bool:
        return False  # only units for which another kernel is slower

    def choose(self, unit: Unit, context: PlanContext) -> Windows | None:
        """The windows of the convolution, or None if this kernel does not support it or another is faster."""
        body, lanes = unit.body, context.target.lanes
        assert isinstance(body, Correlation)
        x, y = unit.inputs[0], unit.outputs[0]
        if body.windows is None or body.groups != 1 or unit.residual is not None or x.flat or x.root.outside:
            return None
        if unit.derived:
            return None
        if x.root.lanes not in (1, lanes):
            return None
        sizes = x.height, x.width
        windows = planar_conv.adjoint_windows(body.windows, sizes) if body.adjoint else body.windows
        if windows is None or not planar_conv.covers(context.target, windows, body.outputs):
            return None
        shape = y.images, body.depth, body.outputs, x.root.lanes > 1, unit.epilogue is not None
        fast = winograd.choose(unit, context) is not None
        return windows if _pays(context, windows, shape, not body.adjoint, fast) else None

    def border(self, unit: Unit, windows: Windows, context: PlanContext) -> Pads:
        """Padding that is read around planes; blocks are copied into planes with their own border."""
        return _padding(unit, windows, context) if unit.inputs[0].root.lanes == 1 else (0, 0, 0, 0)

    def calls(self, unit: Unit, windows: Windows, context: PlanContext) -> list[KernelCall]:
        body, (x,), (y,), target = unit.body, unit.inputs, unit.outputs, context.target
        assert isinstance(body, Correlation)
        rows, vectors = planar_conv.group(target, y.channels, y.height, y.width)
        taps = planar_conv.taps(windows[0], rows, not body.adjoint)
        calls, source, layout = [], x, x.layout
        if x.root.lanes > 1:
            planes = Layout(x.images, x.channels, x.height, x.width, 1).with_border(
                *_padding(unit, windows, context)
            )
            source = Buffer(f"{x.name} in planes", (x.images, planes.image // 4), "nc", lanes=1)
            # Only if both do: then these two steps are in one span.
            source.shares_image_slot = x.root.shares_image_slot and y.root.shares_image_slot
            layout = dataclasses.replace(planes, shares_image_slot=source.shares_image_slot)
            calls.append(_to_planes(unit, source, layout, context))

        def packed() -> Array:
            weight, bias = fold_weights(unit)
            weight = weight.reshape(*weight.shape[:2], windows[0].kernel, windows[1].kernel)
            return planar_conv.pack(planar_conv.flip_weight(weight) if body.adjoint else weight, bias)

        weights = Address(Constant((unit.name, "planar"), packed))
        addresses = source.base_address, y.base_address, weights, table(taps)
        record = planar_conv.arguments(layout, y.layout, windows, addresses, unit.low, unit.high)
        flops, _ = planar_conv.cost(y.layout, windows, body.depth)
        calls.append(
            KernelCall(
                unit, "planar", f"{rows * vectors}x{body.outputs}",
                Kernel("planar_conv", (body.outputs, rows, vectors)), record,
                y.images * len(taps), 1, [source], unit.outputs,
                scratch=planar_conv.scratch_bytes(target, body.outputs, rows, vectors), flops=flops,
                weights=4 * body.outputs * (1 + body.depth * windows[0].kernel * windows[1].kernel),
                imagewise=True,
            )
        )  # fmt: skip
        return [*calls, *elements.finishing(unit, context)]


@functools.lru_cache(maxsize=256)
def _pays(
    context: PlanContext, windows: Windows, shape: tuple[int, int, int, bool, bool], every: bool, fast: bool
) -> bool:
    """shape: images, input and output channels, whether the input is in blocks, whether an epilogue follows; every:
    whether all taps are used; fast: whether Winograd's algorithm is the alternative."""
    target, (down, across) = context.target, windows
    images, depth, outputs, blocked, epilogue = shape
    pixels = down.output * across.output * images
    products = pixels * depth * down.kernel * across.kernel
    other_cost = (
        products / WINOGRAD_SAVING if fast else products + pixels * PIXEL_PRODUCTS * (1 if blocked else 2)
    )
    lanes = target.lanes
    loads = images * planar_conv.loads(target, windows, depth, outputs, every)
    stores = images * down.output * -(-across.output // lanes) * lanes
    cost = loads * max(outputs, LOAD_PRODUCTS) * LOOP_PRODUCTS + stores * STORE_PRODUCTS
    if blocked:
        cost += images * -(-depth // lanes) * down.input * -(-across.input // lanes) * lanes * TURN_PRODUCTS
    if epilogue:
        cost += pixels * ELEMENTWISE_PRODUCTS
    return cost < other_cost


def _padding(unit: Unit, windows: Windows, context: PlanContext) -> Pads:
    body, (y,) = unit.body, unit.outputs
    assert isinstance(body, Correlation)
    rows, _ = planar_conv.group(context.target, y.channels, y.height, y.width)
    return planar_conv.padding(context.target, windows, rows, not body.adjoint)


def _to_planes(unit: Unit, to: Buffer, layout: Layout, context: PlanContext) -> KernelCall:
    """Copy a unit's input from blocks to planes."""
    (x,), target = unit.inputs, context.target
    units = x.height // to_planes.unit(target, x.width, x.height)

    record = to_planes.arguments(target, x.layout, layout, (x.base_address, to.start_address))
    return KernelCall(
        unit, "to planes", "", Kernel("to_planes"), record, x.images * units, x.layout.blocks, [x], [to],
        imagewise=True,
    )  # fmt: skip
