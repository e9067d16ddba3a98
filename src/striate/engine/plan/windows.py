"""Kernel calls with windows over few channels: depthwise and grouped convolution, and pooling."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise, grouped, pool
from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.plan import elements
from striate.engine.plan.computation import Correlation, Pool
from striate.engine.plan.dense import fold_weights
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Unit
from striate.geometry import Whole, Window

Array = NDArray[Any]


def slides(body: Correlation) -> bool:
    """Whether it is a depthwise convolution over zero padding."""
    if body.windows is None or body.adjoint or body.groups == 1:
        return False
    return depthwise.covers(body.windows, body.groups, body.depth, body.outputs)


def padding(body: Correlation) -> Pads:
    """The zeros that a depthwise or grouped convolution reads around its input."""
    assert body.windows is not None
    return depthwise.padding(body.windows)


class DepthwiseLowering(Lowering[Correlation]):
    """Depthwise convolution, and an elementwise pass for an epilogue other than a clamp."""

    bodies = (Correlation,)
    finishes = True

    def covers(self, body: Correlation, lanes: int) -> bool:
        return slides(body)

    def border(self, unit: Unit, body: Correlation, context: PlanContext) -> Pads:
        return padding(body)

    def calls(self, unit: Unit, body: Correlation, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs
        assert body.windows is not None
        windows, lanes = body.windows, context.target.lanes

        weights = Constant(
            (unit.name, "depthwise", lanes), lambda: depthwise.pack(lanes, *fold_weights(unit))
        )
        addresses = x.base_address, y.base_address, Address(weights)
        block = 4 * lanes * (1 + windows[0].kernel * windows[1].kernel)
        record = depthwise.arguments(
            x.layout, y.layout, windows, block, addresses, unit.low, unit.high, unit.residual_offset
        )
        flops, _ = depthwise.cost(x.layout, y.layout, windows)
        kind = depthwise.parameters(context.target, windows)
        cycles = y.images * y.layout.blocks * depthwise.cycles(context.target, windows, (*kind, 1))
        step = KernelCall(
            unit, "depthwise", f"{windows[0].kernel}x{windows[1].kernel}", Kernel("depthwise", kind), record,
            y.images * y.height, y.layout.blocks, unit.reads, unit.outputs,
            flops=flops, cycles=cycles, weights=4 * y.channels * windows[0].kernel * windows[1].kernel, by_parts=True,
            imagewise=True,
        )  # fmt: skip
        return [step, *elements.finishing(unit, context)]


def groups(body: Correlation) -> bool:
    """Whether it is a convolution in groups that lie within a channel block, over zero padding."""
    if body.windows is None or body.adjoint or any(min(m.before, m.after) < 0 for m in body.windows):
        return False
    return grouped.covers(body.windows, body.groups, body.depth, body.outputs)


class GroupedLowering(Lowering[Correlation]):
    """Convolution in groups smaller than a block, and an elementwise pass for an epilogue other than a clamp."""

    bodies = (Correlation,)
    finishes = True

    def covers(self, body: Correlation, lanes: int) -> bool:
        return groups(body)

    def border(self, unit: Unit, body: Correlation, context: PlanContext) -> Pads:
        return padding(body)

    def calls(self, unit: Unit, body: Correlation, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs
        assert body.windows is not None
        windows, target = body.windows, context.target
        small = grouped.group(target, body.depth, body.outputs)

        def packed() -> Array:
            weight, bias = fold_weights(unit)
            taps = windows[0].kernel, windows[1].kernel
            return grouped.pack(target, windows, body.groups, weight.reshape(*weight.shape[:2], *taps), bias)

        weights = Constant((unit.name, "grouped", target.name), packed)
        offsets = None if small else grouped.places(x.layout, y.layout, body.groups)
        addresses = x.base_address, y.base_address, Address(weights)
        record = grouped.arguments(
            x.layout, y.layout, windows, packed_bytes(body, context), addresses, offsets, unit.low, unit.high,
            unit.residual_offset,
        )  # fmt: skip
        flops, _ = grouped.cost(x.layout, y.layout, windows, body.groups)
        taps = windows[0].kernel * windows[1].kernel
        group, width, stride = kind = grouped.parameters(target, windows, body.depth, body.outputs)
        cycles = depthwise.cycles(target, windows, (width, stride, group)) if group else 0
        step = KernelCall(
            unit, "grouped", f"{body.depth}->{body.outputs}", Kernel("grouped", kind), record,
            y.images * y.height, y.layout.blocks, unit.reads, unit.outputs, flops=flops,
            cycles=y.images * y.layout.blocks * cycles, weights=4 * y.channels * taps * body.depth,
            by_parts=True, imagewise=True,
        )  # fmt: skip
        return [step, *elements.finishing(unit, context)]


def packed_bytes(body: Correlation, context: PlanContext) -> int:
    """Bytes of one block's packed weights."""
    assert body.windows is not None
    taps = body.windows[0].kernel * body.windows[1].kernel
    extra = 1 if grouped.group(context.target, body.depth, body.outputs) else 2
    return 4 * context.target.lanes * (extra + taps * body.depth)


def has_pool_kernel(body: Pool) -> bool:
    """Whether the pooling kernel supports these windows."""
    return pool.covers(pool_windows(body))


def pool_windows(body: Pool) -> tuple[Any, Any]:
    """Windows of pooling along height and width; one over a whole axis becomes a window with one output."""
    return tuple(  # type: ignore[return-value]
        m
        if hasattr(m, "output") and m.output is not None and not isinstance(m, Whole)
        else Window(m.input, m.input)
        for m in body.maps
    )


class PoolLowering(Lowering[Pool]):
    """Maximum or mean over windows."""

    bodies = (Pool,)

    def covers(self, body: Pool, lanes: int) -> bool:
        return has_pool_kernel(body)

    def calls(self, unit: Unit, body: Pool, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs
        maps = pool_windows(body)
        rows, columns = (axis_taps[0] for m in maps if (axis_taps := pool.taps(m, body.padded)) is not None)
        addresses = x.base_address, y.base_address
        record = pool.arguments(x.layout, y.layout, maps, (rows, columns), addresses)
        flops, _ = pool.cost(x.layout, y.layout, maps)
        return [
            KernelCall(
                unit, f"{body.reduce} pool", f"{maps[0].taps}x{maps[1].taps}",
                Kernel("pool", pool.parameters(body.reduce, maps, body.padded)), record,
                y.images * y.height, y.layout.blocks, unit.reads, unit.outputs, flops=flops, by_parts=True,
                imagewise=True,
            )
        ]  # fmt: skip
