"""Functions of torch for all ops; those with windows are in `windows`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from striate.diagnostics import OpError
from striate.engine.torch import windows  # noqa: F401  # enters its ops
from striate.engine.torch.register import LOWERINGS, Run, lowers
from striate.op import Declaration

CHANNELS_SECOND = ("bn", "gn", "in", "prelu", "layerscale", "lrn", "split", "channelshuffle")
"""Ops that torch applies to the second axis, whatever its name."""


def lower_op(op: Any, declaration: Declaration) -> Run:
    """The function of an op. Raises OpError if torch has no counterpart, KeyError for an unknown word."""
    return along_channels(LOWERINGS[op.word](op, declaration), op, declaration)


def along_channels(run: Run, op: Any, declaration: Declaration) -> Run:
    """Wrap a function so that its input's channels are on the second axis, where torch expects them."""
    at = declaration.inputs[0].axes.index("C")
    if at == 1 or op.word not in CHANNELS_SECOND:
        return run
    several = len(declaration.outputs)

    def moved(training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        result = run(training, [x[0].movedim(at, 1)], params)
        return result.movedim(1, at) if several == 1 else [result[k].movedim(1, at) for k in range(several)]

    return moved


def _unary(function: Callable[..., Any], *fields: str, **keywords: Any) -> Callable[[Any, Declaration], Run]:
    """An op of one input: the function gets the input, then the op's fields of these names."""

    def make(op: Any, _declaration: Declaration) -> Run:
        values = [getattr(op, field) for field in fields]
        return lambda _training, x, _params: function(x[0], *values, **keywords)

    return make


@lowers("bn")
def _bn(op: Any, _declaration: Declaration) -> Run:
    def run(training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        mean, variance, weight, bias = map(params.get, ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x[0], mean, variance, weight, bias, training, op.momentum, op.eps)

    return run


@lowers("gn", "in")
def _gn(op: Any, declaration: Declaration) -> Run:
    groups = op.groups if op.word == "gn" else declaration.inputs[0].channels
    # F.group_norm refuses one value per group, whose norm is 0.
    return lambda _training, x, params: torch.group_norm(
        x[0], groups, params.get("weight"), params.get("bias"), op.eps
    )


@lowers("ln")
def _ln(op: Any, declaration: Declaration) -> Run:
    """torch normalizes only over the last axes; channels are moved there."""
    (spec,) = declaration.inputs
    at = spec.axes.index("C")

    def run(_training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        weight, bias = params.get("weight"), params.get("bias")
        if op.axes == "all":
            return F.layer_norm(x[0], spec.shape[1:], weight, bias, op.eps)
        if at == len(spec.axes) - 1:
            return F.layer_norm(x[0], (spec.channels,), weight, bias, op.eps)
        order = [k for k in range(len(spec.axes)) if k != at] + [at]
        back = sorted(range(len(order)), key=order.__getitem__)
        result = F.layer_norm(x[0].permute(order), (spec.channels,), weight, bias, op.eps)
        return result.permute(back)

    return run


@lowers("fc")
def _fc(_op: Any, declaration: Declaration) -> Run:
    (spec,) = declaration.inputs
    if spec.axes.index("C") != len(spec.axes) - 1:
        raise OpError(
            "torch's Linear reads the last axis",
            why=f"its input has the axes {' '.join(spec.axes)}",
            fix="put flatten or permute before fc",
        )
    return lambda _training, x, params: F.linear(x[0], params["weight"], params.get("bias"))


@lowers("prelu")
def _prelu(_op: Any, declaration: Declaration) -> Run:
    (slope,) = declaration.parameters
    return lambda _training, x, params: F.prelu(x[0], params[slope.name].reshape(-1))


@lowers("layerscale")
def _layer_scale(_op: Any, declaration: Declaration) -> Run:
    (scale,), rank = declaration.parameters, len(declaration.inputs[0].axes)
    wide = (-1, *(1,) * (rank - 2))
    if len(scale.shape) == len(wide):
        return lambda _training, x, params: x[0] * params["layer_scale"]
    return lambda _training, x, params: x[0] * params["layer_scale"].reshape(wide)


@lowers("affine")
def _affine(op: Any, _declaration: Declaration) -> Run:
    def run(_training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        y = x[0] if op.scale == 1 else x[0] * op.scale
        y = y * params["weight"] if "weight" in params else y
        y = y + params["bias"] if "bias" in params else y
        return y if op.shift == 0 else y + op.shift

    return run


@lowers("dropout")
def _dropout(op: Any, _declaration: Declaration) -> Run:
    return lambda training, x, _params: F.dropout(x[0], op.rate) if training else x[0]


@lowers("stochasticdepth")
def _stochastic_depth(op: Any, _declaration: Declaration) -> Run:
    def run(training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        if not training:
            return x[0]
        shape = (len(x[0]), *(1 for _ in x[0].shape[1:]))
        return x[0] * F.dropout(x[0].new_ones(shape), op.rate)

    return run


def _merge(function: Callable[[Any, Any], Any]) -> Callable[[Any, Declaration], Run]:
    def make(_op: Any, _declaration: Declaration) -> Run:
        def run(_training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
            total, *others = x
            for other in others:
                total = function(total, other)
            return total

        return run

    return make


@lowers("concat")
def _concat(op: Any, declaration: Declaration) -> Run:
    at = declaration.inputs[0].axes.index(op.axis)
    return lambda _training, x, _params: torch.cat(list(x), at)


@lowers("crop")
def _crop(op: Any, declaration: Declaration) -> Run:
    """The declaration has the offsets: a shift of every spatial axis."""
    (spec, _), (output,) = declaration.inputs, declaration.outputs
    cuts = []
    for axis, reading in declaration.readings[0].items():
        start = max(-getattr(reading.map, "before", 0), 0)
        if spec.size(axis) != output.size(axis):
            cuts.append((spec.axes.index(axis), start, output.size(axis)))

    def run(_training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        cut = x[0]
        for at, start, length in cuts:
            cut = cut[(*(slice(None) for _ in range(at)), slice(start, start + length))]
        return cut

    return run


@lowers("flatten")
def _flatten(_op: Any, _declaration: Declaration) -> Run:
    return lambda _training, x, _params: x[0].flatten(1)


@lowers("reshape")
def _reshape(_op: Any, declaration: Declaration) -> Run:
    shape = declaration.outputs[0].shape[1:]
    return lambda _training, x, _params: x[0].reshape(-1, *shape)


@lowers("rearrange")
def _rearrange(op: Any, declaration: Declaration) -> Run:
    order, shape = [0, *(k + 1 for k in op.order)], declaration.outputs[0].shape[1:]
    return lambda _training, x, _params: (
        x[0].reshape(-1, *_sizes(op, x[0])).permute(order).reshape(-1, *shape)
    )


def _sizes(op: Any, x: Any) -> list[int]:
    """The sizes into which an image is split, with -1 computed here, because the batch size is also open."""
    known_size = math.prod(size for size in op.apart if size != -1)
    return [math.prod(x.shape[1:]) // known_size if size == -1 else size for size in op.apart]


@lowers("pixelshuffle", "pixelunshuffle")
def _pixels(op: Any, declaration: Declaration) -> Run:
    """torch's function for images; for other numbers of axes a permutation."""
    (x,), (y,) = declaration.inputs, declaration.outputs
    rank, deep = len(x.spatial), op.word == "pixelunshuffle"
    if rank == 2:
        function = F.pixel_unshuffle if deep else F.pixel_shuffle
        return lambda _training, x, _params: function(x[0], op.factor)
    coarse = y.spatial if deep else x.spatial
    if deep:  # (C, H, f, …) to (C, f, …, H, …)
        apart = (x.channels, *(n for size in coarse for n in (size, op.factor)))
        order = [0, 1, *(3 + 2 * k for k in range(rank)), *(2 + 2 * k for k in range(rank))]
    else:  # (C, f, …, H, …) to (C, H, f, …)
        apart = (y.channels, *(op.factor,) * rank, *coarse)
        order = [0, 1, *(at for k in range(rank) for at in (2 + rank + k, 2 + k))]
    return lambda _training, x, _params: x[0].reshape(-1, *apart).permute(order).reshape(-1, *y.shape[1:])


@lowers("permute")
def _permute(op: Any, declaration: Declaration) -> Run:
    axes = declaration.inputs[0].axes
    order = [0, *(axes.index(axis) for axis in op.order)]
    return lambda _training, x, _params: x[0].permute(order)


@lowers("slice")
def _slice(op: Any, declaration: Declaration) -> Run:
    at = declaration.inputs[0].axes.index(op.axis)
    where = (*(slice(None) for _ in range(at)), slice(op.start, op.stop, op.step))
    return lambda _training, x, _params: x[0][where]


@lowers("split")
def _split(_op: Any, declaration: Declaration) -> Run:
    sizes = [spec.channels for spec in declaration.outputs]
    return lambda _training, x, _params: torch.split(x[0], sizes, 1)


@lowers("gather")
def _gather(op: Any, declaration: Declaration) -> Run:
    where = (*(slice(None) for _ in range(declaration.inputs[0].axes.index(op.axis))), [*op.entries])
    return lambda _training, x, _params: x[0][where]


REDUCTIONS: Mapping[str, Callable[[Any, list[int]], Any]] = {
    "mean": lambda x, at: x.mean(at, True),
    "sum": lambda x, at: x.sum(at, True),
    "max": lambda x, at: x.amax(at, True),
    "min": lambda x, at: x.amin(at, True),
    "l1": lambda x, at: torch.linalg.vector_norm(x, 1, at, True),
    "l2": lambda x, at: torch.linalg.vector_norm(x, 2, at, True),
}


@lowers("reduce")
def _reduce(op: Any, declaration: Declaration) -> Run:
    at = [declaration.inputs[0].axes.index(axis) for axis in op.over]
    return lambda _training, x, _params: REDUCTIONS[op.function](x[0], at)


@lowers("lrn")
def _lrn(op: Any, declaration: Declaration) -> Run:
    """With an even size torch's window has one more channel before; flipped, it has one more after."""
    flip = op.odd == "after" and op.size % 2 == 0

    def run(_training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        source = x[0].flip(1) if flip else x[0].contiguous()  # it looks at volumes by another shape
        y = F.local_response_norm(source, op.size, op.alpha, op.beta, op.k)
        return y.flip(1) if flip else y

    return run


def _along(function: Any) -> Callable[[Any, Declaration], Run]:
    """Softmax along the op's axis."""

    def make(op: Any, declaration: Declaration) -> Run:
        at = declaration.inputs[0].axes.index(op.axis)
        return lambda _training, x, _params: function(x[0], dim=at)

    return make


def _gelu(op: Any, _declaration: Declaration) -> Run:
    return lambda _training, x, _params: F.gelu(x[0], approximate="tanh" if op.approximate else "none")


def _channel_shuffle(op: Any, declaration: Declaration) -> Run:
    """torch's function needs a spatial axis."""
    if len(declaration.inputs[0].axes) > 2:
        return lambda _training, x, _params: F.channel_shuffle(x[0], op.groups)
    return lambda _training, x, _params: x[0].unflatten(1, (op.groups, -1)).transpose(1, 2).flatten(1)


def _clip(op: Any, _declaration: Declaration) -> Run:
    """torch needs at least one bound."""
    if op.low is None and op.high is None:
        return lambda _training, x, _params: x[0]
    return lambda _training, x, _params: torch.clamp(x[0], op.low, op.high)


LOWERINGS |= {
    "add": _merge(lambda a, b: a + b),
    "mul": _merge(lambda a, b: a * b),
    "div": _merge(lambda a, b: a / b),
    "maximum": _merge(torch.maximum),
    "minimum": _merge(torch.minimum),
    "matmul": _merge(torch.matmul),
    "abs": _unary(torch.abs),
    "exp": _unary(torch.exp),
    "log": _unary(torch.log),
    "erf": _unary(torch.erf),
    "pow": _unary(torch.pow, "exponent"),
    "identity": _unary(lambda x: x),
    "clip": _clip,
    "relu": _unary(F.relu),
    "relu6": _unary(F.relu6),
    "leakyrelu": _unary(F.leaky_relu, "slope"),
    "elu": _unary(F.elu, "alpha"),
    "selu": _unary(F.selu),
    "gelu": _gelu,
    "silu": _unary(F.silu),
    "sigmoid": _unary(torch.sigmoid),
    "tanh": _unary(torch.tanh),
    "hardsigmoid": _unary(F.hardsigmoid),
    "hardswish": _unary(F.hardswish),
    "softplus": _unary(F.softplus),
    "softsign": _unary(F.softsign),
    "mish": _unary(F.mish),
    "softmax": _along(F.softmax),
    "logsoftmax": _along(F.log_softmax),
    "channelshuffle": _channel_shuffle,
}
