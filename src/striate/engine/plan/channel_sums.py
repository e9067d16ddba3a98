"""Kernel calls of sums by channel."""

from __future__ import annotations

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import channel_sums, expression
from striate.engine.layout import Layout
from striate.engine.plan import elements
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.units import ChannelSums, Unit


class ChannelSumsLowering(Lowering[ChannelSums]):
    """Sums of several elementwise functions, in one pass."""

    bodies = (ChannelSums,)

    def calls(self, unit: Unit, body: ChannelSums, context: PlanContext) -> list[KernelCall]:
        lanes = context.target.lanes
        names = list(body.values)
        letters = {name: chr(ord("a") + k) for k, name in enumerate(names)}
        texts = [expression.text(expr, letters) for expr in body.exprs]
        kinds = "".join(body.kinds[name] for name in names)
        x = body.like
        like = Layout(x.images, x.channels, x.height, x.width, lanes)
        row_images = 1 if body.by_image else 0

        outputs = [y.base_address for y in unit.outputs]
        places = [elements.place(body.values[name], body.kinds[name]) for name in names]
        record = channel_sums.arguments(like, outputs, places, row_images)
        flops, _ = channel_sums.cost(like, kinds, texts)
        return [
            KernelCall(
                unit, "channel sums", kinds, Kernel("channel_sums", (kinds, *texts)), record,
                channel_sums.rows(like.images, row_images), like.blocks, unit.reads, unit.outputs,
                flops=flops, by_parts=True, scratch=channel_sums.scratch_bytes(lanes, len(texts)),
            )
        ]  # fmt: skip
