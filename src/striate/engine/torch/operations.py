"""What every op is in torch.

An op becomes a function of tensors, called as `run(training, inputs, own)`; `own` are its parameters by their short
names. Windows come resolved from the declaration, so that no size is worked out anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F

from striate.diagnostics import OpError
from striate.geometry import Window
from striate.op import Declaration

Run = Callable[[bool, Sequence[Any], Mapping[str, Any]], Any]
"""What an op computes: (training, inputs, own parameters) -> a tensor, or a list of several."""

LOWERINGS: dict[str, Callable[[Any, Declaration], Run]] = {}


def _lowers(*words: str) -> Callable[[Callable[[Any, Declaration], Run]], Callable[[Any, Declaration], Run]]:
    """Register how the ops of these words become functions."""

    def add(make: Callable[[Any, Declaration], Run]) -> Callable[[Any, Declaration], Run]:
        LOWERINGS.update(dict.fromkeys(words, make))
        return make

    return add


CHANNELS_SECOND = ("bn", "gn", "in", "prelu", "layerscale", "lrn", "split", "channelshuffle")
"""Ops that torch applies to the second axis, whatever its name."""


def lowered(op: Any, declaration: Declaration) -> Run:
    """What an op computes. Raises OpError for what torch has no counterpart of, KeyError for an unknown word."""
    return along_channels(LOWERINGS[op.word](op, declaration), op, declaration)


def along_channels(run: Run, op: Any, declaration: Declaration) -> Run:
    """The function with its input's channels moved to the second axis where torch looks for them, and back."""
    at = declaration.inputs[0].axes.index("C")
    if at == 1 or op.word not in CHANNELS_SECOND:
        return run
    several = len(declaration.outputs)

    def moved(training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        made = run(training, [x[0].movedim(at, 1)], own)
        return made.movedim(1, at) if several == 1 else [made[k].movedim(1, at) for k in range(several)]

    return moved


def _unary(function: Callable[..., Any], *fields: str, **named: Any) -> Callable[[Any, Declaration], Run]:
    """An op of one input: the function gets the input, then the op's fields of these names."""

    def make(op: Any, _declaration: Declaration) -> Run:
        values = [getattr(op, field) for field in fields]
        return lambda _training, x, _own: function(x[0], *values, **named)

    return make


def _pads(x: Any, pairs: Sequence[tuple[int, int]], mode: str = "zeros", value: float = 0.0) -> Any:
    """x with its last axes padded, (before, after) for each."""
    flat = [side for pair in reversed(pairs) for side in pair]
    if not any(flat):
        return x
    if mode == "symmetric":
        raise OpError(
            "torch has no padding mode symmetric",
            why="its modes are zeros, reflect, replicate and circular",
            fix="use mode reflect or replicate",
        )
    return F.pad(x, flat, value=value) if mode == "zeros" else F.pad(x, flat, mode=mode)


def _sides(declaration: Declaration) -> list[tuple[int, int]]:
    return [(window.before, window.after) for window in declaration.windows.values()]


def _field(declaration: Declaration, name: str) -> list[int]:
    return [getattr(window, name) for window in declaration.windows.values()]


@_lowers("conv")
def _conv(op: Any, declaration: Declaration) -> Run:
    pairs, stride, dilation = (
        _sides(declaration),
        _field(declaration, "stride"),
        _field(declaration, "dilation"),
    )
    groups = declaration.inputs[0].channels if op.groups == "depthwise" else op.groups
    function = getattr(F, f"conv{len(pairs)}d")
    own_padding = op.mode == "zeros" and all(before == after for before, after in pairs)
    padding = [before if own_padding else 0 for before, _ in pairs]

    def run(_training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        padded = x[0] if own_padding else _pads(x[0], pairs, op.mode)
        return function(padded, own["weight"], own.get("bias"), stride, padding, dilation, groups)

    return run


@_lowers("tconv")
def _tconv(op: Any, declaration: Declaration) -> Run:
    """torch crops both sides alike; what goes beyond is cut off afterwards."""
    pairs = _sides(declaration)
    rank = len(pairs)
    function = getattr(F, f"conv_transpose{rank}d")
    stride, extra, dilation = (op.per_axis(name, rank) for name in ("stride", "output_padding", "dilation"))
    even = all(before == after for before, after in pairs)
    padding = [before if even else 0 for before, _ in pairs]
    cuts = [slice(0, None) if even else slice(before, -after or None) for before, after in pairs]

    def run(_training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        y = function(x[0], own["weight"], own.get("bias"), stride, padding, extra, op.groups, dilation)
        return y if even else y[(slice(None), slice(None), *cuts)]

    return run


def _hangs(declaration: Declaration) -> list[tuple[int, int]]:
    """Padding (before, after) of every axis, as far as the last window reaches."""
    return [
        (w.before, max((w.output - 1) * w.stride + w.extent - w.before - w.input, w.after))
        for w in declaration.windows.values()
        if isinstance(w, Window)
    ]


def _sums(declaration: Declaration, x: Any, channels: int) -> Any:
    """The sum of every window of a padded input, each channel by itself."""
    kernel, stride, dilation = (_field(declaration, name) for name in ("kernel", "stride", "dilation"))
    ones = x.new_ones((channels, 1, *kernel))
    return getattr(F, f"conv{len(kernel)}d")(x, ones, None, stride, 0, dilation, channels)


@_lowers("maxpool")
def _max_pool(op: Any, declaration: Declaration) -> Run:
    """With torch's own padding where torch knows it, else of the padded input."""
    pairs, named = _hangs(declaration), {"dilation": _field(declaration, "dilation")}
    kernel, stride = _field(declaration, "kernel"), _field(declaration, "stride")
    function = getattr(F, f"max_pool{len(pairs)}d")
    if all(before == after for before, after in _sides(declaration)):
        padding = [before for before, _ in _sides(declaration)]
        return lambda _training, x, _own: function(x[0], kernel, stride, padding, ceil_mode=op.ceil, **named)
    return lambda _training, x, _own: function(
        _pads(x[0], pairs, value=-float("inf")), kernel, stride, 0, **named
    )


@_lowers("avgpool")
def _avg_pool(op: Any, declaration: Declaration) -> Run:
    """With torch's own padding where torch knows it, else a sum over the number of what it counts."""
    own, pairs, stride = _sides(declaration), _hangs(declaration), _field(declaration, "stride")
    kernel, (spec,) = _field(declaration, "kernel"), declaration.inputs
    if set(_field(declaration, "dilation")) == {1} and all(before == after for before, after in own):
        padding = [before for before, _ in own]
        function = getattr(F, f"avg_pool{len(own)}d")
        return lambda _training, x, _own: function(
            x[0], kernel, stride, padding, ceil_mode=op.ceil, count_include_pad=op.count_include_pad
        )
    counted = _pads(torch.ones(1, 1, *spec.spatial), own, value=float(op.count_include_pad))
    beyond = [(0, after - padded) for (_, after), (_, padded) in zip(pairs, own)]
    numbers = _sums(declaration, _pads(counted, beyond), 1).tolist()

    def run(_training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
        return _sums(declaration, _pads(x[0], pairs), spec.channels) / x[0].new_tensor(numbers)

    return run


@_lowers("lppool")
def _lp_pool(op: Any, declaration: Declaration) -> Run:
    pairs, channels = _hangs(declaration), declaration.inputs[0].channels
    return lambda _training, x, _own: (
        _sums(declaration, _pads(x[0].abs() ** op.p, pairs), channels) ** (1 / op.p)
    )


def _whole(function: str) -> Callable[[Any, Declaration], Run]:
    """An adaptive pool; the global ones cut into one part."""

    def make(op: Any, declaration: Declaration) -> Run:
        rank = len(declaration.inputs[0].spatial)
        size = op.per_axis("size", rank) if hasattr(op, "size") else (1,) * rank
        called = getattr(F, f"adaptive_{function}_pool{rank}d")
        return lambda _training, x, _own: called(x[0], size)

    return make


@_lowers("bn")
def _bn(op: Any, _declaration: Declaration) -> Run:
    def run(training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        mean, variance, weight, bias = map(own.get, ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x[0], mean, variance, weight, bias, training, op.momentum, op.eps)

    return run


@_lowers("gn", "in")
def _gn(op: Any, declaration: Declaration) -> Run:
    groups = op.groups if op.word == "gn" else declaration.inputs[0].channels
    return lambda _training, x, own: F.group_norm(x[0], groups, own.get("weight"), own.get("bias"), op.eps)


@_lowers("ln")
def _ln(op: Any, declaration: Declaration) -> Run:
    """torch normalises over the last axes only; channels are moved there."""
    (spec,) = declaration.inputs
    at = spec.axes.index("C")

    def run(_training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        weight, bias = own.get("weight"), own.get("bias")
        if op.axes == "all":
            return F.layer_norm(x[0], spec.shape[1:], weight, bias, op.eps)
        if at == len(spec.axes) - 1:
            return F.layer_norm(x[0], (spec.channels,), weight, bias, op.eps)
        order = [k for k in range(len(spec.axes)) if k != at] + [at]
        back = sorted(range(len(order)), key=order.__getitem__)
        moved = F.layer_norm(x[0].permute(order), (spec.channels,), weight, bias, op.eps)
        return moved.permute(back)

    return run


@_lowers("fc")
def _fc(_op: Any, declaration: Declaration) -> Run:
    (spec,) = declaration.inputs
    if spec.axes.index("C") != len(spec.axes) - 1:
        raise OpError(
            "torch's Linear reads the last axis",
            why=f"its input has the axes {' '.join(spec.axes)}",
            fix="put flatten or permute before fc",
        )
    return lambda _training, x, own: F.linear(x[0], own["weight"], own.get("bias"))


@_lowers("prelu")
def _prelu(_op: Any, declaration: Declaration) -> Run:
    (slope,) = declaration.parameters
    return lambda _training, x, own: F.prelu(x[0], own[slope.name].reshape(-1))


@_lowers("layerscale")
def _layer_scale(_op: Any, declaration: Declaration) -> Run:
    (scale,), rank = declaration.parameters, len(declaration.inputs[0].axes)
    wide = (-1, *(1,) * (rank - 2))
    if len(scale.shape) == len(wide):
        return lambda _training, x, own: x[0] * own["layer_scale"]
    return lambda _training, x, own: x[0] * own["layer_scale"].reshape(wide)


@_lowers("affine")
def _affine(op: Any, _declaration: Declaration) -> Run:
    def run(_training: bool, x: Sequence[Any], own: Mapping[str, Any]) -> Any:
        y = x[0] if op.scale == 1 else x[0] * op.scale
        y = y * own["weight"] if "weight" in own else y
        y = y + own["bias"] if "bias" in own else y
        return y if op.shift == 0 else y + op.shift

    return run


@_lowers("dropout")
def _dropout(op: Any, _declaration: Declaration) -> Run:
    return lambda training, x, _own: F.dropout(x[0], op.rate) if training else x[0]


@_lowers("stochasticdepth")
def _stochastic_depth(op: Any, _declaration: Declaration) -> Run:
    def run(training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
        if not training:
            return x[0]
        shape = (len(x[0]), *(1 for _ in x[0].shape[1:]))
        return x[0] * F.dropout(x[0].new_ones(shape), op.rate)

    return run


def _merge(function: Callable[[Any, Any], Any]) -> Callable[[Any, Declaration], Run]:
    def make(_op: Any, _declaration: Declaration) -> Run:
        def run(_training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
            total, *others = x
            for other in others:
                total = function(total, other)
            return total

        return run

    return make


@_lowers("concat")
def _concat(op: Any, declaration: Declaration) -> Run:
    at = declaration.inputs[0].axes.index(op.axis)
    return lambda _training, x, _own: torch.cat(list(x), at)


@_lowers("crop")
def _crop(op: Any, declaration: Declaration) -> Run:
    """Where it is cut is read off the declaration: a shift of every spatial axis."""
    (spec, _), (made,) = declaration.inputs, declaration.outputs
    cuts = []
    for axis, reading in declaration.readings[0].items():
        start = max(-getattr(reading.map, "before", 0), 0)
        if spec.size(axis) != made.size(axis):
            cuts.append((spec.axes.index(axis), start, made.size(axis)))

    def run(_training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
        cut = x[0]
        for at, start, length in cuts:
            cut = cut[(*(slice(None) for _ in range(at)), slice(start, start + length))]
        return cut

    return run


@_lowers("flatten")
def _flatten(_op: Any, _declaration: Declaration) -> Run:
    return lambda _training, x, _own: x[0].flatten(1)


@_lowers("reshape")
def _reshape(_op: Any, declaration: Declaration) -> Run:
    shape = declaration.outputs[0].shape[1:]
    return lambda _training, x, _own: x[0].reshape(-1, *shape)


@_lowers("rearrange")
def _rearrange(op: Any, declaration: Declaration) -> Run:
    order, shape = [0, *(k + 1 for k in op.order)], declaration.outputs[0].shape[1:]
    return lambda _training, x, _own: x[0].reshape(-1, *_sizes(op, x[0])).permute(order).reshape(-1, *shape)


def _sizes(op: Any, x: Any) -> list[int]:
    """What an image is taken apart into, -1 worked out: the batch is open, too."""
    known = math.prod(size for size in op.apart if size != -1)
    return [math.prod(x.shape[1:]) // known if size == -1 else size for size in op.apart]


@_lowers("pixelshuffle", "pixelunshuffle")
def _pixels(op: Any, declaration: Declaration) -> Run:
    """torch's own for images; along other numbers of axes as moves of them."""
    (x,), (y,) = declaration.inputs, declaration.outputs
    rank, deep = len(x.spatial), op.word == "pixelunshuffle"
    if rank == 2:
        function = F.pixel_unshuffle if deep else F.pixel_shuffle
        return lambda _training, x, _own: function(x[0], op.factor)
    coarse = y.spatial if deep else x.spatial
    if deep:  # (C, H, f, …) to (C, f, …, H, …)
        apart = (x.channels, *(n for size in coarse for n in (size, op.factor)))
        order = [0, 1, *(3 + 2 * k for k in range(rank)), *(2 + 2 * k for k in range(rank))]
    else:  # (C, f, …, H, …) to (C, H, f, …)
        apart = (y.channels, *(op.factor,) * rank, *coarse)
        order = [0, 1, *(at for k in range(rank) for at in (2 + rank + k, 2 + k))]
    return lambda _training, x, _own: x[0].reshape(-1, *apart).permute(order).reshape(-1, *y.shape[1:])


@_lowers("permute")
def _permute(op: Any, declaration: Declaration) -> Run:
    axes = declaration.inputs[0].axes
    order = [0, *(axes.index(axis) for axis in op.order)]
    return lambda _training, x, _own: x[0].permute(order)


@_lowers("pad")
def _pad(op: Any, declaration: Declaration) -> Run:
    pairs = [
        p if isinstance(p, tuple) else (p, p) for p in op.padding_per_axis(len(declaration.inputs[0].spatial))
    ]

    def run(_training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
        padded = _pads(x[0], pairs, op.mode, op.value)
        return _pads(padded, [tuple(op.channels), *((0, 0) for _ in pairs)], value=op.value)

    return run


@_lowers("slice")
def _slice(op: Any, declaration: Declaration) -> Run:
    at = declaration.inputs[0].axes.index(op.axis)
    where = (*(slice(None) for _ in range(at)), slice(op.start, op.stop, op.step))
    return lambda _training, x, _own: x[0][where]


@_lowers("split")
def _split(_op: Any, declaration: Declaration) -> Run:
    sizes = [spec.channels for spec in declaration.outputs]
    return lambda _training, x, _own: torch.split(x[0], sizes, 1)


@_lowers("upsample")
def _upsample(op: Any, declaration: Declaration) -> Run:
    size = None if op.scale is not None else list(declaration.outputs[0].spatial)
    scale = None if op.scale is None else float(op.scale)
    rank = len(declaration.inputs[0].spatial)
    if op.method == "nearest":
        return lambda _training, x, _own: F.interpolate(x[0], size, scale)
    if op.method == "bicubic" and rank != 2:
        raise OpError(
            f"torch blends four neighbours along two axes, not {rank}",
            why="its bicubic mode takes images",
            fix="upsample method bilinear",
        )
    mode = "bicubic" if op.method == "bicubic" else ("linear", "bilinear", "trilinear")[rank - 1]
    return lambda _training, x, _own: F.interpolate(x[0], size, scale, mode, op.align_corners)


@_lowers("gather")
def _gather(op: Any, declaration: Declaration) -> Run:
    where = (*(slice(None) for _ in range(declaration.inputs[0].axes.index(op.axis))), [*op.entries])
    return lambda _training, x, _own: x[0][where]


REDUCTIONS: Mapping[str, Callable[[Any, list[int]], Any]] = {
    "mean": lambda x, at: x.mean(at, True),
    "sum": lambda x, at: x.sum(at, True),
    "max": lambda x, at: x.amax(at, True),
    "min": lambda x, at: x.amin(at, True),
    "l1": lambda x, at: torch.linalg.vector_norm(x, 1, at, True),
    "l2": lambda x, at: torch.linalg.vector_norm(x, 2, at, True),
}


@_lowers("reduce")
def _reduce(op: Any, declaration: Declaration) -> Run:
    at = [declaration.inputs[0].axes.index(axis) for axis in op.over]
    return lambda _training, x, _own: REDUCTIONS[op.function](x[0], at)


@_lowers("lrn")
def _lrn(op: Any, declaration: Declaration) -> Run:
    """torch has an even size's one more before; turned round, it stands after."""
    turned = op.odd == "after" and op.size % 2 == 0

    def run(_training: bool, x: Sequence[Any], _own: Mapping[str, Any]) -> Any:
        y = F.local_response_norm(x[0].flip(1) if turned else x[0], op.size, op.alpha, op.beta, op.k)
        return y.flip(1) if turned else y

    return run


def _along(function: Any) -> Callable[[Any, Declaration], Run]:
    """Softmax along the op's axis."""

    def make(op: Any, declaration: Declaration) -> Run:
        at = declaration.inputs[0].axes.index(op.axis)
        return lambda _training, x, _own: function(x[0], dim=at)

    return make


def _gelu(op: Any, _declaration: Declaration) -> Run:
    return lambda _training, x, _own: F.gelu(x[0], approximate="tanh" if op.approximate else "none")


def _clip(op: Any, _declaration: Declaration) -> Run:
    """torch wants one bound at least."""
    if op.low is None and op.high is None:
        return lambda _training, x, _own: x[0]
    return lambda _training, x, _own: torch.clamp(x[0], op.low, op.high)


LOWERINGS |= {
    "gap": _whole("avg"),
    "gmp": _whole("max"),
    "adaptiveavgpool": _whole("avg"),
    "adaptivemaxpool": _whole("max"),
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
    "channelshuffle": _unary(F.channel_shuffle, "groups"),
}
