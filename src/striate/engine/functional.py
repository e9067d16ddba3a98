"""Single operations on arrays: numpy in, numpy out, on any engine.

Shapes as in PyTorch: x (N, C, H, W), weights (K, C / groups, F, F); one or three spatial axes work too.

engine: "compiled" runs machine code, planned once for equal shapes; "numpy" runs everywhere; "auto" takes the faster
one: numpy for little work. Arrays in double precision, and gradients, are numpy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import OpError
from striate.engine.interface import get
from striate.engine.target import Target
from striate.engine.vectorised import Tape, backward, forward
from striate.network import declaration_of
from striate.op import Declaration, Op, Padding, Sizes
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.pool import AvgPool, MaxPool
from striate.tensor import TensorSpec

Array = NDArray[Any]


WORK, PACKING = 200_000, 150
"""Multiply-adds from which on machine code is the faster one, beside so many for each weight that is packed: setting
out takes 0.3 ms, as numpy does for so much work. Below it numpy also spares the first compilation."""


def _run(op: Op, x: Array, weights: dict[str, Array]) -> Tape:
    """Everything that the numpy engine finds on the way to the result."""
    array = _floats(x)
    spec = TensorSpec.image(array.shape[1:], len(array))
    given = {name: _floats(w).astype(array.dtype, copy=False) for name, w in weights.items()}
    declaration = declaration_of(op, spec)
    _check(op, spec, declaration, given)
    return forward(declaration, [array], given)


def _forward(op: Op, x: Array, weights: dict[str, Array], engine: str) -> Array:
    """The op's only result, on an engine."""
    array, target = _floats(x), _target(engine)
    if target is None or array.dtype != np.float32 or not len(array):
        return _run(op, array, weights).tensors["y0"]
    spec = TensorSpec.image(array.shape[1:], len(array))
    declaration = declaration_of(op, spec)
    packed = sum(parameter.elements for parameter in declaration.parameters)
    work = declaration.macs - PACKING * packed if packed else 8 * array.size
    if engine == "auto" and work < WORK:
        return _run(op, array, weights).tensors["y0"]
    given = {name: _floats(w) for name, w in weights.items()}
    _check(op, spec, declaration, given)
    from striate.engine.single import single

    return single(op, spec, target)(array, given)


def _target(engine: str) -> Target | None:
    """What the compiled engine makes code for; None on the numpy engine."""
    chosen = get(engine)
    return getattr(chosen, "target", None)


def _check(op: Op, spec: TensorSpec, declaration: Declaration, weights: Mapping[str, Array]) -> None:
    for parameter in declaration.parameters:
        if weights[parameter.name].shape != parameter.shape:
            raise OpError(
                f"{parameter.name} has shape {weights[parameter.name].shape}",
                why=f"{op} on {spec} takes {parameter.shape}",
                fix="filters extend the full depth of the input: (K, C / groups, F, F)",
            )


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
    engine: str = "auto",
) -> Array:
    """Convolution of x (N, C, H, W) with w (K, C / groups, F, F) and b (K,): (N, K, H', W').

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    weights = {"weight": w} if b is None else {"weight": w, "bias": b}
    op = _conv(w, b, stride, padding, dilation, groups, padding_mode)
    return _forward(op, x, weights, engine)


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
    engine: str = "auto",
) -> Array:
    """Transposed convolution of x (N, C, H, W) with w (C, K / groups, F, F) and b (K,)."""
    filters = np.shape(w)[1] * groups
    op = ConvTranspose(
        filters, np.shape(w)[2:], stride, padding, output_padding, dilation, groups, b is not None
    )
    return _forward(op, x, {"weight": w} if b is None else {"weight": w, "bias": b}, engine)


def max_pool2d(
    x: Array,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    engine: str = "auto",
) -> Array:
    """Largest value of each window of x (N, C, H, W)."""
    return _forward(MaxPool(kernel, stride, padding, 1, ceil), x, {}, engine)


def avg_pool2d(
    x: Array,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    engine: str = "auto",
) -> Array:
    """Mean of each window of x (N, C, H, W)."""
    return _forward(AvgPool(kernel, stride, padding, ceil), x, {}, engine)


def apply(
    op: Op, *inputs: Array, weights: dict[str, Array] | None = None, engine: str = "auto"
) -> Sequence[Array]:
    """Outputs of any op on arrays with their batch axis; `weights` by parameter name.

    Ops with several inputs or outputs, and those with weights other than a convolution's, are numpy's.
    """
    if len(inputs) == 1 and op.output_count == 1 and (not weights or isinstance(op, Conv | ConvTranspose)):
        return [_forward(op, inputs[0], weights or {}, engine)]
    get(engine)
    arrays = [_floats(x) for x in inputs]
    declaration = declaration_of(op, *(TensorSpec.image(x.shape[1:], len(x)) for x in arrays))
    tape = forward(declaration, arrays, weights or {})
    return [tape.tensors[f"y{k}"] for k in range(len(declaration.outputs))]
