"""Kernel calls without windows: elementwise functions, local response norms and softmax."""

from __future__ import annotations

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import elementwise, expression, lrn, norm, softmax
from striate.engine.kernels.argument_record import Address, Constant
from striate.engine.kernels.operands import OperandPlace
from striate.engine.plan.computation import LocalResponseNorm, Softmax
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.units import Buffer, FusedElementwise, Unit
from striate.statement import walk


class ElementwiseLowering(Lowering[FusedElementwise]):
    """One elementwise function of several operands."""

    bodies = (FusedElementwise,)

    def calls(self, unit: Unit, body: FusedElementwise, context: PlanContext) -> list[KernelCall]:
        return [_elementwise(unit, body, unit.outputs[0], context)]


def finishing(unit: Unit, context: PlanContext) -> list[KernelCall]:
    """The epilogue of a kernel that cannot do it in its store, in place."""
    if unit.epilogue is None:
        return []
    (y,) = unit.outputs
    return [_elementwise(unit, FusedElementwise(unit.epilogue, {"x0": "s"}, {"x0": y}, {}), y, context)]


def _elementwise(unit: Unit, body: FusedElementwise, y: Buffer, context: PlanContext) -> KernelCall:
    lanes = context.target.lanes
    names = list(dict.fromkeys(load.tensor for load in walk(body.value)))
    letters = {name: chr(ord("a") + k) for k, name in enumerate(names)}
    text = expression.text(body.value, {load: letters[load.tensor] for load in walk(body.value)})
    kinds = "".join(body.kinds[name][0] for name in names)

    def place_(name: str) -> OperandPlace:
        value = body.values.get(name)
        if value is None:
            key = (unit.name, "elementwise", name, lanes)
            vector = Constant(key, lambda: norm.pack(lanes, y.channels, body.constants[name]))
            return OperandPlace.vector(lanes, Address(vector))
        return place(value, body.kinds[name])

    record = elementwise.arguments(y.layout, y.base_address, [place_(name) for name in names])
    flops, _ = elementwise.cost(y.layout, text, kinds)
    reads = [body.values[name] for name in names if name in body.values]
    return KernelCall(
        unit, "elementwise", kinds, Kernel("elementwise", (text, kinds)), record,
        y.images * y.height, y.layout.blocks, reads, [y], flops=flops, by_parts=True, imagewise=True,
    )  # fmt: skip


def place(value: Buffer, kind: str) -> OperandPlace:
    """Address of an operand of some kind."""
    layout = value.layout
    if kind == "i":
        return OperandPlace(value.address, layout.image, layout.block)
    return OperandPlace.of(layout, value.base_address)


class LocalNormLowering(Lowering[LocalResponseNorm]):
    """A function of each number and of the squares around it along the channels."""

    bodies = (LocalResponseNorm,)

    def covers(self, body: LocalResponseNorm, lanes: int) -> bool:
        return lrn.covers(lanes, body.size)

    def calls(self, unit: Unit, body: LocalResponseNorm, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs
        text = expression.text(body.value, {"x0": "a", "t0": "b"})
        numbers = (text, body.size) if body.squares else (text, body.size, 0)

        record = lrn.arguments(x.layout, y.layout, (x.base_address, y.base_address))
        flops, _ = lrn.cost(x.layout, text, body.size)
        return [
            KernelCall(
                unit, "local norm", f"{body.size}", Kernel("lrn", numbers), record,
                x.images * x.height, x.layout.blocks, unit.reads, unit.outputs, flops=flops, by_parts=True,
                imagewise=True,
            )
        ]  # fmt: skip


class SoftmaxLowering(Lowering[Softmax]):
    """Softmax over the channels of each pixel."""

    bodies = (Softmax,)

    def calls(self, unit: Unit, body: Softmax, context: PlanContext) -> list[KernelCall]:
        (x,), (y,) = unit.inputs, unit.outputs

        record = softmax.arguments(x.layout, y.layout, (x.base_address, y.base_address))
        flops, _ = softmax.cost(x.layout)
        return [
            KernelCall(
                unit, "softmax", "log" if body.log else "", Kernel("softmax", (int(body.log),)), record,
                x.images * x.height, 1, unit.reads, unit.outputs, flops=flops,
            )
        ]  # fmt: skip
