"""A batch shared by several processes: batch norm over all of its images, and noise as a single process draws it.

A network thus learns the same in any number of processes, up to the order of summation (on processors; a GPU draws
other noise for another number of images).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F

from striate.engine.torch.lowering import Lowered
from striate.engine.torch.operations import along_channels
from striate.network import Network
from striate.op import Op, Trait


@dataclasses.dataclass
class Part:
    """This process's part of a batch: `images` of `total`, after the first `start`."""

    start: int = 0
    images: int = 0
    total: int = 0


class _Norm(torch.autograd.Function):  # type: ignore[misc]
    """Batch norm whose statistics run over the images of all processes: one message forward, one back.

    Gradients are of the sum over the processes, each of which knows its own part of it.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Any, weight: Any, bias: Any, running: Any, op: Any, part: Part, group: Any
    ) -> Any:
        axes = [k for k in range(x.ndim) if k != 1]
        places = x[0, 0].numel()
        count = part.total * places
        variance, mean = (v.double() for v in torch.var_mean(x.float(), axes, correction=0))
        moments = torch.stack([mean, variance + mean * mean]) * (part.images * places)
        if not part.images:
            moments.zero_()
        dist.all_reduce(moments, group=group)
        mean, square = moments / count
        variance = (square - mean * mean).clamp_(min=0)
        for statistic, new in zip(running, (mean, variance * (count / max(count - 1, 1)))):
            statistic.lerp_(new.to(statistic), op.momentum)
        mean, variance = mean.float(), variance.float()
        ctx.save_for_backward(x, weight, mean, (variance + op.eps).rsqrt())
        ctx.axes, ctx.count, ctx.part, ctx.group = axes, count, part, group
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, op.eps)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, weight, mean, scale = ctx.saved_tensors
        wide = (1, -1, *(1,) * (x.ndim - 2))
        normal = (x.float() - mean.view(wide)) * scale.view(wide)
        dy = dy.float()
        local_sums = torch.stack([dy.sum(ctx.axes), (dy * normal).sum(ctx.axes)])
        sums = local_sums.clone()
        dist.all_reduce(sums, group=ctx.group)
        dx = None
        if ctx.needs_input_grad[0]:
            shift, slope = (sums / ctx.count).unbind()
            dx = (dy - shift.view(wide) - normal * slope.view(wide)) * (
                scale * (1 if weight is None else weight)
            ).view(wide)
            dx = dx.to(x.dtype) if ctx.part.images else torch.zeros_like(x)
        dweight, dbias = (None, None) if weight is None else (local_sums[1], local_sums[0])
        return dx, dweight, dbias, None, None, None, None


def share(lowered: Lowered, net: Network, part: Part, group: Any) -> None:
    """Let a module compute its part of each batch with the results of a single process; `part`: the current part."""
    for at, (node, (_, reads, makes, places, paths)) in enumerate(zip(net.nodes, lowered._steps)):
        if shared(node.op):
            make = SHARED[node.op.word]
            run = along_channels(make(node.op, part, group), node.op, net.declarations[node.name])
            lowered._steps[at] = run, reads, makes, places, paths


def _norm(op: Any, part: Part, group: Any) -> Any:
    def run(_training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        running = params["running_mean"], params["running_var"]
        return _Norm.apply(x[0], params.get("weight"), params.get("bias"), running, op, part, group)

    return run


def _batch_noise(like: Any, part: Part, rate: float) -> Any:
    """Draw noise for all images of a batch; returns this process's part."""
    order = torch.channels_last if like.ndim == 4 and not like.is_contiguous() else torch.contiguous_format
    ones = torch.ones((part.total, *like.shape[1:]), dtype=like.dtype, device=like.device)
    noise = F.dropout(ones.contiguous(memory_format=order), rate)
    return noise[part.start : part.start + part.images]


def _dropout(op: Any, part: Part, _group: Any) -> Any:
    def run(training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        return x[0] * _batch_noise(x[0], part, op.rate) if training else x[0]

    return run


def _stochastic_depth(op: Any, part: Part, _group: Any) -> Any:
    def run(training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        return (
            x[0] * _batch_noise(x[0][(slice(None), *(slice(0, 1),) * (x[0].ndim - 1))], part, op.rate)
            if training
            else x[0]
        )

    return run


SHARED = {"bn": _norm, "dropout": _dropout, "stochasticdepth": _stochastic_depth}
"""Functions of the ops whose parts of a batch depend on each other (batch norm, dropout)."""


def shared(op: Op) -> bool:
    """Whether an op's result for one part of a batch depends on the other parts."""
    return Trait.WHOLE_BATCH in op.traits or Trait.RANDOM in op.traits
