"""Pointwise functions in machine code against numpy in float64: each function, the ops of them, any expression."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, hot_spills, plain, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.derivatives import FUNCTIONS
from striate.engine.kernels import elementwise
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.operands import OperandPlace
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.ops import activation, merge, norm, regularize
from striate.statement import Call, Const, Load, call
from striate.tensor import TensorSpec

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
A, B, C = (Load(name, ()) for name in "abc")


def evaluated(expr, values):
    """The expression in numpy, in float64."""
    if isinstance(expr, Const):
        return np.float64(expr.value)
    if isinstance(expr, Load):
        return values[expr.tensor]
    return FUNCTIONS[expr.function](*(evaluated(arg, values) for arg in expr.args))


def run(target, expression, kinds, values, shape, splits=((), ()), inplace=False, seed=0):
    """Output (images, channels, height, width) of operands broadcast to it; checks that the border stays."""
    rng = np.random.default_rng(seed)
    n, c, h, w = shape
    output = Layout(n, c, h, w, target.lanes, 1, 2, 1, 0)
    lanes, blocks = target.lanes, output.blocks
    kept, places = [], []
    outputs = filled(output, values[0] if inplace else None, rng, border=7.0)

    def place(array, *strides):
        memory = guarded(array.nbytes, 4)
        memory.view(np.float32)[:] = array.ravel()
        kept.append(memory)
        return OperandPlace(memory.ctypes.data, *strides)

    for k, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        if inplace and k == 0:
            places.append(OperandPlace.of(output, outputs.ctypes.data))
        elif kind == "s":
            layout = Layout(n, c, h, w, lanes, 0, k, k, 1)
            kept.append(filled(layout, value, rng))
            places.append(OperandPlace.of(layout, kept[-1].ctypes.data))
        elif kind in "ic":
            packed = np.zeros((len(value), blocks * lanes), np.float32)
            packed[:, :c] = value.reshape(len(value), c)
            places.append(place(packed, 4 * lanes * blocks if kind == "i" else 0, 4 * lanes))
        else:
            places.append(place(value, 4 * value[0].size, 0, 4 * value.shape[3]))
    arguments = elementwise.arguments(output, outputs.ctypes.data, places)
    before = border(output, outputs)
    row_cuts = sorted({0, n * h, *(cut % (n * h) for cut in splits[0])})
    part_cuts = sorted({0, blocks, *(cut % blocks for cut in splits[1])})
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(row_cuts))):
            step(target, Kernel("elementwise", (expression, kinds)), arguments, row, part)
    assert (border(output, outputs) == before).all()
    return plain(output, outputs)


def flat(target, expression, *values):
    """The expression over plain float32 vectors of equal length."""
    size = -(-len(values[0]) // target.lanes)
    padded = [
        np.resize(value, size * target.lanes).reshape(size, target.lanes).T[None, :, None] for value in values
    ]
    kinds = "s" * len(values)
    return run(target, expression, kinds, padded, (1, target.lanes, 1, size))[0, :, 0].T.ravel()[
        : len(values[0])
    ]


# ---------------------------------------------------------------- the functions

SPECIAL = np.array(
    [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-39, -1e-40, 3.4e38, -3.4e38, 2.5e38, 88.7228, 88.7229,
     -87.3, -103.9, -103.98, -104, 2, -2, 0.5, 4, 9, -9.1, -20, 20, 1e-7, -0.99999994],
    np.float32,
)  # fmt: skip


def dense():
    """float32 of every magnitude, and many around 0."""
    rng = np.random.default_rng(3)
    any_bits = rng.integers(0, 2**32, 30000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    any_bits = any_bits[~np.isnan(any_bits)]
    near = [np.linspace(-limit, limit, 20001, dtype=np.float32) for limit in (1, 10, 110)]
    return np.concatenate([SPECIAL, any_bits, *near])


def units(found, expected):
    """Distance in units in the last place of the exact value's float32; 0 where both are the same special value."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = expected.astype(np.float32)
        distance = np.abs(found.astype(np.float64) - expected) / np.spacing(np.abs(rounded)).astype(
            np.float64
        )
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    return np.where(same, 0, np.nan_to_num(distance, nan=np.inf))


@each_target
@pytest.mark.parametrize(
    ("name", "most"),
    [("exp", 1.1), ("expm1", 2), ("log", 1), ("log1p", 2), ("tanh", 3), ("erf", 2),
     ("sqrt", 0), ("abs", 0), ("neg", 0)],
)  # fmt: skip
def test_functions_over_their_whole_range(target, name, most):
    x = dense()
    exact = np.vectorize(math.erf) if name == "erf" else FUNCTIONS[name]
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.float64))
    found = flat(target, f"{name}(a)", x)
    if name == "exp":
        vanished = (found == 0) & (expected < 1.7e-38)
        found[vanished] = expected[vanished]
        assert target.name != "avx512" or (expected[vanished] < 1e-45).all()
    assert units(found, expected).max() <= max(most, 0.51)


@each_target
def test_powers(target):
    base, exponent = (v.ravel().astype(np.float32) for v in np.meshgrid(
        np.concatenate([SPECIAL, np.geomspace(1e-3, 1e3, 31)]), np.concatenate([SPECIAL, np.linspace(-7, 7, 57)])
    ))  # fmt: skip
    with np.errstate(all="ignore"):
        expected = np.power(base.astype(np.float64), exponent.astype(np.float64))
    assert units(flat(target, "pow(a,b)", base, exponent), expected).max() <= 1


@each_target
@pytest.mark.parametrize("divisor", [6.0, 10.0, 7.0, -3.0, 8.0, 1e-3])
def test_division_by_a_constant_rounds_once(target, divisor):
    x = dense()
    x = x[(np.abs(x) > 1e-30) | (x == 0)]
    with np.errstate(all="ignore"):
        expected = x.astype(np.float64) / np.float64(divisor)
    assert units(flat(target, f"div(a,{divisor})", x), expected).max() <= (
        1.3 if target.name == "sse" else 0.52
    )


@each_target
def test_tails_of_gates_do_not_cancel(target):
    x = np.linspace(-40, 40, 20001, dtype=np.float32)
    wide = x.astype(np.float64)
    gelu = wide / 2 * np.vectorize(math.erfc)(-wide * math.sqrt(0.5))
    cases = [
        (activation.Sigmoid(), 1 / (1 + np.exp(-wide)), 3, -40),
        (activation.Silu(), wide / (1 + np.exp(-wide)), 3, -40),
        (activation.Mish(), wide * np.tanh(np.log1p(np.exp(wide))), 5, -40),
        (activation.Gelu(), gelu, 50, -5),
    ]
    for op, expected, most, start in cases:
        error = units(flat(target, expressions.text(op.function(A), {A: "a"}), x), expected)
        assert error[x > start].max() <= most, op.word
        assert error[x > 0].max() <= 5, op.word


# ---------------------------------------------------------------- texts


constants = st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 0.25, 6.0])
unary = st.sampled_from(["neg", "abs", "exp", "expm1", "tanh", "erf"])
binary = st.sampled_from(["add", "sub", "mul", "div", "max", "min"])
trees = st.recursive(
    st.sampled_from([A, B, C]) | constants.map(Const),
    lambda inner: st.one_of(
        st.builds(lambda f, x: call(f, x), unary, inner),
        st.builds(lambda f, x, y: call(f, x, y), binary, inner, inner),
        st.builds(lambda x, y, z: call("where", x, y, z), inner, inner, inner),
        st.builds(lambda x: call("sqrt", call("abs", x)), inner),
        st.builds(lambda x: call("log1p", call("abs", x)), inner),
        st.builds(lambda x: call("log", call("abs", x)), inner),
        st.builds(lambda x: call("tanh", x) + 1, inner),
        st.builds(lambda x: call("erf", x) + 1, inner),
        st.builds(lambda x, p: call("pow", call("abs", x), p), inner, st.sampled_from([0.75, -0.5, 1.5, 2.0, 1.0])),
    ),
    max_leaves=8,
)  # fmt: skip


@given(trees)
def test_text_and_expression_are_one(tree):
    names = {load: load.tensor for load in (A, B, C)}
    text = expressions.text(tree, names)
    assert expressions.parse(text) == tree
    assert text == expressions.text(tree, {name: name for name in "abc"})


@pytest.mark.parametrize("text", ["max(a", "max(a,0)b", "sin(a)", "a b", "max(a,0", ""])
def test_bad_texts_are_refused(text):
    with pytest.raises(ValueError):
        expressions.parse(text)


def conditioned(expr, values):
    """Value, and how far float32 arithmetic may be off: each step's own rounding and what it makes of the others'."""
    if isinstance(expr, Const):
        return np.float64(expr.value), abs(expr.value) * 2.0**-24
    if isinstance(expr, Load):
        return values[expr.tensor], np.zeros(values[expr.tensor].shape)
    args, errors = zip(*(conditioned(arg, values) for arg in expr.args), strict=True)
    function = FUNCTIONS[expr.function]
    value = function(*args)
    error = np.abs(value) * 2.0**-21 + 1e-37
    for k, own in enumerate(errors):
        for sign in (-1, 1):
            moved = function(*(arg + sign * own if j == k else arg for j, arg in enumerate(args)))
            error = error + np.abs(moved - value)
    if expr.function in ("erf", "tanh"):
        error = error + 2e-7
    return value, error


@each_target
@settings(max_examples=60)
@given(trees, st.integers(0, 99))
def test_any_expression_equals_numpy(target, tree, seed):
    values = {name: np.random.default_rng([seed, k]).normal(size=64) * 2 for k, name in enumerate("abc")}
    values = {name: value.astype(np.float32).astype(np.float64) for name, value in values.items()}
    text = expressions.text(tree, {load: load.tensor for load in (A, B, C)})
    found = flat(target, text, *(value.astype(np.float32) for value in values.values()))
    with np.errstate(all="ignore"):
        expected, error = (np.broadcast_to(v, 64) for v in conditioned(tree, values))
    # Beyond float32's range, and where float64 itself has lost its way, there is nothing to compare.
    sound = np.isfinite(expected) & np.isfinite(error) & (error < 1e-3 + 1e-3 * np.abs(expected))
    sound &= np.abs(expected) < 1e30
    assert (np.abs(found[sound] - expected[sound]) <= 2 * error[sound]).all(), text


# ---------------------------------------------------------------- geometry and operands

cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))
SHAPES = {"s": "nchw", "c": "c", "i": "nc", "p": "nhw", "k": "n", "u": ""}


@each_target
@settings(max_examples=100)
@given(
    st.integers(1, 4), st.integers(1, 70), st.integers(1, 20), st.integers(1, 20),
    st.lists(st.sampled_from("sicpku"), min_size=1, max_size=3).map("".join),
    cuts, st.booleans(), st.integers(0, 99), st.sampled_from([None, np.nan, np.inf]),
)  # fmt: skip
def test_kinds_and_splits(target, n, c, h, w, kinds, splits, inplace, seed, odd):
    rng = np.random.default_rng(seed)
    sizes = dict(zip("nchw", (n, c, h, w), strict=True))
    values = []
    for kind in kinds:
        shape = tuple(sizes[axis] if axis in SHAPES[kind] else 1 for axis in "nchw")
        values.append(rng.normal(size=shape).astype(np.float32))
    if odd is not None:
        values[0].flat[rng.integers(values[0].size)] = odd
    text = {1: "max(a,mul(a,0.5))", 2: "add(mul(a,b),1)", 3: "add(mul(a,b),c)"}[len(kinds)]
    inplace = inplace and kinds[0] == "s"
    found = run(target, text, kinds, values, (n, c, h, w), splits, inplace)
    with np.errstate(invalid="ignore"):
        named = dict(zip("abc", (v.astype(np.float64) for v in values), strict=False))
        expected = np.broadcast_to(evaluated(expressions.parse(text), named), (n, c, h, w))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, run(target, text, kinds, values, (n, c, h, w)))


@each_target
@pytest.mark.parametrize("channels", [1, 5, 16, 23])
def test_filled_up_lanes_stay_finite(target, channels):
    """Even where the function of what happens to lie there is not."""
    rng = np.random.default_rng(0)
    output = Layout(1, channels, 2, 3, target.lanes)
    inputs, outputs = filled(output, np.zeros((1, channels, 2, 3)), rng), guarded(output.bytes)
    places = [OperandPlace.of(output, inputs.ctypes.data)]
    arguments = elementwise.arguments(output, outputs.ctypes.data, places)
    step(target, Kernel("elementwise", ("exp(mul(a,10))", "s")), arguments, (0, 2), (0, output.blocks))
    assert np.isfinite(outputs.view(np.float32)).all()


# ---------------------------------------------------------------- the ops, from what they declare

SHAPE = (2, 19, 3, 5)
OPS = [
    *(getattr(activation, name)() for name in activation.__all__ if "Softmax" not in name),
    activation.Prelu(channels="each"), activation.Gelu(approximate=True), activation.LeakyRelu(slope=0.3),
    norm.BatchNorm(), regularize.Dropout(), regularize.StochasticDepth(), regularize.LayerScale(init=0.3),
    merge.Add(), merge.Multiply(),
]  # fmt: skip


def kind_of(load, free):
    """Kind of an operand by the loop variables that its index uses."""
    used = {index.variable for index in load.index} - {None}
    return next(kind for kind, axes in zip("scu", (set(free), {"c"}, set()), strict=True) if used == axes)


@each_target
@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.word}-{op}"[:40])
def test_ops_as_declared(target, op):
    rng = np.random.default_rng(5)
    x = TensorSpec.image(SHAPE[1:], SHAPE[0])
    (statement,) = op.declare(*[x] * (op.arity or 3)).statements
    names = expressions.operands(statement.value)
    kinds = "".join(kind_of(load, statement.domain.free) for load in names)
    shapes = {"s": SHAPE, "c": (1, SHAPE[1], 1, 1), "u": (1, 1, 1, 1)}
    values = [rng.normal(size=shapes[kind]).astype(np.float32) * (3 if kind == "s" else 1) for kind in kinds]
    values = [np.abs(v) if load.tensor == "running_var" else v for load, v in zip(names, values, strict=True)]
    text = expressions.text(statement.value, names)
    found = run(target, text, kinds, values, SHAPE)
    named = dict(zip(names.values(), (v.astype(np.float64) for v in values), strict=True))
    expected = np.broadcast_to(evaluated(expressions.parse(text), named), SHAPE)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------- code


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("text", ["max(a,0)", "add(a,b)", "add(mul(a,b),c)"])
def test_short_functions_stay_in_registers(target, text):
    kinds = "scc"[: text.count("b") + text.count("c") + 1]
    assert not hot_spills(llvm.assembly(target, elementwise.emit(target, text, kinds)))


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_function_compiles_everywhere(target):
    for name in expressions.FUNCTIONS:
        arity = (
            3
            if name == "where"
            else 1
            if name in ("neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "erf")
            else 2
        )
        assert llvm.object_code(
            target, elementwise.emit(target, f"{name}({','.join('abc'[:arity])})", "sss"[:arity])
        )


def test_gates_become_one_quotient():
    """x·(tanh(x/2) + 1)/2 = x / (1 + e^-x)."""
    found = expressions.simplify(activation.Silu().function(A))
    assert found == Call("div", (A, Call("exp_neg_plus_one", (A,))))
    half = expressions.simplify(call("mul", activation.Gelu().function(A), 1))
    assert half == Call("gelu", (A,))
