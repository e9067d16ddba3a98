"""Scalar expressions as text and as vector code.

A kernel's parameters are ints and strings, so the expression of a statement travels as text:
`mul(a,add(tanh(mul(b,0.5)),1))`, with operands a, b, c… in place of loads. Before code is emitted, forms that are slow
or lose precision by cancellation are rewritten into equal ones:

    1 + tanh(x)   →  2 / (1 + e^-2x)     sigmoid and SiLU become 1 / (1 + e^-x) and x / (1 + e^-x)
    1 + erf(x)    →  erfc(-x)            one polynomial, one power of two, no cancellation at negative x
    tanh(max(x, 0) + log1p(e^-|x|))  →  n / (n + 2), n = e^x·(e^x + 2)      Mish without logarithm
    x·c·d, c / x·d, x / c                one product where it rounds as before
    a·b + c                              rounded once, if the processor has a fused multiply-add
"""

from __future__ import annotations

import functools
import math
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from striate.engine.codegen.emit import Code
from striate.engine.kernels.functions import Functions
from striate.engine.target import Target
from striate.statement import FUNCTIONS, Call, Const, Expr, Load, call, walk

OPERANDS = string.ascii_lowercase

INSTRUCTIONS: Mapping[str, int] = {
    "exp": 14, "expm1": 14, "tanh": 18, "log": 50, "log1p": 22, "sqrt": 4, "div": 4, "pow": 80, "erf": 36,
    "exp_neg_plus_one": 13,
    "erf_plus_one": 26, "gelu": 28, "tanh_softplus": 22, "quotient": 2,
}  # fmt: skip
"""Approximate vector instructions of a function; 1 for all others. Square roots and quotients: cycles of their unit."""


def operands(expr: Expr) -> dict[Load, str]:
    """A letter for each number that the expression loads, in the order of their first use."""
    return dict(zip(dict.fromkeys(walk(expr)), OPERANDS, strict=False))


def text(expr: Expr, names: Mapping[Load, str] | Mapping[str, str]) -> str:
    """The expression over operands named by load or by tensor; KeyError for a load without a name."""
    if isinstance(expr, Load):
        letters: Mapping[Any, str] = names
        return letters[expr if expr in letters else expr.tensor]
    if isinstance(expr, Const):
        return repr(float(expr.value)).removesuffix(".0")
    if isinstance(expr, Call):
        return f"{expr.function}({','.join(text(arg, names) for arg in expr.args)})"
    raise TypeError(
        f"no text for {type(expr).__name__}: a kernel's expression holds calls, constants and loads"
    )


@functools.cache
def parse(source: str) -> Expr:
    """The expression of a text; operands become loads without an index."""
    words = re.findall(r"[a-z0-9_.+-]+|[(),]", source)
    at = 0

    def one() -> Expr:
        nonlocal at
        word, at = words[at], at + 1
        if at < len(words) and words[at] == "(":
            if word not in FUNCTIONS:
                raise ValueError(
                    f"{word!r} in {source!r} is not a scalar function: use one of {', '.join(FUNCTIONS)}"
                )
            args: list[Expr] = []
            while words[at] != ")":
                at += 1
                args.append(one())
            at += 1
            return Call(word, tuple(args))
        return Load(word, ()) if word in OPERANDS else Const(float(word))

    try:
        expr = one()
    except IndexError:
        at = -1
    if at != len(words) or "".join(words) != source:
        raise ValueError(f"{source!r} is not an expression: write it like max(a,0)")
    return expr


def tame(expr: Expr) -> bool:
    """Whether finite inputs always give finite outputs. If not, kernels write 0 to padding lanes."""
    if not isinstance(expr, Call):
        return True
    wild = expr.function in ("exp", "expm1", "log", "log1p", "sqrt", "pow")
    if expr.function == "div":
        wild = not (isinstance(expr.args[1], Const) and expr.args[1].value)
    return not wild and all(map(tame, expr.args))


# ---------------------------------------------------------------- rewriting


@functools.cache
def simplify(expr: Expr) -> Expr:
    """Rewrite into an equal expression that is faster and at least as exact."""
    if not isinstance(expr, Call):
        return expr
    args = tuple(map(simplify, expr.args))
    rule = _RULES.get(expr.function)
    return (rule and rule(*args)) or Call(expr.function, args)


def _constant(expr: Expr) -> float | None:
    return expr.value if isinstance(expr, Const) else None


def _parts(expr: Expr, function: str) -> tuple[Expr, ...]:
    """The arguments of a call of the function, or ()."""
    return expr.args if isinstance(expr, Call) and expr.function == function else ()


def _power_of_two(value: float | None) -> bool:
    return value is not None and abs(math.frexp(value)[0]) == 0.5 and 2.0**-100 <= abs(value) <= 2.0**100


def _add(a: Expr, b: Expr) -> Expr | None:
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value + b.value)
    if _constant(b) == 0:
        return a
    if _constant(b) == 1:
        for (y,) in filter(None, [_parts(a, "tanh")]):
            return call("div", 2, Call("exp_neg_plus_one", (simplify(call("mul", y, 2)),)))
        for (y,) in filter(None, [_parts(a, "erf")]):
            return Call("erf_plus_one", (y,))
    return call("add", a, b)


def _sub(a: Expr, b: Expr) -> Expr | None:
    return _add(a, Const(-b.value)) if isinstance(b, Const) else None


def _mul(a: Expr, b: Expr) -> Expr | None:
    if isinstance(a, Const):
        a, b = b, a
    c = _constant(b)
    if c is None:
        for half, gate in ((a, b), (b, a)):
            for x, h in filter(None, [_parts(half, "mul")]):
                if _constant(h) == 0.5 and _parts(gate, "erf_plus_one") == (call("mul", x, math.sqrt(0.5)),):
                    return Call("gelu", (x,))
        for over, other in ((_parts(b, "div"), a), (_parts(a, "div"), b)):
            if over and _power_of_two(_constant(over[0])):
                return call("div", simplify(call("mul", other, over[0])), over[1])
        return None
    if isinstance(a, Const):
        return Const(a.value * c)
    if c == 1:
        return a
    for x, d in filter(None, [_parts(a, "mul")]):
        if isinstance(d, Const) and (_power_of_two(c) or _power_of_two(d.value)):
            return _mul(x, Const(c * d.value))
    for n, d in filter(None, [_parts(a, "div")]):
        if isinstance(n, Const) and _power_of_two(c):
            return call("div", c * n.value, d)
    return call("mul", a, b)


def _div(a: Expr, b: Expr) -> Expr | None:
    c = _constant(b)
    if c is None:
        return None
    if _power_of_two(c):
        return simplify(call("mul", a, 1 / c))
    return Call("quotient", (a, b)) if 2.0**-60 < abs(c) < 2.0**60 else None


def _neg(a: Expr) -> Expr | None:
    return Const(-a.value) if isinstance(a, Const) else None


def _tanh(a: Expr) -> Expr | None:
    for left, right in filter(None, [_parts(a, "add")]):
        for x, zero in filter(None, [_parts(left, "max")]):
            if _constant(zero) == 0 and right == call("log1p", call("exp", -call("abs", x))):
                return Call("tanh_softplus", (x,))
    return None


def _pow(a: Expr, b: Expr) -> Expr | None:
    # By roots only -0 and -inf come out otherwise: undefined or with their sign.
    c = _constant(b)
    if c is not None and c < 0:
        positive = _pow(a, Const(-c))
        return positive and call("div", 1, positive)
    root = call("sqrt", a)
    return {
        0.25: call("sqrt", root), 0.5: root, 0.75: root * call("sqrt", root), 1.0: a, 2.0: a * a,
    }.get(c) if c is not None else None  # fmt: skip


_RULES: Mapping[str, Callable[..., Expr | None]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "tanh": _tanh, "pow": _pow,
}  # fmt: skip


# ---------------------------------------------------------------- code


def vector(code: Code, source: str, values: Sequence[Any]) -> Any:
    """The value of an expression for vectors of operands a, b, c…"""
    functions = Functions(code)
    results: dict[Expr, Any] = {Load(name, ()): value for name, value in zip(OPERANDS, values, strict=False)}

    def of(expr: Expr) -> Any:
        if isinstance(expr, Const):
            return code.broadcast(expr.value)
        if expr not in results:
            assert isinstance(expr, Call), f"{source} uses more than {len(values)} operands"
            if expr.function == "quotient":
                results[expr] = functions.quotient(of(expr.args[0]), _constant(expr.args[1]) or math.nan)
            elif expr.function == "add" and any(_parts(arg, "mul") for arg in expr.args):
                product, other = sorted(expr.args, key=lambda arg: not _parts(arg, "mul"))
                a, b = _parts(product, "mul")
                results[expr] = code.fma(of(a), of(b), of(other))
            else:
                results[expr] = getattr(functions, expr.function)(*map(of, expr.args))
        return results[expr]

    return of(simplify(parse(source)))


LONG_INSTRUCTIONS = 12
"""Vector instructions from which on one vector's chain of them, each waiting for the one before, fills the
processor's queue: several vectors have to be interleaved to keep its units busy."""
CROWDED_INSTRUCTIONS = 24
"""From here on a function's constants alone fill 16 registers."""


def at_once(target: Target, source: str, loops: int = 1) -> int:
    """Vectors to compute side by side, a power of two: with the constants of a nest of `loops` inner loops they fit
    the registers."""
    if work(source) <= LONG_INSTRUCTIONS:
        return 4
    room = target.registers // target.pieces // loops
    return 1 if room < 32 and work(source) > CROWDED_INSTRUCTIONS else max(room // 8, 1)


def vectors(code: Code, source: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The value for each row of operands. Rows as many as a power of two are computed as one long vector, whose
    pieces LLVM interleaves."""
    if len(rows) == 1 or work(source) <= LONG_INSTRUCTIONS:
        return [vector(code, source, row) for row in rows]
    lanes = code.lanes
    joined = [_joined(code, list(column)) for column in zip(*rows, strict=True)]
    with code.wide(lanes * len(rows)):
        value = vector(code, source, joined)
    return [code.lanes_of(value, range(k * lanes, (k + 1) * lanes)) for k in range(len(rows))]


def _joined(code: Code, parts: list[Any]) -> Any:
    """Vectors one after another."""
    while len(parts) > 1:
        lanes = range(2 * parts[0].type.count)
        parts = [code.shuffle(a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def work(source: str) -> int:
    """Approximate vector instructions of an expression."""
    return sum(INSTRUCTIONS.get(node.function, 1) for node in set(_calls(simplify(parse(source)))))


def _calls(expr: Expr) -> Iterator[Call]:
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from _calls(arg)
