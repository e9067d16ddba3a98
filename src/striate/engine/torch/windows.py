"""Sliding windows, borders and resampling in torch: with torch's functions where they are equivalent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from striate.engine.torch.listed import blend, maps, nearest, pad_by_folding, same_in_torch, torch_folds
from striate.engine.torch.register import LOWERINGS, Run, lowers
from striate.geometry import Linear, Window
from striate.op import Declaration
from striate.tensor import TensorSpec


def _pads(x: Any, pairs: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """x with its last axes padded, (before, after) for each."""
    flat = [side for pair in reversed(pairs) for side in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def _border(
    spec: TensorSpec, pairs: Sequence[tuple[int, int]], mode: str, value: float = 0.0
) -> Callable[[Any], Any]:
    """Function that pads the spatial axes: torch's if it supports the mode and at most one fold is needed."""
    if mode == "zeros":
        return lambda x: _pads(x, pairs, value)
    if torch_folds(mode, spec.spatial, pairs):
        flat = [side for pair in reversed(pairs) for side in pair]
        return lambda x: F.pad(x, flat, mode=mode) if any(flat) else x
    return lambda x: pad_by_folding(x, spec.spatial, pairs, mode)


def _sides(declaration: Declaration) -> list[tuple[int, int]]:
    return [(window.before, window.after) for window in declaration.windows.values()]


def _field(declaration: Declaration, name: str) -> list[int]:
    return [getattr(window, name) for window in declaration.windows.values()]


@lowers("conv")
def _conv(op: Any, declaration: Declaration) -> Run:
    pairs, stride, dilation = (
        _sides(declaration),
        _field(declaration, "stride"),
        _field(declaration, "dilation"),
    )
    groups = declaration.inputs[0].channels if op.groups == "depthwise" else op.groups
    function = getattr(F, f"conv{len(pairs)}d")
    native_padding = op.mode == "zeros" and all(before == after for before, after in pairs)
    padding = [before if native_padding else 0 for before, _ in pairs]
    border = _border(declaration.inputs[0], pairs, op.mode)

    def run(_training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        padded = x[0] if native_padding else border(x[0])
        return function(padded, params["weight"], params.get("bias"), stride, padding, dilation, groups)

    return run


@lowers("tconv")
def _tconv(op: Any, declaration: Declaration) -> Run:
    """torch crops both sides equally; the rest is cropped afterwards."""
    pairs = _sides(declaration)
    rank = len(pairs)
    function = getattr(F, f"conv_transpose{rank}d")
    stride, extra, dilation = (op.per_axis(name, rank) for name in ("stride", "output_padding", "dilation"))
    even = all(before == after for before, after in pairs)
    padding = [before if even else 0 for before, _ in pairs]
    cuts = [slice(0, None) if even else slice(before, -after or None) for before, after in pairs]

    def run(_training: bool, x: Sequence[Any], params: Mapping[str, Any]) -> Any:
        y = function(x[0], params["weight"], params.get("bias"), stride, padding, extra, op.groups, dilation)
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
    """The sum over every window of a padded input, per channel."""
    kernel, stride, dilation = (_field(declaration, name) for name in ("kernel", "stride", "dilation"))
    ones = x.new_ones((channels, 1, *kernel))
    return getattr(F, f"conv{len(kernel)}d")(x, ones, None, stride, 0, dilation, channels)


def _has_native_padding(declaration: Declaration) -> bool:
    """Whether torch supports this padding of a pool: equal on both sides, at most half of the kernel."""
    sides, kernel = _sides(declaration), _field(declaration, "kernel")
    return all(before == after <= size // 2 for (before, after), size in zip(sides, kernel, strict=True))


@lowers("maxpool")
def _max_pool(op: Any, declaration: Declaration) -> Run:
    """With torch's padding if it supports it, else on the padded input."""
    pairs, keywords = _hangs(declaration), {"dilation": _field(declaration, "dilation")}
    kernel, stride = _field(declaration, "kernel"), _field(declaration, "stride")
    function = getattr(F, f"max_pool{len(pairs)}d")
    if _has_native_padding(declaration):
        padding = [before for before, _ in _sides(declaration)]
        return lambda _training, x, _params: function(
            x[0], kernel, stride, padding, ceil_mode=op.ceil, **keywords
        )
    return lambda _training, x, _params: function(
        _pads(x[0], pairs, value=-float("inf")), kernel, stride, 0, **keywords
    )


@lowers("avgpool")
def _avg_pool(op: Any, declaration: Declaration) -> Run:
    """With torch's padding if it supports it, else a sum divided by the number of counted positions."""
    sides, pairs, stride = _sides(declaration), _hangs(declaration), _field(declaration, "stride")
    kernel, (spec,) = _field(declaration, "kernel"), declaration.inputs
    if set(_field(declaration, "dilation")) == {1} and _has_native_padding(declaration):
        padding = [before for before, _ in sides]
        function = getattr(F, f"avg_pool{len(sides)}d")
        return lambda _training, x, _params: function(
            x[0], kernel, stride, padding, ceil_mode=op.ceil, count_include_pad=op.count_include_pad
        )
    ones = _pads(torch.ones(1, 1, *spec.spatial), sides, value=float(op.count_include_pad))
    beyond = [(0, after - padded) for (_, after), (_, padded) in zip(pairs, sides)]
    numbers = _sums(declaration, _pads(ones, beyond), 1).tolist()

    def run(_training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        return _sums(declaration, _pads(x[0], pairs), spec.channels) / x[0].new_tensor(numbers)

    return run


@lowers("lppool")
def _lp_pool(op: Any, declaration: Declaration) -> Run:
    pairs, channels = _hangs(declaration), declaration.inputs[0].channels
    return lambda _training, x, _params: (
        _sums(declaration, _pads(x[0].abs() ** op.p, pairs), channels) ** (1 / op.p)
    )


def _adaptive(function: str) -> Callable[[Any, Declaration], Run]:
    """An adaptive pool; a global one has a single bin."""

    def make(op: Any, declaration: Declaration) -> Run:
        rank = len(declaration.inputs[0].spatial)
        size = op.per_axis("size", rank) if hasattr(op, "size") else (1,) * rank
        pool = getattr(F, f"adaptive_{function}_pool{rank}d")
        return lambda _training, x, _params: pool(x[0], size)

    return make


@lowers("pad")
def _pad(op: Any, declaration: Declaration) -> Run:
    pairs = [
        p if isinstance(p, tuple) else (p, p) for p in op.padding_per_axis(len(declaration.inputs[0].spatial))
    ]
    border = _border(declaration.inputs[0], pairs, op.mode, op.value)

    def run(_training: bool, x: Sequence[Any], _params: Mapping[str, Any]) -> Any:
        return _pads(border(x[0]), [tuple(op.channels), *((0, 0) for _ in pairs)], op.value)

    return run


@lowers("upsample")
def _upsample(op: Any, declaration: Declaration) -> Run:
    size = None if op.scale is not None else list(declaration.outputs[0].spatial)
    scale = None if op.scale is None else float(op.scale)
    rank, grids = len(declaration.inputs[0].spatial), maps(declaration)
    native = same_in_torch(grids)
    if op.method == "nearest":
        if not native:
            return lambda _training, x, _params: nearest(x[0], grids)
        return lambda _training, x, _params: F.interpolate(x[0], size, scale)
    if not native or (op.method == "bicubic" and rank != 2):
        shares = [grid.shares() for grid in grids if isinstance(grid, Linear)]
        return lambda _training, x, _params: blend(x[0], shares)
    mode = "bicubic" if op.method == "bicubic" else ("linear", "bilinear", "trilinear")[rank - 1]
    return lambda _training, x, _params: F.interpolate(x[0], size, scale, mode, op.align_corners)


LOWERINGS |= {
    "gap": _adaptive("avg"),
    "gmp": _adaptive("max"),
    "adaptiveavgpool": _adaptive("avg"),
    "adaptivemaxpool": _adaptive("max"),
}
