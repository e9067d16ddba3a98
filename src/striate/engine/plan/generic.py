"""Kernel calls for statements without a kernel of their own: one generic loop nest for each."""

from __future__ import annotations

from collections.abc import Mapping

from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.plan.computation import LocalResponseNorm, Pool
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.nest import Axes, NestKernel, lower, nests
from striate.engine.plan.units import Body, Buffer, GenericNest, Loops, Unit
from striate.op import Declaration


def axes(value: Buffer) -> Axes:
    """Memory layout of a buffer, axis by axis in its own order."""
    layout = value.layout
    split = layout.lanes > 1
    strides = {
        "n": (0, 0, layout.image),
        "c": (layout.lanes, layout.block, 4) if split else (0, 0, layout.block),
        "d": (0, 0, layout.row * value.size("h")),
        "h": (0, 0, layout.row),
        "w": (0, 0, layout.pixel),
    }
    return Axes(tuple((n, *strides[role]) for n, role in zip(value.shape, value.roles, strict=True)))


class GenericLowering(Lowering[Declaration]):
    """A declaration's statements in order, for units whose computation no kernel supports."""

    bodies = (GenericNest, Pool, LocalResponseNorm)

    def covers(self, body: Body, lanes: int) -> bool:
        return False  # units of the backward pass have no declaration

    def choose(self, unit: Unit, context: PlanContext) -> Declaration | None:
        return unit.declaration

    def calls(self, unit: Unit, declaration: Declaration, context: PlanContext) -> list[KernelCall]:
        values: dict[str, Buffer] = {f"x{k}": value for k, value in enumerate(unit.inputs)}
        values |= {f"y{k}": value for k, value in enumerate(unit.outputs)}
        nests_ = nests(declaration, {name: axes(value) for name, value in values.items()}, context.target)
        for name, size in nests_.temporaries.items():
            values[name] = Buffer(
                f"{unit.outputs[0].name} {name}", (1, -(-size // 4)), "nc", lanes=context.target.lanes
            )
        return [_call(unit, nest, values) for nest in nests_.steps]


class LoopsLowering(Lowering[Loops]):
    """Statements of a training step, in order."""

    bodies = (Loops,)

    def calls(self, unit: Unit, body: Loops, context: PlanContext) -> list[KernelCall]:
        places = {name: axes(value) for name, value in body.values.items()}
        return [_call(unit, nest, body.values) for nest in lower(body.statements, places, context.target)]


def _call(unit: Unit, nest: NestKernel, values: Mapping[str, Buffer]) -> KernelCall:
    """The kernel call of one nest; tensors that are not buffers are weights of the unit."""

    def address(name: str) -> Address:
        if name in values:
            return values[name].address
        return Address(Constant((unit.name, "nest", name), lambda: unit.weights[name]))

    record = nest.arguments({name: address(name) for name in nest.tensors})
    target, *sources = (values[name] for name in nest.tensors if name in values)
    if nest.adds or not sources:  # an accumulating nest also reads its target
        sources.append(target)
    return KernelCall(unit, "nest", "", nest.kernel, record, nest.rows, 1, sources, [target])
