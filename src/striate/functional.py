"""Single operations on numpy arrays, on any engine; ``import striate.functional as F`` as in PyTorch.

Axes as in PyTorch: x (N, C, H, W), weights (K, C / groups, F, F); one or three spatial axes work too, (N, C, L) and
(N, C, D, H, W). Arrays of whole numbers become float32. PyTorch's names of arguments are understood (kernel_size).

engine: "compiled" runs machine code, planned once per shape; "numpy" runs everywhere; "auto" takes the faster one:
numpy for little work. Double precision and gradients are computed by numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import OpError, no_attribute, suggest
from striate.engine.numpy_.vectorized import OpTape, backward, forward
from striate.engine.registry import get_engine
from striate.engine.target import Target
from striate.network import declaration_of
from striate.op import Declaration, Op, Padding, Sizes, registry
from striate.op.spelling import accept_spellings, op_word
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.pool import AvgPool, MaxPool
from striate.signatures import explain_misuse
from striate.tensor import TensorSpec

__all__ = ["apply", "avg_pool2d", "conv2d", "conv2d_grads", "conv_transpose2d", "max_pool2d"]

Array = NDArray[Any]

MIN_COMPILED_MACS, MACS_PER_PACKED_WEIGHT = 200_000, 150
"""Below 200,000 multiply-adds (plus 150 per packed weight) numpy is faster: starting the compiled engine costs 0.3 ms.
numpy also saves the first compilation."""


def _run(op: Op, x: Array, weights: dict[str, Array]) -> OpTape:
    """The numpy engine's tape: the result and every intermediate tensor."""
    array = _floats(x)
    spec = TensorSpec.image(array.shape[1:], len(array))
    arrays = {name: _floats(w).astype(array.dtype, copy=False) for name, w in weights.items()}
    declaration = declaration_of(op, spec)
    _check(op, spec, declaration, arrays)
    return forward(declaration, [array], arrays)


def _forward(op: Op, x: Array, weights: dict[str, Array], engine: str) -> Array:
    """The op's only result, on an engine."""
    array, target = _floats(x), _target(engine)
    if target is None or array.dtype != np.float32 or not len(array):
        return _run(op, array, weights).tensors["y0"]
    spec = TensorSpec.image(array.shape[1:], len(array))
    declaration = declaration_of(op, spec)
    packed_weights = sum(parameter.elements for parameter in declaration.parameters)
    work = declaration.macs - MACS_PER_PACKED_WEIGHT * packed_weights if packed_weights else 8 * array.size
    if engine == "auto" and work < MIN_COMPILED_MACS:
        return _run(op, array, weights).tensors["y0"]
    arrays = {name: _floats(w) for name, w in weights.items()}
    _check(op, spec, declaration, arrays)
    from striate.engine.single import single

    return single(op, spec, target)(array, arrays)


def _target(engine: str) -> Target | None:
    """The processor that the compiled engine makes code for; None for the numpy engine."""
    implementation = get_engine(engine)
    return getattr(implementation, "target", None)


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


def _filters(w: Any, axes: str) -> tuple[int, ...]:
    """The shape of a convolution's weights. Raises OpError without axes of space."""
    shape = np.shape(w)
    if len(shape) < 3:
        raise OpError(
            f"the weights have shape {shape}",
            why="a filter has a size along each axis of space",
            fix=f"give weights {axes}",
        )
    return tuple(shape)


def _conv(
    w: Array,
    b: Array | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
    padding_mode: str,
) -> Conv:
    filters, _, *kernel = _filters(w, "(K, C / groups, F, F)")
    return Conv(filters, tuple(kernel), stride, padding, dilation, groups, b is not None, padding_mode)


@explain_misuse
@accept_spellings
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
    """Convolution of x (N, C, H, W) with w (K, C / groups, F, F) and b (K,) to (N, K, H', W').

    H' = floor((H + p - dilation (F - 1) - 1) / stride) + 1, where p is the padding of both sides together; W' alike.
    stride, dilation: steps in pixels, one number or one for each axis. padding: pixels around x; one number, one for
    each axis, (before, after) for each axis, or "same", "valid", "full". groups: C and K are split into as many parts,
    each with its own filters. padding_mode: values beyond the border, "zeros", "reflect", "replicate" or "circular".
    engine: see the module.

    Raises OpError where the shapes of x, w and b do not go together, ShapeError where a filter is longer than the
    padded input, EngineError where the engine cannot run here.
    Source: Dumoulin & Visin, arXiv 1603.07285; filters are not flipped, as in PyTorch and ONNX.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> F.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    weights = {"weight": w} if b is None else {"weight": w, "bias": b}
    op = _conv(w, b, stride, padding, dilation, groups, padding_mode)
    return _forward(op, x, weights, engine)


@explain_misuse
@accept_spellings
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
    """Gradients (dx, dw, db) of a convolution with respect to x (N, C, H, W), w (K, C / groups, F, F) and b (K,).

    dy: the gradient with respect to the output, (N, K, H', W'). dx has the shape of x, dw that of w, db is (K,).
    stride, padding, dilation (pixels), groups, padding_mode: those of the convolution, as `conv2d` takes them. numpy
    computes gradients.

    Raises OpError where the shapes of x, w and dy do not go together.
    Source: Dumoulin & Visin, arXiv 1603.07285, section 4.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> dx, dw, db = F.conv2d_grads(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
    >>> dx[0, 0].tolist(), float(dw.sum()), db.tolist()
    ([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]], 16.0, [4.0])
    """
    bias = np.zeros(len(w), np.asarray(x).dtype)
    op = _conv(w, bias, stride, padding, dilation, groups, padding_mode)
    tape = _run(op, x, {"weight": w, "bias": bias})
    dy = _floats(dy)
    if dy.shape != tape.tensors["y0"].shape:
        raise OpError(
            f"dy has shape {dy.shape}",
            where="conv2d_grads",
            why=f"the output of this convolution is {tape.tensors['y0'].shape}",
            fix="give the gradient with respect to the output of this convolution",
        )
    gradients = backward(tape, [dy])
    return gradients["x0"], gradients["weight"], gradients["bias"]


@explain_misuse
@accept_spellings
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
    """Transposed convolution of x (N, C, H, W) with w (C, K / groups, F, F) and b (K,) to (N, K, H', W').

    H' = (H - 1) stride - p + dilation (F - 1) + output_padding + 1, where p is the padding of both sides together;
    W' alike. padding is cropped from the output, output_padding added to its end, both in pixels. stride, dilation,
    groups and engine are those of `conv2d`, whose adjoint this is.

    Raises OpError where the shapes of x, w and b do not go together or output_padding is not below the stride,
    ShapeError where nothing is left of the output, EngineError where the engine cannot run here.
    Source: Dumoulin & Visin, arXiv 1603.07285, section 4.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> F.conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), stride=2).shape
    (1, 1, 4, 4)
    """
    _, share, *kernel = _filters(w, "(C, K / groups, F, F)")
    filters = share * groups
    op = ConvTranspose(
        filters, tuple(kernel), stride, padding, output_padding, dilation, groups, b is not None
    )
    return _forward(op, x, {"weight": w} if b is None else {"weight": w, "bias": b}, engine)


@explain_misuse
@accept_spellings
def max_pool2d(
    x: Array,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    engine: str = "auto",
) -> Array:
    """Largest value of each window of x (N, C, H, W), for each channel: (N, C, H', W').

    H' = floor((H + p - kernel) / stride) + 1, where p is the padding of both sides together; W' alike. kernel: size
    of the window in pixels; stride: the kernel where it is None; padding: pixels around x, which are never the largest
    (minus infinity); ceil: round H' up, as PyTorch's ceil_mode. engine: see the module.

    Raises OpError for an argument out of range, ShapeError where a window is longer than the padded input.
    Source: PyTorch MaxPool2d; ONNX MaxPool.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> F.max_pool2d(np.arange(16).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    return _forward(MaxPool(kernel, stride, padding, 1, ceil), x, {}, engine)


@explain_misuse
@accept_spellings
def avg_pool2d(
    x: Array,
    kernel: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    engine: str = "auto",
) -> Array:
    """Mean of each window of x (N, C, H, W), for each channel: (N, C, H', W').

    Sizes, kernel, stride, padding, ceil and engine as for `max_pool2d`; padded pixels are zeros that count in the mean.

    Raises OpError for an argument out of range, ShapeError where a window is longer than the padded input.
    Source: PyTorch AvgPool2d; ONNX AveragePool.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> F.avg_pool2d(np.arange(16).reshape(1, 1, 4, 4), kernel=2)[0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    return _forward(AvgPool(kernel, stride, padding, ceil), x, {}, engine)


@explain_misuse
def apply(
    op: Op, *inputs: Array, weights: dict[str, Array] | None = None, engine: str = "auto"
) -> Sequence[Array]:
    """Outputs of any op of `striate.ops` on arrays with their batch axis, such as (N, C, H, W): a list of arrays.

    inputs: as many as the op takes; weights: its parameters by name, in the shapes that the op's docstring says.
    engine: see the module; ops with several inputs or outputs, and those with weights other than a convolution's, use
    numpy.

    Raises OpError where inputs or weights do not suit the op, ShapeError where it has no output.
    Source: the docstring of each op names its own.

    >>> import numpy as np
    >>> import striate.functional as F
    >>> from striate.ops import Add
    >>> [y] = F.apply(Add(), np.ones((1, 2)), np.ones((1, 2)))
    >>> y.tolist()
    [[2.0, 2.0]]
    """
    if inputs:
        op.check_input(TensorSpec.image(np.shape(inputs[0])[1:], len(inputs[0])))
    if len(inputs) == 1 and op.output_count == 1 and (not weights or isinstance(op, Conv | ConvTranspose)):
        return [_forward(op, inputs[0], weights or {}, engine)]
    get_engine(engine)
    arrays = [_floats(x) for x in inputs]
    declaration = declaration_of(op, *(TensorSpec.image(x.shape[1:], len(x)) for x in arrays))
    tape = forward(declaration, arrays, weights or {})
    return [tape.tensors[f"y{k}"] for k in range(len(declaration.outputs))]


def __getattr__(name: str) -> Any:
    word = op_word(name, registry())
    near = suggest(name, __all__)
    if word in registry():
        near = f"apply(striate.ops.{registry()[word].__name__}(…), x)"
    raise no_attribute(__name__, name, near)
