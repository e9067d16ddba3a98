"""Kernel calls of convolutions to few channels, with pixels in the lanes, and when they are faster."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import planar_conv, tile, to_planes
from striate.engine.kernels.argument_record import Address, Constant, table
from striate.engine.kernels.planar_conv import Windows
from striate.engine.kernels.winograd_sizes import Winograd
from striate.engine.kernels.winograd_sizes import cycles as winograd_cycles
from striate.engine.layout import Layout
from striate.engine.plan import elements, winograd
from striate.engine.plan.computation import Correlation
from striate.engine.plan.dense import fold_weights
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Buffer, Unit
from striate.engine.target import Target

Array = NDArray[Any]

TURN_CYCLES, ELEMENTWISE_CYCLES = 7, 2
"""Cycles for each register of a pixel, measured on whole layers: to transpose a block into planes; an elementwise pass
after the convolution."""


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
        other = winograd.choose(unit, context)
        return windows if _pays(context.target, windows, shape, not body.adjoint, other) else None

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
                cycles=y.images * planar_conv.cycles(target, windows, body.depth, body.outputs, not body.adjoint),
                weights=4 * body.outputs * (1 + body.depth * windows[0].kernel * windows[1].kernel),
                imagewise=True,
            )
        )  # fmt: skip
        return [*calls, *elements.finishing(unit, context)]


@functools.lru_cache(maxsize=256)
def _pays(
    target: Target, windows: Windows, shape: tuple[int, int, int, bool, bool], every: bool,
    other: Winograd | None,
) -> bool:  # fmt: skip
    """shape: images, input and output channels, whether the input is in blocks, whether an epilogue follows; every:
    whether all taps are used; other: the alternative, a direct product if there is none."""
    down, across = windows
    images, depth, outputs, blocked, epilogue = shape
    pixels = down.output * across.output * images
    if other is not None:
        alternative = winograd_cycles(other)
    else:
        alternative = tile.panel_cycles(target, pixels, [1], depth * down.kernel * across.kernel)
    cycles = images * planar_conv.cycles(target, windows, depth, outputs, every)
    if blocked:
        turned = -(-depth // target.lanes) * down.input * -(-across.input // target.lanes) * target.lanes
        cycles += images * turned * TURN_CYCLES * target.pieces
    if epilogue:
        cycles += pixels * ELEMENTWISE_CYCLES * target.pieces
    return cycles < alternative


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
