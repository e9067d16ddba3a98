"""Recognizes the patterns of `computation` in a declaration's statements; no op is known here by name.

A declaration that fits no pattern is run as a generic loop nest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from striate.engine.plan.computation import (
    Alias,
    Copies,
    Copy,
    Correlation,
    Elementwise,
    LocalResponseNorm,
    Norm,
    Pattern,
    Pool,
    Softmax,
)
from striate.geometry import Adaptive, AxisMap, Shift, Whole, Window
from striate.op import Declaration
from striate.statement import Affine, Call, Const, Expr, Index, Inside, Load, Statement, Tap, call, walk

Array = NDArray[Any]


def recognize(declaration: Declaration) -> Pattern | None:
    """The pattern of a declaration, or None."""
    for find in (
        _alias,
        _correlation,
        _transposed_convolution,
        _pool,
        _elementwise,
        _copies,
        _norm,
        _softmax,
        _local_response_norm,
    ):
        pattern = find(declaration)
        if pattern is not None:
            return pattern
    return None


def _plain(items: Sequence[Index]) -> list[str | None]:
    """The variable of each index that is a single variable, else None."""
    return [item.variable if isinstance(item, Affine) else None for item in items]


def _terms(item: Index) -> dict[str, int] | None:
    """Coefficients of a purely linear index."""
    if isinstance(item, Affine) and not item.offset and item.divisor == 1 and not item.modulus:
        return dict(item.terms)
    return None


def _product(statement: Statement, declaration: Declaration) -> tuple[Load, Load] | None:
    """(input, weight) of a sum of their product."""
    names = {p.name for p in declaration.parameters}
    match statement.value:
        case Call("mul", (Load() as x, Load() as w)) if (
            statement.reduce == "sum" and x.tensor == "x0" and w.tensor in names and w.tensor == "weight"
        ):
            return x, w
    return None


def _bias(start: Expr | None) -> bool | None:
    """Whether the start is a bias; None if it is another expression."""
    if start is None:
        return False
    return True if isinstance(start, Load) and start.tensor == "bias" else None


def _height_width(maps: Sequence[Any], sizes: Sequence[int]) -> tuple[Any, Any] | None:
    """(height, width) of one or two spatial axes; a lone axis is the width."""
    if len(maps) == 1:
        return Window(1, 1), maps[0]
    return (maps[0], maps[1]) if len(maps) == 2 else None


def _correlation(declaration: Declaration) -> Correlation | None:
    if len(declaration.statements) != 1 or len(declaration.inputs) != 1:
        return None
    (statement,) = declaration.statements
    factors, bias = _product(statement, declaration), _bias(statement.start)
    if factors is None or bias is None:
        return None
    x = factors[0]
    free, reduced = statement.domain.free, statement.domain.reduced
    if "c" not in reduced:
        return None
    channel, maps = -1, []
    for axis, item in enumerate(x.index):
        terms = _terms(item)
        if terms and "c" in terms:
            channel = axis
        elif isinstance(item, Tap):
            if not isinstance(item.map, Window) or item.out not in free:
                return None
            maps.append(item.map)
        elif not (isinstance(item, Affine) and item.variable in free):
            return None
    if channel < 0 or set(reduced) - {"c"} != {i.tap for i in x.index if isinstance(i, Tap)}:
        return None
    order = [i.out if isinstance(i, Tap) else i.variable for a, i in enumerate(x.index) if a != channel]
    if order != [name for a, name in enumerate(_plain(statement.index)) if a != channel]:
        return None
    windows = _height_width(maps, ()) if maps else None
    if maps and (windows is None or channel != 1):
        return None
    return Correlation(channel, free.get("g", 1), reduced["c"], free["k"], windows, bias)


def _transposed_convolution(declaration: Declaration) -> Correlation | None:
    """A convolution's adjoint: the product is scattered through the windows; a bias may follow."""
    first, *rest = declaration.statements or (None,)
    if first is None or len(rest) > 1 or len(declaration.inputs) != 1:
        return None
    factors = _product(first, declaration)
    taps = [i for i in first.index if isinstance(i, Tap)]
    if factors is None or not taps or not all(isinstance(tap.map, Window) for tap in taps):
        return None
    if rest and not (
        isinstance(rest[0].value, Call)
        and rest[0].value.function == "add"
        and [load.tensor for load in walk(rest[0].value)] == [first.target, "bias"]
    ):
        return None
    windows = _height_width([tap.map for tap in taps], ())
    if windows is None:
        return None
    free = first.domain.free
    return Correlation(
        1, free.get("g", 1), first.domain.reduced["c"], free["k"], windows, bool(rest), adjoint=True
    )


def _pool(declaration: Declaration) -> Pool | None:
    first, *rest = declaration.statements or (None,)
    if first is None or not isinstance(first.value, Load) or first.reduce not in ("max", "sum"):
        return None
    x = first.value
    if x.tensor != "x0" or _plain(x.index[:2]) != _plain(first.index[:2]) or len(declaration.inputs) != 1:
        return None
    taps = [i for i in x.index[2:] if isinstance(i, Tap)]
    if len(taps) != len(x.index) - 2 or [tap.out for tap in taps] != _plain(first.index[2:]):
        return None
    maps = _height_width([tap.map for tap in taps], ())
    if maps is None or not all(isinstance(m, Window | Adaptive | Whole) for m in maps):
        return None
    if any(isinstance(m, Window) and m.mode != "zeros" for m in maps):
        return None
    if first.reduce == "max":
        return Pool("max", maps) if not rest and x.outside == -math.inf else None
    match rest:
        case [Statement(value=counted, reduce="sum"), Statement(value=Call("div", (Load("t0"), Load("t1"))))]:
            insides = _insides(counted)
            if insides and len({inside.padded for inside in insides}) == 1:
                return Pool("mean", maps, insides[0].padded)
    return None


def _insides(expr: Expr) -> list[Inside]:
    if isinstance(expr, Inside):
        return [expr]
    if isinstance(expr, Call) and expr.function == "mul":
        return [inside for arg in expr.args for inside in _insides(arg)]
    return []


def _output_variables(statement: Statement, shape: Sequence[int]) -> list[str] | None:
    """The target's variables when the statement fills the whole output, each axis by one variable."""
    names = _plain(statement.index)
    if statement.reduce or None in names or statement.start is not None:
        return None
    variables = [name for name in names if name]
    return variables if [statement.domain.free[name] for name in variables] == list(shape) else None


def _elementwise(declaration: Declaration) -> Elementwise | None:
    if len(declaration.statements) != 1 or len(declaration.outputs) != 1:
        return None
    (statement,) = declaration.statements
    shape = declaration.outputs[0].shape
    names = _output_variables(statement, shape)
    if names is None or not is_elementwise(statement.value):
        return None
    operands: dict[str, str] = {}
    shapes = {f"x{k}": spec.shape for k, spec in enumerate(declaration.inputs)}
    shapes |= {p.name: p.shape for p in declaration.parameters}
    for load in walk(statement.value):
        kind = _broadcast_kind(load, names, shape, shapes[load.tensor])
        if kind is None or operands.get(load.tensor, kind) != kind:
            return None
        operands[load.tensor] = kind
    return Elementwise(statement.value, operands) if operands else None


def is_elementwise(expr: Expr) -> bool:
    """Whether an expression consists of loads, numbers and functions of them alone."""
    if isinstance(expr, Call):
        return all(map(is_elementwise, expr.args))
    return isinstance(expr, Load | Const)


def _broadcast_kind(
    load: Load, names: Sequence[str], shape: Sequence[int], sizes: Sequence[int]
) -> str | None:
    """How an operand is broadcast over the output, with channels on axis 1."""
    variables: list[str] = []
    for item, size in zip(load.index, sizes, strict=True):
        terms = _terms(item)
        if terms == {} and size == 1:
            variables.append("")
        elif (
            isinstance(item, Affine) and item.variable in names and size == shape[names.index(item.variable)]
        ):
            variables.append(str(item.variable))
        else:
            return None
    if variables == list(names):
        return "s"
    if len(variables) == len(names):
        pairs = [(u, n) for u, n in zip(variables, names, strict=True)]
        if any(u not in ("", n) for u, n in pairs):
            return None
        axes = [axis for axis, (u, _) in enumerate(pairs) if u]
        if axes == [0, 1] or (axes == [1] and shape[0] == 1):
            return "i"
        if axes == [axis for axis in range(len(names)) if axis != 1]:
            return "p"
    present = [u for u in variables if u]
    if not present and not load.tensor.startswith("x"):
        return "c1"
    return f"c{names.index(present[0])}" if len(present) == 1 and not load.tensor.startswith("x") else None


def _alias(declaration: Declaration) -> Alias | None:
    if len(declaration.inputs) != 1 or len(declaration.outputs) != 1 or declaration.parameters:
        return None
    x, y = declaration.inputs[0].shape, declaration.outputs[0].shape
    if len(declaration.statements) == 3 and x == y:
        pool = _pool(declaration)
        if pool is not None and pool.reduce == "mean" and all(_trivial(m) for m in pool.maps):
            return Alias("same")
    if len(declaration.statements) != 1:
        return None
    (statement,) = declaration.statements
    value = statement.value
    if not isinstance(value, Load) or statement.reduce or statement.start is not None:
        return None
    source, target = _plain(value.index), _plain(statement.index)
    free = statement.domain.free
    if None not in source and None not in target:
        if [free[v] for v in source if v] != list(x) or [free[v] for v in target if v] != list(y):
            return None
        if source == target:
            return Alias("same")
        return Alias("permute", tuple(source.index(v) for v in target))
    if None not in source and [free[v] for v in source if v] == list(x) and len(y) == 2:
        terms = _terms(statement.index[1])
        if target[0] == source[0] and terms is not None:
            step, strides = 1, {}
            for v in reversed(source[1:]):
                if v and free[v] > 0:
                    strides[v] = step
                    step *= free[v]
            same = {v: k for v, k in terms.items() if free[v] > 1} == {
                v: k for v, k in strides.items() if free[v] > 1
            }
            if same and y[1] == step:
                return Alias("flat")
    return None


def _trivial(m: AxisMap) -> bool:
    if isinstance(m, Adaptive):
        return m.input == m.size
    return isinstance(m, Window) and m.kernel == m.stride == 1 and not m.before and not m.after


def _copies(declaration: Declaration) -> Copies | None:
    pieces = []
    for statement in declaration.statements:
        value = statement.value
        if not isinstance(value, Load) or statement.reduce or statement.start is not None or value.outside:
            return None
        if (
            not value.tensor.startswith("x")
            or len(value.index) != len(statement.index)
            or len(value.index) < 2
        ):
            return None
        if _plain(value.index[:1]) != _plain(statement.index[:1]):
            return None
        free = statement.domain.free
        output = (
            int(statement.target[1:])
            if statement.target[1:].isdigit() and statement.target[0] == "y"
            else None
        )
        if output is None:
            return None
        x, y = declaration.inputs[int(value.tensor[1:])], declaration.outputs[output]
        ends = (_variable_offset(statement.index[1]), _variable_offset(value.index[1]))
        if isinstance(value.index[1], Tap):
            shift = value.index[1].map
            if not isinstance(shift, Shift) or shift.step != 1 or shift.mode != "zeros":
                return None
            if _variable_offset(statement.index[1]) != (value.index[1].out, 0):
                return None
            first = max(shift.before, 0)
            count = min(shift.output - first, x.shape[1] - max(-shift.before, 0))
            span = (max(-shift.before, 0), first, max(count, 0))
        elif ends[0] and ends[1] and ends[0][0] == ends[1][0]:
            span = (ends[1][1], ends[0][1], free[ends[0][0]])
        else:
            return None
        maps = []
        for a, b, n in zip(statement.index[2:], value.index[2:], x.shape[2:], strict=True):
            out = _variable_offset(a)
            if out is None or out[1]:
                return None
            if isinstance(b, Tap) and isinstance(b.map, Shift) and b.out == out[0] and b.map.mode == "zeros":
                maps.append(b.map)
            elif _variable_offset(b) == out:
                maps.append(Shift(n, 0, free[out[0]] - n))
            else:
                return None
        if tuple(m.output for m in maps) != y.shape[2:] or len(maps) not in (0, 1, 2):
            return None
        both = (
            (Shift(1), Shift(1))
            if not maps
            else (Shift(1), maps[0])
            if len(maps) == 1
            else (maps[0], maps[1])
        )
        pieces.append(Copy(int(value.tensor[1:]), output, *span, both))
    return Copies(tuple(pieces)) if pieces else None


def _variable_offset(item: Index) -> tuple[str, int] | None:
    """(variable, offset) of an index that is a variable plus an offset."""
    if isinstance(item, Affine) and len(item.terms) == 1 and item.terms[0][1] == 1:
        return (item.terms[0][0], item.offset) if item.divisor == 1 and not item.modulus else None
    return None


def _norm(declaration: Declaration) -> Norm | None:
    if [s.target for s in declaration.statements] != ["t0", "t1", "y0"] or len(declaration.inputs) != 1:
        return None
    mean, variance, y = declaration.statements
    x0 = next((load for load in walk(mean.value) if load.tensor == "x0"), None)
    axes = None if x0 is None else _reduced_axes(mean, x0)
    match mean.value, y.value:
        case Call("mul", (Load("x0") as x, Const(share))), value if axes is not None:
            pass
        case _:
            return None
    t0, t1 = Load("t0", mean.index), Load("t1", mean.index)
    far = x - t0
    if (
        variance.value != far * far * Const(share)
        or abs(share * math.prod(mean.domain.reduced.values()) - 1) > 1e-6
    ):
        return None
    match value:
        case Call("add", (Call("mul", (inner, Load("weight"))), Load("bias"))):
            scaled = True
        case inner:
            scaled = False
    match inner:
        case Call("div", (top, Call("sqrt", (Call("add", (below, Const(eps))),)))) if (
            top == far and below == t1
        ):
            return Norm(*axes, eps, scaled)
    return None


def _reduced_axes(statement: Statement, x: Load) -> tuple[int, int] | None:
    """(channel axis, groups) of a reduction over one axis at every position, or over groups of channels and space."""
    reduced = statement.domain.reduced
    names = _plain(x.index)
    if len(reduced) == 1 and None not in names:
        (name,) = reduced
        return (names.index(name), 0) if name in names else None
    terms = _terms(x.index[1]) or {}
    if (
        "g" in terms
        and set(terms) == {"g", "c"}
        and set(reduced) == {"c", *names[2:]}
        and None not in names[2:]
    ):
        return 1, statement.domain.free["g"]
    return None


def _local_response_norm(declaration: Declaration) -> LocalResponseNorm | None:
    match declaration.statements:
        case [
            Statement(target="t0", reduce="sum") as total,
            Statement(target="y0", reduce="", start=None) as y,
        ]:
            pass
        case _:
            return None
    match total.value:
        case Call("mul", (Load("x0") as a, Load("x0") as b)) if a == b and len(a.index) > 1:
            tap = a.index[1]
        case _:
            return None
    if not isinstance(tap, Tap) or not isinstance(tap.map, Window) or len(total.domain.reduced) != 1:
        return None
    m = tap.map
    even = (m.stride, m.dilation, m.mode, m.kernel % 2) == (
        1,
        1,
        "zeros",
        1,
    ) and m.before == m.after == m.kernel // 2
    plain = all(None not in _plain(load.index) for load in walk(y.value))
    return LocalResponseNorm(m.kernel, y.value) if even and plain and is_elementwise(y.value) else None


def _softmax(declaration: Declaration) -> Softmax | None:
    if [s.target for s in declaration.statements] != ["t0", "t1", "y0"] or declaration.parameters:
        return None
    top, total, y = declaration.statements
    x = top.value
    if (
        not isinstance(x, Load)
        or top.reduce != "max"
        or len(top.domain.reduced) != 1
        or None in _plain(x.index)
    ):
        return None
    (name,) = top.domain.reduced
    channel = _plain(x.index).index(name)
    t0, t1 = Load("t0", top.index), Load("t1", top.index)
    raised = call("exp", x - t0)
    if total.reduce != "sum" or total.value != raised:
        return None
    if y.value == raised / t1:
        return Softmax(channel, log=False)
    return Softmax(channel, log=True) if y.value == x - t0 - call("log1p", t1 - 1.0) else None
