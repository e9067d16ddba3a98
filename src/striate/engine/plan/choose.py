"""Choose the algorithm of each unit, by what the kernels support and what a roofline predicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from striate.diagnostics import EngineError
from striate.engine.plan import (
    channel_sums,
    copies,
    dense,
    depthwise_adjoint,
    elements,
    generic,
    norms,
    planar,
    pool_gradient,
    weight_gradient,
    windows,
    winograd,
)
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Body, Unit

LOWERINGS: tuple[Lowering[Any], ...] = (
    copies.EnterLowering(),
    copies.LeaveLowering(),
    copies.CopiesLowering(),
    elements.ElementwiseLowering(),
    elements.SoftmaxLowering(),
    elements.LocalNormLowering(),
    norms.NormLowering(),
    norms.NormGradientLowering(),
    channel_sums.ChannelSumsLowering(),
    windows.PoolLowering(),
    pool_gradient.PoolGradientLowering(),
    windows.DepthwiseLowering(),
    depthwise_adjoint.DepthwiseAdjointLowering(),
    planar.PlanarLowering(),
    winograd.WinogradLowering(),
    dense.DenseLowering(),
    windows.GroupedLowering(),
    weight_gradient.DepthwiseGradientLowering(),
    weight_gradient.DenseGradientLowering(),
    generic.LoopsLowering(),
    generic.GenericLowering(),
)
"""All lowerings, of both passes, the better one first where two serve the same units."""
BY_BODY = {
    body: tuple(lowering for lowering in LOWERINGS if body in lowering.bodies)
    for body in dict.fromkeys(body for lowering in LOWERINGS for body in lowering.bodies)
}
"""The lowerings of each type of body, in that order."""


def has_kernel(body: Body, lanes: int, *, bare: bool = False) -> bool:
    """Whether kernels compute every unit with this body, with all that can be fused into it; bare: without that."""
    return any((bare or one.finishes) and one.covers(body, lanes) for one in BY_BODY[type(body)])


def lowerings(unit: Unit, context: PlanContext) -> Iterator[tuple[Lowering[Any], Any, Pads]]:
    """Those that serve a unit, in order, each with what it chose and the padding that it reads."""
    for lowering in BY_BODY[type(unit.body)]:
        choice = lowering.choose(unit, context)
        if choice is not None:
            yield lowering, choice, lowering.border(unit, choice, context)


def border(unit: Unit, context: PlanContext) -> Pads:
    """Padding that a unit reads around its first input."""
    for _, _, pads in lowerings(unit, context):
        return pads
    raise _uncomputed(unit)


def kernel_calls(unit: Unit, context: PlanContext) -> list[KernelCall]:
    """The kernel calls of a unit whose buffers have their borders.

    Another lowering may be the first one by now, because a sum has left the unit since: it is taken if the input has
    the border that it reads.
    """
    for lowering, choice, pads in lowerings(unit, context):
        if not any(pads) or all(a >= b for a, b in zip(unit.inputs[0].root.pads, pads, strict=True)):
            return lowering.calls(unit, choice, context)
    raise _uncomputed(unit)


def _uncomputed(unit: Unit) -> EngineError:
    return EngineError(
        f"no kernel computes {unit.name}",
        why=f"no lowering serves a unit of type {type(unit.body).__name__} like this one",
        fix="report it with the network: this is a bug in Striate",
    )
