"""Statements in whole-array numpy, forwards and backwards.

Loads become strided views (`access.py`); a sum of a product of two loads becomes one matrix multiplication; everything
else is evaluated by broadcasting. Gradients are the adjoints of the same steps: swap the roles of output and factor in
a product, route a maximum to the entry that won, and use one table of scalar derivatives (`derivatives.py`).
Knows statements only, no op.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.derivatives import FUNCTIONS, ZERO, derivatives, evaluate
from striate.engine.numpy_.access import Labeled, read, scatter
from striate.op import Declaration
from striate.statement import Affine, Blend, Call, Const, Expr, Inside, Load, Statement, Tap

Array = NDArray[Any]

CHUNK_NUMBERS = 1 << 24
"""Maximum numbers of a product's operand at once (64 MB of float32): larger batches are split."""


@dataclasses.dataclass
class OpTape:
    """Result of a forward pass for the backward pass: every tensor, by its name in the statements."""

    declaration: Declaration
    tensors: dict[str, Array]


def forward(declaration: Declaration, inputs: Sequence[Array], weights: Mapping[str, Array]) -> OpTape:
    """Run one op. inputs: arrays as declared; weights: by parameter name; computes in the inputs' dtype."""
    tensors: dict[str, Array] = {f"x{k}": x for k, x in enumerate(inputs)} | dict(weights)
    shapes = {f"y{k}": spec.shape for k, spec in enumerate(declaration.outputs)}
    dtype = np.result_type(*inputs)
    for statement in declaration.statements:
        _execute(statement, tensors, shapes, dtype)
    return OpTape(declaration, tensors)


def backward(tape: OpTape, gradients: Sequence[Array | None]) -> dict[str, Array]:
    """Gradients of every input (``x0`` …) and parameter, from those of the outputs (None: zero)."""
    declaration, tensors = tape.declaration, tape.tensors
    sources = {
        *(f"x{k}" for k in range(len(declaration.inputs))),
        *(p.name for p in declaration.parameters if p.trainable),
    }
    targets = {statement.target for statement in declaration.statements}
    totals: dict[str, Array] = {f"y{k}": g for k, g in enumerate(gradients) if g is not None}
    for statement in reversed(declaration.statements):
        if statement.target in totals:
            for name, gradient in _statement_gradients(
                statement, tensors, totals[statement.target], sources | targets
            ):
                totals[name] = totals[name] + gradient if name in totals else gradient
    return {
        name: totals.get(name, np.zeros_like(tensors[name])) for name in sorted(sources) if name in tensors
    }


def _ranges(statement: Statement) -> dict[str, int]:
    return {**statement.domain.free, **statement.domain.reduced}


def _execute(
    statement: Statement, tensors: dict[str, Array], shapes: Mapping[str, tuple[int, ...]], dtype: Any
) -> None:
    ranges = _ranges(statement)
    free = tuple(statement.domain.free)
    plain = _plain_target(statement)
    value = _value(statement, tensors, ranges)
    if statement.start is not None:
        value = Labeled(value.align(free) + _evaluate(statement.start, tensors, ranges, {}).align(free), free)
    name = statement.target
    full_shape = shapes.get(name)
    if plain and (full_shape is None or len(plain) == len(full_shape)) and _covers(statement, full_shape):
        array, full = value.align(plain), tuple(ranges[v] for v in plain)
        if array.shape != full:
            array = np.broadcast_to(array, full)
        if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.writeable):
            array = np.array(array, dtype, order="C")  # copy views of other tensors
        tensors[name] = array
        return
    shape = full_shape or _extent(statement, ranges)
    update = scatter(value, statement.index, ranges, shape).astype(dtype, copy=False)
    tensors[name] = tensors[name] + update if name in tensors else update


def _plain_target(statement: Statement) -> tuple[str, ...] | None:
    """The target's variables if every axis is a single variable, else None."""
    names = [index.variable if isinstance(index, Affine) else None for index in statement.index]
    return tuple(name for name in names if name) if all(names) else None


def _covers(statement: Statement, shape: tuple[int, ...] | None) -> bool:
    names = _plain_target(statement) or ()
    return shape is None or tuple(statement.domain.free[name] for name in names) == shape


def _extent(statement: Statement, ranges: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        index.map.input
        if isinstance(index, Tap)
        else sum(factor * (ranges[v] - 1) for v, factor in index.terms) + index.offset + 1
        for index in statement.index
    )


def _value(statement: Statement, tensors: Mapping[str, Array], ranges: Mapping[str, int]) -> Labeled:
    """The statement's right side after its reduction."""
    scattered = {index.tap for index in statement.index if isinstance(index, Tap)}
    free = (*statement.domain.free, *(v for v in statement.domain.reduced if v in scattered))
    reduced = tuple(v for v in statement.domain.reduced if v not in scattered)
    match statement.value:
        case Call("mul", (Load() as a, Load() as b)) if statement.reduce == "sum" and reduced:
            return contract(_load(a, tensors, ranges), _load(b, tensors, ranges), free, ranges)
    value = _evaluate(statement.value, tensors, ranges, {})
    if not reduced:
        return value
    lacking = math.prod(ranges[v] for v in reduced if v not in value.labels)
    axes = tuple(k for k, label in enumerate(value.labels) if label in reduced)
    labels = tuple(label for label in value.labels if label not in reduced)
    if statement.reduce == "max":
        return Labeled(value.array.max(axis=axes), labels)
    total = value.array.sum(axis=axes)
    return Labeled(total * lacking if lacking != 1 else total, labels)


def _load(load: Load, tensors: Mapping[str, Array], ranges: Mapping[str, int]) -> Labeled:
    return read(tensors[load.tensor], load.index, ranges, load.outside)


def contract(a: Labeled, b: Labeled, out: Sequence[str], ranges: Mapping[str, int]) -> Labeled:
    """Sum of a·b over every variable that is not in `out`, as one (batched) matrix multiplication."""
    both = [v for v in out if v in a.labels and v in b.labels]
    rows = [v for v in out if v in a.labels and v not in b.labels]
    columns = [v for v in out if v in b.labels and v not in a.labels]
    inner = [v for v in a.labels if v in b.labels and v not in out]
    a, b = _sum_out(a, {*both, *rows, *inner}), _sum_out(b, {*both, *columns, *inner})

    def size(names: Sequence[str]) -> int:
        return math.prod(ranges[v] for v in names)

    if size(columns) * size(rows) == 0 or size(inner) == 0:
        return Labeled(
            np.zeros([ranges[v] for v in (*both, *rows, *columns)], a.array.dtype), (*both, *rows, *columns)
        )
    if size(columns) == 1 and size(inner) <= 128 and size(both) > 1:
        return _by_taps(a, b, (*both, *rows, *columns), inner, ranges)
    left = a.align((*both, *rows, *inner))
    right = b.align((*both, *inner, *columns)).reshape(size(both), size(inner), size(columns))
    shape = [ranges[v] for v in (*both, *rows, *columns)]
    first = rows[0] if rows else None
    numbers = size(both) * size(rows) * size(inner)
    if first is None or numbers <= CHUNK_NUMBERS or ranges[first] == 1:
        product = left.reshape(size(both), size(rows), size(inner)) @ right
        return Labeled(product.reshape(shape), (*both, *rows, *columns))
    result = np.empty(shape, np.result_type(left, right))
    step = max(ranges[first] * CHUNK_NUMBERS // numbers, 1)
    for start in range(0, ranges[first], step):
        part = (*(slice(None) for _ in both), slice(start, start + step))
        some = left[part]
        product = some.reshape(size(both), -1, size(inner)) @ right
        result[part] = product.reshape(result[part].shape)
    return Labeled(result, (*both, *rows, *columns))


def _sum_out(x: Labeled, keep: set[str]) -> Labeled:
    axes = tuple(k for k, label in enumerate(x.labels) if label not in keep)
    return Labeled(x.array.sum(axis=axes), tuple(v for v in x.labels if v in keep)) if axes else x


def _by_taps(
    a: Labeled, b: Labeled, out: Sequence[str], inner: Sequence[str], ranges: Mapping[str, int]
) -> Labeled:
    """A product with few terms and no matrix multiplication (depthwise): one multiply-add per term."""
    left, right = a.align((*inner, *out)), b.align((*inner, *out))
    total: Array | None = None
    for at in np.ndindex(*(ranges[v] for v in inner)):
        term = left[at] * right[at]
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return Labeled(np.broadcast_to(total, [ranges[v] for v in out]), tuple(out))


def _evaluate(
    expr: Expr, tensors: Mapping[str, Array], ranges: Mapping[str, int], memo: dict[int, Labeled]
) -> Labeled:
    """An expression over all the variables it depends on; every step is kept in `memo` for the backward pass."""
    if id(expr) not in memo:
        memo[id(expr)] = _compute(expr, tensors, ranges, memo)
    return memo[id(expr)]


def _compute(
    expr: Expr, tensors: Mapping[str, Array], ranges: Mapping[str, int], memo: dict[int, Labeled]
) -> Labeled:
    match expr:
        case Load():
            return _load(expr, tensors, ranges)
        case Const(value):
            return Labeled(np.asarray(value), ())
        case Inside(tap, padded):
            return Labeled(_inside(tap, padded), (tap.out, tap.tap))
        case Blend(tap):
            grid = [
                [float(expr.map.weight(i, u)) for u in range(tap.map.taps)] for i in range(expr.map.output)
            ]
            return Labeled(np.asarray(grid), (tap.out, tap.tap))
        case Call(function, args):
            values = [_evaluate(arg, tensors, ranges, memo) for arg in args]
            labels = tuple(v for v in ranges if any(v in value.labels for value in values))
            floats = [value.array.dtype for value in values if value.labels]
            kind = np.result_type(*floats) if floats else np.dtype(np.float64)
            arrays = [np.asarray(value.align(labels), kind) for value in values]
            return Labeled(np.asarray(FUNCTIONS[function](*arrays)), labels)
    raise TypeError(type(expr).__name__)


def _inside(tap: Tap, padded: bool) -> Array:
    m = tap.map
    end = m.input + getattr(m, "after", 0)
    rows = [
        [
            (x := m.raw(i, u)) is not None and x < end if padded else m.position(i, u) is not None
            for u in range(m.taps)
        ]
        for i in range(m.output)
    ]
    return np.asarray(rows, np.float32)


def _statement_gradients(
    statement: Statement, tensors: Mapping[str, Array], gradient: Array, sources: set[str]
) -> list[tuple[str, Array]]:
    """Gradients of the tensors that one statement loads."""
    ranges = _ranges(statement)
    free = tuple(statement.domain.free)
    arriving = read(gradient, statement.index, ranges)
    gradients: list[tuple[str, Array]] = []

    def hand_back(load: Load, value: Labeled) -> None:
        gradients.append((load.tensor, scatter(value, load.index, ranges, tensors[load.tensor].shape)))

    if statement.start is not None and statement.reduce == "sum":
        _differentiate(statement.start, arriving, tensors, ranges, {}, sources, hand_back)
    match statement.value:
        case Call("mul", (Load() as a, Load() as b)) if (
            statement.reduce == "sum" and statement.domain.reduced
        ):
            for one, other in ((a, b), (b, a)):
                if one.tensor in sources:
                    labels = _load(one, tensors, ranges).labels
                    hand_back(one, contract(arriving, _load(other, tensors, ranges), labels, ranges))
            return gradients
    memo: dict[int, Labeled] = {}
    if statement.reduce == "max":
        value = _evaluate(statement.value, tensors, ranges, memo)
        arriving = _winner(value, arriving, free, tuple(statement.domain.reduced), ranges)
    _differentiate(statement.value, arriving, tensors, ranges, memo, sources, hand_back)
    return gradients


def _winner(
    value: Labeled,
    arriving: Labeled,
    free: Sequence[str],
    reduced: Sequence[str],
    ranges: Mapping[str, int],
) -> Labeled:
    """Route a gradient to the first largest entry over the reduced variables."""
    full = [ranges[v] for v in (*free, *reduced)]
    entries = np.broadcast_to(value.align((*free, *reduced)), full).reshape(*full[: len(free)], -1)
    best = entries.argmax(axis=-1)[..., None]
    routed = np.zeros(entries.shape, arriving.array.dtype)
    incoming = np.broadcast_to(arriving.align(free), full[: len(free)])
    np.put_along_axis(routed, best, incoming[..., None], axis=-1)
    return Labeled(routed.reshape(full), (*free, *reduced))


def _differentiate(
    expr: Expr,
    arriving: Labeled,
    tensors: Mapping[str, Array],
    ranges: Mapping[str, int],
    memo: dict[int, Labeled],
    sources: set[str],
    hand_back: Any,
) -> None:
    """Push a gradient down an expression to its loads."""
    if isinstance(expr, Load) and expr.tensor in sources:
        hand_back(expr, arriving)
    if not isinstance(expr, Call) or not _reaches(expr, sources):
        return
    result = _evaluate(expr, tensors, ranges, memo)
    values = [_evaluate(arg, tensors, ranges, memo) for arg in expr.args]
    labels = tuple(v for v in ranges if v in arriving.labels or v in result.labels)
    arrays = {f"x{k}": value.align(labels) for k, value in enumerate(values)} | {"y": result.align(labels)}
    g = arriving.align(labels)
    # Partial derivatives, in the precision of the arguments.
    arrays["g"] = np.ones((1,) * g.ndim, result.array.dtype)
    for arg, derivative in zip(expr.args, derivatives(expr.function, len(values)), strict=True):
        if derivative != ZERO and _reaches(arg, sources):
            slope = Labeled(g * evaluate(derivative, arrays), labels)
            _differentiate(arg, slope, tensors, ranges, memo, sources, hand_back)


def _reaches(expr: Expr, sources: set[str]) -> bool:
    if isinstance(expr, Load):
        return expr.tensor in sources
    return isinstance(expr, Call) and any(_reaches(arg, sources) for arg in expr.args)
