"""Kernel calls of norms over the channels of a pixel or over groups of channels of an image."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import norm, norm_gradient
from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.plan.computation import Norm
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.units import NormGradient, Unit

Array = NDArray[Any]


class NormLowering(Lowering[Norm]):
    """Normalization over the channels of a pixel, or over groups of channels of an image."""

    bodies = (Norm,)

    def calls(self, unit: Unit, body: Norm, context: PlanContext) -> list[KernelCall]:
        (x, *_), (y,), lanes = unit.inputs, unit.outputs, context.target.lanes
        over = "group" if body.groups else "pixel"
        group = x.channels // body.groups if body.groups else 0

        vectors = _vector(unit, 1, "weight", 1.0, lanes), _vector(unit, 2, "bias", 0.0, lanes)
        addresses = x.base_address, y.base_address, *vectors
        record = norm.arguments(x.layout, y.layout, over, addresses, body.eps, group)
        flops, _ = norm.cost(x.layout)
        return [
            KernelCall(
                unit, "norm", over, Kernel("norm", (over,)), record, norm.rows(x.layout, over),
                norm.parts(lanes, x.channels, over, group), unit.reads, unit.outputs, flops=flops,
                scratch=norm.scratch_bytes(lanes, x.channels, over, group),
            )
        ]  # fmt: skip


class NormGradientLowering(Lowering[NormGradient]):
    """Gradient of a norm over the channels of a pixel, with the statistics of every pixel."""

    bodies = (NormGradient,)

    def calls(self, unit: Unit, body: NormGradient, context: PlanContext) -> list[KernelCall]:
        (dy, x, *_), (dx, mean, scale) = unit.inputs, unit.outputs

        layouts = dy.layout, x.layout, dx.layout
        addresses = [value.base_address for value in (dy, x, dx, mean, scale)]
        weight = _vector(unit, 2, "weight", 1.0, context.target.lanes)
        record = norm_gradient.arguments(layouts, (*addresses, weight), body.body.eps)
        flops, _ = norm_gradient.cost(x.layout)
        return [
            KernelCall(
                unit, "norm gradient", "pixel", Kernel("norm_gradient"), record, x.images * x.height, 1,
                unit.reads, unit.outputs, flops=flops,
            )
        ]  # fmt: skip


def _vector(unit: Unit, at: int, name: str, missing: float, lanes: int) -> Address:
    """Address of one of a norm's vectors: an input in training, else a parameter, or `missing` for every channel."""
    if at < len(unit.inputs):
        return unit.inputs[at].base_address
    channels = unit.outputs[0].channels

    def pack() -> Array:
        parameter = unit.weights[name].reshape(-1) if name in unit.weights else None
        return norm.pack(lanes, channels, parameter, missing)

    key = (unit.name, "norm", name, lanes) if name in unit.weights else ("norm", lanes, name, channels)
    return Address(Constant(key, pack))
