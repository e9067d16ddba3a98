"""Choose the algorithm of each unit, by what the kernels support and what a roofline predicts."""

from __future__ import annotations

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import border as borders
from striate.engine.kernels import lrn
from striate.engine.kernels.argument_record import record
from striate.engine.plan import copies, dense, elements, generic, planar, windows, winograd
from striate.engine.plan.computation import Copies, Correlation, LocalResponseNorm, Norm, Pool, Softmax
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.units import Buffer, Enter, FusedElementwise, Leave, Unit


def has_kernel(body: Correlation, lanes: int) -> bool:
    """Whether a kernel supports this sum of products, epilogue included."""
    return windows.slides(body) or dense.covers(body, lanes) or windows.groups(body)


def border(unit: Unit, context: PlanContext) -> tuple[int, int, int, int]:
    """Padding that a unit reads around its first input."""
    body = unit.body
    if isinstance(body, Correlation) and body.windows is not None:
        if windows.slides(body):
            return windows.border(body)
        x = unit.inputs[0]
        flat = planar.choose(unit, context)
        if flat is not None:
            return planar.border(unit, flat, context)
        shape = winograd.choose(unit, context)
        if shape is not None:
            return winograd.border(unit, shape)
        if dense.covers(body, context.target.lanes):
            return dense.border(body, (x.height, x.width))
        if windows.groups(body):
            return windows.border(body)
    return 0, 0, 0, 0


def steps(unit: Unit, context: PlanContext) -> list[KernelCall]:
    """The kernel calls of one unit."""
    body = unit.body
    if isinstance(body, Enter):
        return copies.enter(unit, context)
    if isinstance(body, Leave):
        return copies.leave(unit, context)
    if isinstance(body, Copies):
        return copies.steps(unit, context)
    if isinstance(body, FusedElementwise):
        return elements.elementwise_steps(unit, context)
    if isinstance(body, Norm):
        return elements.norm_steps(unit, context)
    if isinstance(body, LocalResponseNorm) and lrn.covers(context.target.lanes, body.size):
        return elements.local_steps(unit, context)
    if isinstance(body, Softmax):
        return elements.softmax_steps(unit, context)
    if isinstance(body, Pool) and windows.has_pool_kernel(body):
        return windows.pool_steps(unit, context)
    if isinstance(body, Correlation):
        if windows.slides(body):
            return windows.depthwise_steps(unit, context)
        flat = planar.choose(unit, context)
        if flat is not None and planar.ready(unit, flat, context):
            return planar.steps(unit, flat, context)
        shape = winograd.choose(unit, context)
        if shape is not None:
            return winograd.steps(unit, shape, context)
        if dense.covers(body, context.target.lanes):
            return dense.steps(unit, context)
        if windows.groups(body):
            return windows.grouped_steps(unit, context)
    return generic.steps(unit, context)


def zero_border(unit: Unit, value: Buffer, context: PlanContext) -> KernelCall:
    """A call that zeroes the border of a buffer."""
    layout = value.layout
    lines = layout.top + layout.height + layout.bottom

    arguments = record(
        borders.ARGUMENTS,
        {
            borders.OUT: value.start_address, borders.OUT_IMAGE: layout.image,
            borders.OUT_BLOCK: layout.block, borders.OUT_ROW: layout.row,
            borders.TOP: layout.top, borders.HEIGHT: layout.height, borders.BOTTOM: layout.bottom,
            borders.LEFT: layout.left, borders.WIDTH: layout.width, borders.RIGHT: layout.right,
        },
    )  # fmt: skip
    return KernelCall(
        unit, "border", "", Kernel("border", ("constant", layout.lanes)), arguments,
        layout.images * lines, layout.blocks, [], [value], only_writes=True, by_parts=True,
    )  # fmt: skip
