"""The reference interpreter: any declared op, executed statement by statement in numpy.

Slow on purpose and obvious: it loops over every combination of the reduced variables in Python and evaluates the
statement's expression for all free variables at once. It knows statements only, no op.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, OpError
from striate.geometry import Window
from striate.network import Network
from striate.op import Declaration
from striate.statement import Affine, Blend, Call, Const, Expr, Index, Inside, Load, Statement, Tap
from striate.tensor import TensorSpec

Array = NDArray[np.float64]
Positions = NDArray[np.int64]

_erf = np.vectorize(math.erf, otypes=[np.float64])

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "max": np.maximum, "min": np.minimum, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "sqrt": np.sqrt, "pow": np.power, "tanh": np.tanh, "erf": _erf,
    "where": lambda test, yes, no: np.where(test > 0, yes, no),
}  # fmt: skip


def run(declaration: Declaration, inputs: list[Array], weights: Mapping[str, Array]) -> list[Array]:
    """Outputs of one op: inputs (N, …) as declared, weights by parameter name. Computes in float64."""
    if not declaration.statements:
        raise OpError(
            f"{declaration.op} cannot be executed",
            why="it declares no statement: nothing is known of what it computes",
            fix="replace it by known ops",
        )
    tensors: dict[str, Array] = {f"x{k}": np.asarray(x, np.float64) for k, x in enumerate(inputs)}
    tensors |= {name: np.asarray(w, np.float64) for name, w in weights.items()}
    shapes = {f"y{k}": spec.shape for k, spec in enumerate(declaration.outputs)}
    for statement in declaration.statements:
        name = statement.target
        if name not in tensors:
            tensors[name] = np.zeros(shapes.get(name) or extent(statement))
        _execute(statement, tensors)
    return [tensors[f"y{k}"] for k in range(len(declaration.outputs))]


def predict(net: Network, x: Array, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Every value of a network for one batch x (N, C, H, W); weights by full name, ``conv1.weight``.

    Raises FormatError when a weight is missing or has another shape than declared.
    """
    (source,) = net.inputs
    batch = Network(net.name, {source: TensorSpec.image(x.shape[1:], x.shape[0])}, net.nodes, net.outputs)
    values: dict[str, Array] = {source: np.asarray(x, np.float64)}
    for node in batch.nodes:
        declaration = batch.declarations[node.name]
        parameters = {}
        for parameter in declaration.parameters:
            full = node.key(parameter.name)
            array = weights.get(full)
            if array is None or array.shape != parameter.shape:
                raise FormatError(
                    f"weight {full} is {'missing' if array is None else f'of shape {array.shape}'}",
                    why=f"the network declares {parameter.shape}",
                    fix="give weights made for this network",
                )
            parameters[parameter.name] = array
        outputs = run(declaration, [values[value] for value in node.inputs], parameters)
        values.update(zip(node.outputs, outputs, strict=True))
    return values


def multiplications(declaration: Declaration) -> int:
    """Multiply-accumulates per image, counted one by one: every step at which a product with a weight is formed.

    An independent count: `Declaration.macs` multiplies ranges.
    """
    names = {parameter.name for parameter in declaration.parameters}
    count = 0
    for statement in declaration.statements:
        product = statement.value
        if statement.reduce != "sum" or not isinstance(product, Call) or product.function != "mul":
            continue
        if any(isinstance(arg, Load) and arg.tensor in names for arg in product.args):
            free = {name: size for name, size in statement.domain.free.items() if name != "n"}
            for _ in itertools.product(*map(range, statement.domain.reduced.values())):
                count += int(np.ones(tuple(free.values()), np.int64).sum())
    return count


def extent(statement: Statement) -> tuple[int, ...]:
    """Shape of a temporary: one past the largest index written along each axis."""
    sizes = {**statement.domain.free, **statement.domain.reduced}
    shape = []
    for index in statement.index:
        if isinstance(index, Tap):
            shape.append(index.map.input)
        else:
            shape.append(sum(factor * (sizes[name] - 1) for name, factor in index.terms) + index.offset + 1)
    return tuple(shape)


def _execute(statement: Statement, tensors: dict[str, Array]) -> None:
    free = statement.domain.free
    rank = len(free)
    variables: dict[str, Positions] = {
        name: np.arange(size).reshape((-1,) + (1,) * (rank - 1 - at))
        for at, (name, size) in enumerate(free.items())
    }
    target = tensors[statement.target]
    shape = tuple(free.values())
    if statement.start is not None or statement.reduce == "max":
        value = _evaluate(statement.start, variables, tensors) if statement.start else np.float64(-np.inf)
        _write(target, statement, variables, np.broadcast_to(value, shape), np.copyto)
    combine = _COMBINE[statement.reduce]
    reduced = statement.domain.reduced
    for step in itertools.product(*map(range, reduced.values())):
        here = variables | {name: np.asarray(at) for name, at in zip(reduced, step, strict=True)}
        value = np.broadcast_to(_evaluate(statement.value, here, tensors), shape)
        _write(target, statement, here, value, combine)


Combine = Callable[[Array, Array], object]


def _accumulate(old: Array, value: Array) -> None:
    old += value


def _largest(old: Array, value: Array) -> None:
    np.maximum(old, value, out=old)


_COMBINE: Mapping[str, Combine] = {"": np.copyto, "sum": _accumulate, "max": _largest}


def _write(
    target: Array,
    statement: Statement,
    variables: dict[str, Positions],
    value: Array,
    combine: Combine,
) -> None:
    """Combine values into their targets; within one step no two values share a target."""
    places, real = _positions(statement.index, variables, target.shape)
    places = [np.broadcast_to(place, value.shape) for place in places]
    where = np.broadcast_to(real, value.shape)
    selection = tuple(place[where] for place in places)
    old = target[selection]
    combine(old, value[where])
    target[selection] = old


def _positions(
    index: tuple[Index, ...], variables: Mapping[str, Positions], shape: tuple[int, ...]
) -> tuple[list[Positions], NDArray[np.bool_]]:
    """Integer positions per axis, and where all of them are real."""
    places, real = [], np.asarray(True)
    for item in index:
        place = _affine(item, variables) if isinstance(item, Affine) else _tapped(item, variables)
        real = real & (place >= 0)
        places.append(np.where(place >= 0, place, 0))
    return places, real


def _affine(index: Affine, variables: Mapping[str, Positions]) -> Positions:
    total: Positions = np.asarray(index.offset)
    for name, factor in index.terms:
        total = total + variables[name] * factor
    total = total // index.divisor
    return total % index.modulus if index.modulus else total


def _tapped(index: Tap, variables: Mapping[str, Positions]) -> Positions:
    """Position of a tap, -1 where it reads padding."""

    def position(i: int, u: int) -> int:
        x = index.map.position(int(i), int(u))
        return -1 if x is None else x

    taps = variables[index.tap] if index.tap else np.asarray(0)
    return np.asarray(np.vectorize(position, otypes=[np.int64])(variables[index.out], taps))


def _evaluate(expr: Expr, variables: Mapping[str, Positions], tensors: Mapping[str, Array]) -> Array:
    match expr:
        case Const(value):
            return np.asarray(value)
        case Load(tensor, index, outside):
            places, real = _positions(index, variables, tensors[tensor].shape)
            return np.where(real, tensors[tensor][tuple(places)], outside)
        case Inside(tap, padded):
            inside = within_padding if padded else _is_real
            grid = np.vectorize(lambda i, u: inside(tap, int(i), int(u)), otypes=[np.float64])
            return np.asarray(grid(variables[tap.out], variables[tap.tap]))
        case Blend(tap):
            weight = np.vectorize(lambda i, u: float(expr.map.weight(int(i), int(u))), otypes=[np.float64])
            return np.asarray(weight(variables[tap.out], variables[tap.tap]))
        case Call(function, args):
            return np.asarray(_FUNCTIONS[function](*(_evaluate(arg, variables, tensors) for arg in args)))
    raise TypeError(type(expr).__name__)


def _is_real(tap: Tap, i: int, u: int) -> bool:
    return tap.map.position(i, u) is not None


def within_padding(tap: Tap, i: int, u: int) -> bool:
    """Whether a tap lands on the input or its declared padding: what ceil mode hangs over is neither."""
    x = tap.map.raw(i, u)
    return x is not None and (not isinstance(tap.map, Window) or x < tap.map.input + tap.map.after)
