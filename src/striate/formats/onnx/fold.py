"""Constant folding during import: target shapes of reshapes, transposed weights."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.proto import Call

Array = NDArray[Any]

ALLOWED, MAX_BYTE_REPEATS = 2**28, 16
"""Elements that folding a graph may read and produce, and the limit as a multiple of those in the file.

A file of a few bytes can ask for any number. The first limit is nearly twice VGG-19's parameters, which ONNX's own
example computes from constants; standardized weights are read three or four times.
"""
PRODUCTS = 32
"""Multiplications that cost as much as one element read or produced."""
FREE = frozenset(
    "Constant Expand Flatten Gather Identity Reshape Shape Size Slice Split Squeeze Tile Transpose Unsqueeze".split()  # noqa: SIM905
)
"""Operators that read no element, or only those that they copy."""


class Unfoldable(Exception):
    """The operator is not folded here, or is too large."""


class Allowance:
    """Remaining elements that folding may read and produce."""

    def __init__(self, stored: int) -> None:
        self.remaining = ALLOWED + MAX_BYTE_REPEATS * stored

    def take(self, count: int) -> None:
        """Subtract `count`. Raises Unfoldable, and subtracts nothing, if less is left."""
        if not 0 <= count <= self.remaining:
            raise Unfoldable(f"{count:,} numbers")
        self.remaining -= count


def fold(call: Call, inputs: Sequence[Array | None], allowance: Allowance) -> list[Array]:
    """The outputs of an operator whose inputs are constants. Raises Unfoldable."""
    if call.kind not in _TABLE:
        raise Unfoldable(call.kind)
    if call.kind not in FREE:
        allowance.take(sum(array.size for array in inputs if array is not None))
    try:
        with np.errstate(all="ignore"):
            result = _TABLE[call.kind](call.attributes, [*inputs], allowance)
    except Unfoldable:
        raise
    except Exception as error:  # numpy raises many types for sizes that do not fit
        raise Unfoldable(str(error)) from None
    return [np.asarray(item) for item in (result if isinstance(result, list) else [result])]


def _pointwise(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(_a: Any, x: list[Any], allowed: Allowance) -> Any:
        allowed.take(math.prod(np.broadcast_shapes(*(np.shape(v) for v in x))))
        result = function(*x)
        return (
            result.astype(x[-1].dtype) if result.dtype == np.float64 and x[-1].dtype == np.float32 else result
        )

    return run


def _div(a: Array, b: Array) -> Any:
    if np.issubdtype(a.dtype, np.integer):
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    return a / b


def _axes(a: Any, x: list[Any], at: int = 1) -> tuple[int, ...] | None:
    if "axes" in a:
        return tuple(a["axes"])
    return tuple(int(i) for i in x[at].ravel()) if len(x) > at and x[at] is not None else None


def _unsqueeze(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    return np.expand_dims(x[0], _axes(a, x) or ())


def _slice(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    if "starts" in a:
        starts, ends, axes, steps = a["starts"], a["ends"], a.get("axes"), None
    else:
        starts, ends = x[1].tolist(), x[2].tolist()
        axes = x[3].tolist() if len(x) > 3 and x[3] is not None else None
        steps = x[4].tolist() if len(x) > 4 and x[4] is not None else None
    where = [slice(None)] * x[0].ndim
    for k, axis in enumerate(axes or range(len(starts))):
        step = steps[k] if steps else 1
        end = None if step < 0 and ends[k] < -x[0].shape[axis] else ends[k]
        where[axis] = slice(starts[k], end, step)
    return x[0][tuple(where)]


def _reshape(_a: Any, x: list[Any], _allowed: Allowance) -> Any:
    return x[0].reshape(target(x[0].shape, x[1].tolist(), bool(_a.get("allowzero", 0))))


def target(shape: Sequence[int], request: Sequence[int], allow_zero: bool = False) -> tuple[int, ...]:
    """The shape that ONNX's Reshape gives: 0 copies a size, -1 is inferred."""
    sizes = [shape[k] if n == 0 and not allow_zero else int(n) for k, n in enumerate(request)]
    if -1 in sizes:
        product = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = math.prod(shape) // product if product else 0
    return tuple(sizes)


def _expand(_a: Any, x: list[Any], allowed: Allowance) -> Any:
    shape = np.broadcast_shapes(x[0].shape, tuple(x[1].tolist()))
    allowed.take(math.prod(shape))
    return np.broadcast_to(x[0], shape).copy()


def _fill(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    shape, value = tuple(x[0].tolist()), a.get("value", np.zeros(1, np.float32))
    if math.prod(shape) > ALLOWED:
        raise Unfoldable(f"{math.prod(shape):,} numbers")
    return np.broadcast_to(value.ravel()[0], shape)  # a view without memory: its readers are charged


def _range(_a: Any, x: list[Any], allowed: Allowance) -> Any:
    start, stop, step = (v.item() for v in x)
    allowed.take(int(abs((stop - start) / step)) + 1)
    return np.arange(start, stop, step, dtype=x[0].dtype)


def _tile(_a: Any, x: list[Any], allowed: Allowance) -> Any:
    allowed.take(x[0].size * math.prod(x[1].tolist()))
    return np.tile(x[0], x[1].tolist())


def _gather(a: Any, x: list[Any], allowed: Allowance) -> Any:
    axis = a.get("axis", 0)
    allowed.take(x[0].size // max(x[0].shape[axis], 1) * x[1].size)
    return np.take(x[0], x[1], axis)


def _split(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    sizes = a.get("split") or (x[1].tolist() if len(x) > 1 and x[1] is not None else None)
    if not sizes:
        raise Unfoldable("Split into unnamed sizes")
    return list(np.split(x[0], np.cumsum(sizes)[:-1], a.get("axis", 0)))


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, x: list[Any], _allowed: Allowance) -> Any:
        axes = _axes(a, x)
        if axes is None and a.get("noop_with_empty_axes"):
            return x[0]
        return np.asarray(function(x[0], axis=axes, keepdims=bool(a.get("keepdims", 1)))).astype(x[0].dtype)

    return run


def _cast(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    import onnx.helper

    return x[0].astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))


def _constant(a: Any, _x: list[Any], _allowed: Allowance) -> Any:
    for key, kind in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if key in a:
            return np.array(a[key], kind)
    if a.get("value") is None:
        raise Unfoldable("another kind of constant")
    return a["value"]


def _clip(_a: Any, x: list[Any], _allowed: Allowance) -> Any:
    low = x[1] if len(x) > 1 else _a.get("min")
    high = x[2] if len(x) > 2 else _a.get("max")
    return x[0] if low is None and high is None else np.clip(x[0], low, high)


def _along(x: list[Any], a: Any) -> tuple[Array, Array]:
    """Scale and zero point of a quantized tensor, reshaped for broadcasting."""
    scale = np.asarray(x[1], np.float32)
    zero = np.asarray(x[2] if len(x) > 2 and x[2] is not None else 0).astype(np.float32)
    if a.get("block_size"):
        raise Unfoldable("quantized by blocks")
    if scale.size > 1:
        shape = [1] * x[0].ndim
        shape[a.get("axis", 1)] = scale.size
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    return scale, zero


def _dequantize(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    scale, zero = _along(x, a)
    return ((x[0].astype(np.float32) - zero) * scale).astype(np.float32)


def _quantize(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    scale, zero = _along(x, a)
    kind = x[2].dtype if len(x) > 2 and x[2] is not None else np.dtype(np.uint8)
    if kind.kind not in "iu" or a.get("output_dtype"):
        raise Unfoldable("quantized to a type that is not an integer")
    limits = np.iinfo(kind)
    return np.clip(np.rint(x[0] / scale) + zero, limits.min, limits.max).astype(kind)


def _normal(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """Mean 0 and variance 1 over some axes, in float64."""
    wide = x.astype(np.float64)
    centered = wide - wide.mean(axes, keepdims=True)
    return np.asarray(centered / np.sqrt((centered * centered).mean(axes, keepdims=True) + eps))


def _scale_and_shift(normal: Array, x: list[Any]) -> Array:
    """Per-channel scale and shift, in the input's type."""
    scale, shift = (v.reshape(-1, *[1] * (normal.ndim - 2)) for v in x[1:3])
    return np.asarray(normal * scale + shift).astype(x[0].dtype)


def _batch_norm(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    """Batch normalization of weights: with their own statistics it standardizes them."""
    eps = a.get("epsilon", 1e-5)
    if a.get("training_mode"):
        return _scale_and_shift(_normal(x[0], (0, *range(2, x[0].ndim)), eps), x)
    mean, variance = (v.reshape(-1, *[1] * (x[0].ndim - 2)).astype(np.float64) for v in x[3:5])
    return _scale_and_shift((x[0] - mean) / np.sqrt(variance + eps), x)


def _instance_norm(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    return _scale_and_shift(_normal(x[0], tuple(range(2, x[0].ndim)), a.get("epsilon", 1e-5)), x)


def _layer_norm(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    axis = a.get("axis", -1) % x[0].ndim
    normal = _normal(x[0], tuple(range(axis, x[0].ndim)), a.get("epsilon", 1e-5))
    return (normal * x[1] + (x[2] if len(x) > 2 and x[2] is not None else 0)).astype(x[0].dtype)


def _einsum(a: Any, x: list[Any], allowed: Allowance) -> Any:
    sizes = {v: n for word, array in zip(a["equation"].replace(" ", "").split("->")[0].split(","), x, strict=True)
             for v, n in zip(word, array.shape)}  # fmt: skip
    allowed.take(math.prod(sizes.values()) // PRODUCTS)
    return np.einsum(a["equation"], *x)


def _eye(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    kind = x[0].dtype
    if "dtype" in a:
        import onnx.helper

        kind = onnx.helper.tensor_dtype_to_np_dtype(a["dtype"])
    rows, columns = x[0].shape
    return np.eye(rows, columns, a.get("k", 0)).astype(kind)


def _trilu(a: Any, x: list[Any], _allowed: Allowance) -> Any:
    k = int(x[1]) if len(x) > 1 and x[1] is not None else 0
    return np.triu(x[0], k) if a.get("upper", 1) else np.tril(x[0], k)


def _matmul(_a: Any, x: list[Any], allowed: Allowance) -> Any:
    stacks = math.prod(np.broadcast_shapes(x[0].shape[:-2], x[1].shape[:-2]))
    rows, columns = math.prod(x[0].shape[-2:]), x[1].shape[-1] if x[1].ndim > 1 else 1
    allowed.take(stacks * (rows // PRODUCTS + 1) * columns)
    return x[0] @ x[1]


def _pad(a: Any, x: list[Any], allowed: Allowance) -> Any:
    if a.get("mode", "constant") != "constant" or (len(x) > 3 and x[3] is not None):
        raise Unfoldable("Pad of another kind")
    sides = a.get("pads") or x[1].tolist()
    value = x[2].item() if len(x) > 2 and x[2] is not None else a.get("value", 0.0)
    pairs = list(zip(sides[: x[0].ndim], sides[x[0].ndim :], strict=True))
    if min(sides, default=0) < 0:
        raise Unfoldable("Pad that cuts")
    allowed.take(math.prod(n + before + after for n, (before, after) in zip(x[0].shape, pairs)))
    return np.pad(x[0], pairs, constant_values=value)


def _concat(a: Any, x: list[Any], allowed: Allowance) -> Any:
    allowed.take(sum(v.size for v in x))
    return np.concatenate(x, a["axis"])


_TABLE: dict[str, Callable[..., Any]] = {
    "Constant": _constant,
    "Identity": lambda a, x, _: x[0],
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "Cast": _cast,
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda a, x, _: np.squeeze(x[0], _axes(a, x)),
    "Slice": _slice,
    "Reshape": _reshape,
    "Flatten": lambda a, x, _: x[0].reshape(math.prod(x[0].shape[: a.get("axis", 1)]), -1),
    "Transpose": lambda a, x, _: np.transpose(x[0], a.get("perm")),
    "Expand": _expand,
    "Range": _range,
    "ConstantOfShape": _fill,
    "Tile": _tile,
    "Gather": _gather,
    "Split": _split,
    "Concat": _concat,
    "Clip": _clip,
    "Shape": lambda a, x, _: np.array(x[0].shape, np.int64),
    "Size": lambda a, x, _: np.array(x[0].size, np.int64),
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceProd": _reduce(np.prod),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceL1": _reduce(lambda v, **k: np.abs(v).sum(**k)),
    "ReduceL2": _reduce(lambda v, **k: np.sqrt((v * v).sum(**k))),
    "ReduceSumSquare": _reduce(lambda v, **k: (v * v).sum(**k)),
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "EyeLike": _eye,
    "Einsum": _einsum,
    "Trilu": _trilu,
    "Pad": _pad,
}
_POINTWISE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _div,
    "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
    "Mod": np.mod,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Reciprocal": np.reciprocal,
    "Relu": lambda v: np.maximum(v, 0),
    "Sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "Tanh": np.tanh,
    "Sign": np.sign,
    "Sin": np.sin,
    "Cos": np.cos,
    "Min": lambda *v: functools.reduce(np.minimum, v),
    "Max": lambda *v: functools.reduce(np.maximum, v),
    "Sum": lambda *v: functools.reduce(np.add, v),
    "Where": np.where,
    "Not": np.logical_not,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Equal": np.equal,
    "Greater": np.greater,
    "Less": np.less,
    "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal,
}
_TABLE |= {name: _pointwise(function) for name, function in _POINTWISE.items()}
