"""Sums over all pixels of every channel in machine code against numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import filled, guarded, hot_spills, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import channel_sums
from striate.engine.kernels.operands import OperandPlace
from striate.engine.layout import Layout
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
SHAPES = {"s": "nchw", "c": "c", "i": "nc", "p": "nhw", "k": "n", "u": ""}


def run(target, kinds, functions, values, shape, each=0, splits=((), ()), edge=1):
    """For each function its sums, (rows, channels), of operands that broadcast to the shape; nothing is read or
    written beside them."""
    rng = np.random.default_rng(0)
    n, c, h, w = shape
    lanes, kept, places = target.lanes, [], []
    like = Layout(n, c, h, w, lanes)
    for k, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        if kind == "s":
            layout = Layout(n, c, h, w, lanes, 1, k, k * edge, edge)
            kept.append(filled(layout, value, rng, border=np.nan))
            places.append(OperandPlace.of(layout, kept[-1].ctypes.data))
            continue
        if kind in "ic":
            packed = np.zeros((len(value), like.blocks * lanes), np.float32)
            packed[:, :c] = value.reshape(len(value), c)
            strides = 4 * lanes * like.blocks if kind == "i" else 0, 4 * lanes
        else:
            packed, strides = value, (4 * value[0].size, 0, 4 * value.shape[3])
        kept.append(guarded(packed.nbytes, 4))
        kept[-1].view(np.float32)[:] = packed.ravel()
        places.append(OperandPlace(kept[-1].ctypes.data, *strides))
    rows, parts = channel_sums.rows(n, each), like.blocks
    scratch = guarded(channel_sums.scratch_bytes(lanes, len(functions)))
    outputs = [guarded(4 * rows * parts * lanes, 4) for _ in functions]
    arguments = channel_sums.arguments(like, [out.ctypes.data for out in outputs], places, each)
    for part in pairwise(sorted({0, parts, *(cut % parts for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in splits[0])})))):
            step(target, Kernel("channel_sums", (kinds, *functions)), arguments, row, part, scratch)
    found = [out.view(np.float32).reshape(rows, -1) for out in outputs]
    assert all((out[:, c:] == 0).all() for out in found)
    return [out[:, :c] for out in found]


def grouped(value, shape, each):
    """The sum over images, `each` at a time, and pixels; in float64."""
    full = np.broadcast_to(value, shape).sum((2, 3))
    return np.stack([full[k : k + each].sum(0) for k in range(0, len(full), each)])


FUNCTIONS = {
    "a": lambda a, b, c: a,
    "mul(a,a)": lambda a, b, c: a * a,
    "mul(a,sub(b,c))": lambda a, b, c: a * (b - c),
    "where(b,a,0)": lambda a, b, c: np.where(b > 0, a, 0),
    "mul(where(b,a,0),sub(a,c))": lambda a, b, c: np.where(b > 0, a, 0) * (a - c),
}
cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))


@each_target
@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.just("s"), st.sampled_from("sicpku"), st.sampled_from("sicpku")).map("".join),
    st.sampled_from([("a",), ("a", "mul(a,sub(b,c))"), ("where(b,a,0)", "mul(where(b,a,0),sub(a,c))"),
                     ("mul(a,a)", "a", "mul(a,sub(b,c))")]),
    st.integers(0, 9), cuts, st.integers(0, 99), st.integers(0, 1),
)  # fmt: skip
def test_equals_numpy(target, shape, kinds, functions, each, splits, seed, edge):
    rng = np.random.default_rng(seed)
    sizes = dict(zip("nchw", shape, strict=True))
    values = [
        rng.normal(size=[sizes[axis] if axis in SHAPES[kind] else 1 for axis in "nchw"]).astype(np.float32)
        for kind in kinds
    ]
    found = run(target, kinds, functions, values, shape, each, splits, edge)
    wide = [value.astype(np.float64) for value in values]
    for text, sum_ in zip(functions, found, strict=True):
        value = FUNCTIONS[text](*wide)
        size = grouped(np.abs(value), shape, each or shape[0])
        wrong = np.abs(sum_ - grouped(value, shape, each or shape[0]))
        assert (wrong <= 5e-7 * size + 1e-30).all(), text
    for one, other in zip(found, run(target, kinds, functions, values, shape, each, edge=edge), strict=True):
        np.testing.assert_array_equal(one, other)


@each_target
@pytest.mark.parametrize("functions", [("a",), ("a", "mul(a,a)"), ("a", "mul(a,a)", "abs(a)", "sub(a,1)")])
@pytest.mark.parametrize("kind", ["normal", "one sign", "constant"])
def test_many_pixels_are_added_up_accurately(target, functions, kind):
    rng = np.random.default_rng(1)
    shape = (32, target.lanes, 64, 64)
    x = rng.normal(size=shape).astype(np.float32)
    x = {"normal": x, "one sign": np.abs(x), "constant": np.full_like(x, 1.1)}[kind]
    wide = x.astype(np.float64)
    values = {"a": wide, "mul(a,a)": wide**2, "abs(a)": np.abs(wide), "sub(a,1)": wide - 1}
    for text, found in zip(functions, run(target, "s", functions, [x], shape), strict=True):
        value = values[text]
        wrong = np.abs(found[0] - value.sum((0, 2, 3))) / np.abs(value).sum((0, 2, 3))
        assert wrong.max() <= (5e-7 if kind == "constant" else 1e-7)  # equal numbers round the same way


@each_target
def test_many_small_maps_are_added_up_accurately(target):
    x = np.abs(np.random.default_rng(1).normal(size=(4096, 3, 2, 3))).astype(np.float32)
    for edge in (0, 1):
        (found,) = run(target, "s", ["a"], [x], x.shape, edge=edge)
        np.testing.assert_allclose(found[0], x.sum((0, 2, 3), np.float64), rtol=1e-7)


@each_target
@pytest.mark.parametrize(
    ("odd", "kept"), [([np.nan], np.nan), ([np.inf], np.inf), ([np.inf, -np.inf], np.nan)]
)
def test_infinite_and_undefined_numbers_travel(target, odd, kept):
    x = np.ones((3, 5, 9, 9), np.float32)
    for k, value in enumerate(odd):
        x[k, 2, 3, 4 + k] = value
    (found,) = run(target, "s", ["a"], [x], x.shape)
    np.testing.assert_array_equal(found[0], [243, 243, kept, 243, 243])


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("kinds", "functions"),
    [
        ("s", ["a"]), ("sc", ["sub(a,b)", "mul(sub(a,b),sub(a,b))"]), ("ssc", ["a", "mul(a,sub(b,c))"]),
        ("sssc", ["where(b,a,0)", "mul(where(b,a,0),sub(c,d))"]), ("ss", ["mul(a,b)"]),
    ],
)  # fmt: skip
def test_the_inner_loop_keeps_vectors_in_registers(target, kinds, functions):
    assert not hot_spills(llvm.assembly(target, channel_sums.emit(target, kinds, *functions)), tight=True)
