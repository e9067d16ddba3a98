"""Single operations on arrays: numpy in, numpy out, on any engine.

Shapes as in PyTorch: x (N, C, H, W), weights (K, C / groups, F, F); one or three spatial axes work too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import OpError
from striate.engine.vectorised import Tape, backward, forward
from striate.op import Op, Padding, Sizes
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.pool import AvgPool, MaxPool
from striate.tensor import TensorSpec

Array = NDArray[Any]


def _run(op: Op, x: Array, weights: dict[str, Array]) -> Tape:
    array = _floats(x)
    spec = TensorSpec.image(array.shape[1:], len(array))
    given = {name: _floats(w).astype(array.dtype, copy=False) for name, w in weights.items()}
    declaration = op.declare(spec)
    for parameter in declaration.parameters:
        if given[parameter.name].shape != parameter.shape:
            raise OpError(
                f"{parameter.name} has shape {given[parameter.name].shape}",
                why=f"{op} on {spec} takes {parameter.shape}",
                fix="filters extend the full depth of the input: (K, C / groups, F, F)",
            )
    return forward(declaration, [array], given)


def _floats(x: Any) -> Array:
    array = np.asarray(x)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _conv(
    w: Array,
    b: Array | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
    padding_mode: str,
) -> Conv:
    kernel = np.shape(w)[2:]
    return Conv(len(w), kernel, stride, padding, dilation, groups, b is not None, padding_mode)


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Array:
    """Convolution of x (N, C, H, W) with w (K, C / groups, F, F) and b (K,): (N, K, H', W').

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    weights = {"weight": w} if b is None else {"weight": w, "bias": b}
    op = _conv(w, b, stride, padding, dilation, groups, padding_mode)
    return _run(op, x, weights).tensors["y0"]


def conv2d_grads(
    x: Array,
    w: Array,
    dy: Array,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> tuple[Array, Array, Array]:
    """Gradients (dx, dw, db) of a convolution from that of its output, dy (N, K, H', W')."""
    bias = np.zeros(len(w), np.asarray(x).dtype)
    op = _conv(w, bias, stride, padding, dilation, groups, padding_mode)
    tape = _run(op, x, {"weight": w, "bias": bias})
    made = backward(tape, [_floats(dy)])
    return made["x0"], made["weight"], made["bias"]


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Transposed convolution of x (N, C, H, W) with w (C, K / groups, F, F) and b (K,)."""
    filters = np.shape(w)[1] * groups
    op = ConvTranspose(
        filters, np.shape(w)[2:], stride, padding, output_padding, dilation, groups, b is not None
    )
    return _run(op, x, {"weight": w} if b is None else {"weight": w, "bias": b}).tensors["y0"]


def max_pool2d(
    x: Array, kernel: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil: bool = False
) -> Array:
    """Largest value of each window of x (N, C, H, W)."""
    return _run(MaxPool(kernel, stride, padding, 1, ceil), x, {}).tensors["y0"]


def avg_pool2d(
    x: Array, kernel: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil: bool = False
) -> Array:
    """Mean of each window of x (N, C, H, W)."""
    return _run(AvgPool(kernel, stride, padding, ceil), x, {}).tensors["y0"]


def apply(op: Op, *inputs: Array, weights: dict[str, Array] | None = None) -> Sequence[Array]:
    """Outputs of any op on arrays with their batch axis; `weights` by parameter name."""
    arrays = [_floats(x) for x in inputs]
    declaration = op.declare(*(TensorSpec.image(x.shape[1:], len(x)) for x in arrays))
    tape = forward(declaration, arrays, weights or {})
    return [tape.tensors[f"y{k}"] for k in range(len(declaration.outputs))]
