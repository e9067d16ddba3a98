"""Kernel calls of the gradient of a correlation's weight."""

from __future__ import annotations

import dataclasses

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise_gradient, weight_gradient
from striate.engine.kernels.argument_record import Address
from striate.engine.plan import dense, windows
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Unit, WeightGradient


class _WeightGradientLowering(Lowering[WeightGradient]):
    bodies = (WeightGradient,)

    def border(self, unit: Unit, body: WeightGradient, context: PlanContext) -> Pads:
        x = unit.inputs[0]
        return dense.border(dataclasses.replace(body.body, adjoint=False), (x.height, x.width))


class DepthwiseGradientLowering(_WeightGradientLowering):
    """Of a depthwise convolution."""

    def covers(self, body: WeightGradient, lanes: int) -> bool:
        return _only_pads(body) and windows.slides(body.body)

    def calls(self, unit: Unit, body: WeightGradient, context: PlanContext) -> list[KernelCall]:
        (x, dy), (dw,), maps, target = unit.inputs, unit.outputs, body.body.windows, context.target
        assert maps is not None
        numbers = depthwise_gradient.parameters(target, maps)

        addresses = x.base_address, dy.base_address, dw.base_address
        record = depthwise_gradient.arguments(target, x.layout, dy.layout, maps, addresses)
        flops, _ = depthwise_gradient.cost(x.layout, dy.layout, maps)
        return [
            KernelCall(
                unit, "depthwise gradient", f"{maps[0].kernel}x{maps[1].kernel}",
                Kernel("depthwise_gradient", numbers), record,
                depthwise_gradient.rows(target, maps), dw.layout.blocks, [x, dy], [dw],
                flops=flops, by_parts=True,
            )
        ]  # fmt: skip


class DenseGradientLowering(_WeightGradientLowering):
    """Of a correlation whose groups fill channel blocks."""

    def covers(self, body: WeightGradient, lanes: int) -> bool:
        one = body.body
        if not _only_pads(body) or one.windows is None:
            return False
        return weight_gradient.covers(one.windows, one.groups, one.depth, one.outputs, lanes)

    def calls(self, unit: Unit, body: WeightGradient, context: PlanContext) -> list[KernelCall]:
        (x, dy), (dw,), maps = unit.inputs, unit.outputs, body.body.windows
        assert maps is not None
        product = weight_gradient.product(context.target, x.layout, dy.layout, maps, body.body.groups)
        inner = {numbers: Kernel("weight_gradient", numbers) for numbers in product.numbers}

        addresses = x.base_address, dy.base_address, dw.base_address
        record = weight_gradient.arguments(product, addresses, lambda *numbers: Address(inner[numbers]))
        return [
            KernelCall(
                unit, "weight gradient", "", Kernel("weight_gradient"), record, product.rows, product.parts,
                [x, dy], [dw], tuple(inner.values()), flops=product.flops, by_parts=True,
            )
        ]  # fmt: skip


def _only_pads(body: WeightGradient) -> bool:
    """Whether there are windows, and none of them crops."""
    maps = body.body.windows
    return maps is not None and all(min(m.before, m.after) >= 0 for m in maps)
