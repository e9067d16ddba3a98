"""Kernel calls of the adjoint of a depthwise convolution."""

from __future__ import annotations

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise, depthwise_adjoint
from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.plan.computation import Correlation
from striate.engine.plan.dense import fold_weights
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Unit


class DepthwiseAdjointLowering(Lowering[Correlation]):
    """The gradient of a depthwise convolution with respect to its input."""

    bodies = (Correlation,)

    def covers(self, body: Correlation, lanes: int) -> bool:
        if not body.adjoint or body.windows is None or body.groups == 1:
            return False
        return depthwise_adjoint.covers(body.windows, body.groups, body.depth, body.outputs)

    def border(self, unit: Unit, body: Correlation, context: PlanContext) -> Pads:
        assert body.windows is not None
        return depthwise_adjoint.padding(body.windows)

    def calls(self, unit: Unit, body: Correlation, context: PlanContext) -> list[KernelCall]:
        (dy,), (dx,) = unit.inputs, unit.outputs
        assert body.windows is not None
        maps, lanes = body.windows, context.target.lanes
        taps = maps[0].kernel * maps[1].kernel

        weights = Constant(
            (unit.name, "depthwise", lanes), lambda: depthwise.pack(lanes, *fold_weights(unit))
        )
        addresses = dy.base_address, dx.base_address, Address(weights)
        record = depthwise_adjoint.arguments(dy.layout, dx.layout, maps, 4 * lanes * (1 + taps), addresses)
        flops, _ = depthwise_adjoint.cost(dy.layout, dx.layout, maps)
        return [
            KernelCall(
                unit, "depthwise adjoint", f"{maps[0].kernel}x{maps[1].kernel}", Kernel("depthwise_adjoint"),
                record, dx.images * dx.height, dx.layout.blocks, unit.reads, unit.outputs,
                flops=flops, weights=4 * dx.channels * taps, by_parts=True,
            )
        ]  # fmt: skip
