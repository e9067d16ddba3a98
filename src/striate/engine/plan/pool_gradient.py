"""Kernel calls of the gradient of pooling."""

from __future__ import annotations

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import pool, pool_gradient
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.units import PoolGradient, Unit
from striate.engine.plan.windows import pool_windows


class PoolGradientLowering(Lowering[PoolGradient]):
    """Each window's gradient goes to the number that was the maximum, or to all numbers of the window."""

    bodies = (PoolGradient,)

    def calls(self, unit: Unit, body: PoolGradient, context: PlanContext) -> list[KernelCall]:
        dy, (dx,) = unit.inputs[0], unit.outputs
        x, y = unit.inputs[1:] or (dx, dy)
        maps = pool_windows(body.body)
        rows, columns = (
            axis_taps[0] for m in maps if (axis_taps := pool.taps(m, body.body.padded)) is not None
        )
        addresses = x.base_address, y.base_address, dy.base_address, dx.base_address
        record = pool_gradient.arguments(
            x.layout, y.layout, (dy.layout, dx.layout), maps, (rows, columns), addresses, body.low, body.high
        )
        numbers = pool_gradient.parameters(body.body.reduce, maps, body.low, body.high)
        flops, _ = pool_gradient.cost(dx.layout, dy.layout, maps, body.body.reduce)
        return [
            KernelCall(
                unit, f"{body.body.reduce} pool gradient", f"{maps[0].taps}x{maps[1].taps}",
                Kernel("pool_gradient", numbers), record,
                dx.images, dx.layout.blocks, unit.reads, [dx], flops=flops, by_parts=True,
            )
        ]  # fmt: skip
