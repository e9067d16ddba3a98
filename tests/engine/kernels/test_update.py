"""Optimizer steps in machine code against the ones in numpy, and what the kernel does to plain arrays."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import guarded, hot_spills, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import update
from striate.engine.target import TARGETS
from striate.train.optimizers import SGD, Adam, AdamW

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)

# weight a, gradient b, velocity c; lr d, decay e, momentum f
DECAYED = "add(b,mul(e,a))"
VELOCITY = f"add(mul(f,c),{DECAYED})"
SGD_STEP = "vvvuuu", (f"sub(a,mul(d,{VELOCITY}))", VELOCITY)
NESTEROV = "vvvuuu", (f"sub(a,mul(d,add({DECAYED},mul(f,{VELOCITY}))))", VELOCITY)
# weight a, gradient b, first c, second d; step size e, decay f, beta1 g, 1 - beta1 h, beta2 i, 1 - beta2 j,
# √(1 - beta2^t) k, eps l
FIRST, SECOND = "add(mul(g,c),mul(h,{0}))", "add(mul(i,d),mul(j,mul({0},{0})))"
MOVED = f"sub({{1}},div(mul(e,{FIRST}),add(div(sqrt({SECOND}),k),l)))"
KINDS = "vvvv" + "u" * 8
ADAM = KINDS, tuple(text.format("add(b,mul(f,a))", "a") for text in (MOVED, FIRST, SECOND))
# and here f is 1 - lr·decay
ADAMW = KINDS, tuple(text.format("b", "mul(f,a)") for text in (MOVED, FIRST, SECOND))


def arrays(count, number, rng):
    found = [guarded(4 * count, 4).view(np.float32) for _ in range(number)]
    for each in found:
        each[:] = rng.normal(size=count)
    return found


def run(target, kinds, functions, outputs, operands, cuts=()):
    count = len(outputs[0])
    given_ = [each.ctypes.data if kind == "v" else each for kind, each in zip(kinds, operands, strict=True)]
    arguments = update.arguments(count, [each.ctypes.data for each in outputs], given_, kinds)
    rows = update.rows(count)
    for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in cuts)})))):
        step(target, Kernel("update", (kinds, *functions)), arguments, row, (0, 1))


def close(found, expected, size):
    """Within some roundings of numbers of that size."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * 2.0**-24 * size)


@each_target
@settings(max_examples=30)
@given(st.integers(1, 20000), st.lists(st.integers(0, 9), max_size=3), st.integers(0, 99))
def test_several_functions_at_once_in_place(target, count, cuts, seed):
    rng = np.random.default_rng(seed)
    a, b = arrays(count, 2, rng)
    out = guarded(4 * count, 4).view(np.float32)
    wide = a.astype(np.float64), b.astype(np.float64)
    run(target, "vvu", ("add(a,b)", "mul(a,c)", "exp(b)"), (a, b, out), (a, b, 3.0), cuts)
    np.testing.assert_allclose(a, wide[0] + wide[1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(b, wide[0] * 3, rtol=1e-6)
    np.testing.assert_allclose(out, np.exp(wide[1]), rtol=1e-6)


@each_target
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 5e-4])
def test_sgd(target, nesterov, decay):
    rng = np.random.default_rng(0)
    weight, gradient, velocity = arrays(10007, 3, rng)
    velocity[:] = 0
    rule, other = SGD(0.9, nesterov, decay, ["w"]), weight.copy()
    for lr in (0.05, 0.03, 0.01):
        rule.step({"w": other}, {"w": gradient}, lr)
        operands = weight, gradient, velocity, lr, decay, 0.9
        run(target, *(NESTEROV if nesterov else SGD_STEP), (weight, velocity), operands, (1,))
    close(weight, other, 5)
    close(velocity, rule.moments["velocity"]["w"], 10)


@each_target
@pytest.mark.parametrize("rule", [Adam(weight_decay=0.01, decayed=["w"]), AdamW(decayed=["w"])])
def test_adam(target, rule):
    rng = np.random.default_rng(0)
    weight, gradient, first, second = arrays(10007, 4, rng)
    first[:] = second[:] = 0
    rule.moments, rule.steps, other = {name: {} for name in rule.moments}, 0, weight.copy()
    coupled, (beta1, beta2) = type(rule) is Adam, (rule.beta1, rule.beta2)
    for t, lr in enumerate((0.05, 0.03, 0.01), 1):
        rule.step({"w": other}, {"w": gradient}, lr)
        decay = rule.weight_decay if coupled else 1 - lr * rule.weight_decay
        scalars = (
            lr / (1 - beta1**t),
            decay,
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            math.sqrt(1 - beta2**t),
            rule.eps,
        )
        run(target, *(ADAM if coupled else ADAMW), (weight, first, second),
            (weight, gradient, first, second, *scalars), (1,))  # fmt: skip
    close(weight, other, 10)
    close(first, rule.moments["first"]["w"], 5)
    close(second, rule.moments["second"]["w"], 1)


def test_a_number_may_change_in_the_record():
    a, out = np.ones(5, np.float32), np.zeros(5, np.float32)
    arguments = update.arguments(5, [out.ctypes.data], [a.ctypes.data, 2.0], "vu")
    arguments.view(np.float32)[update.number(1, 1)] = 7
    step(targets()[0], Kernel("update", ("vu", "mul(a,b)")), arguments, (0, 1), (0, 1))
    assert (out == 7).all()


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="kinds"):
        update.emit(targets()[0], "vc", "mul(a,b)")


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize(("kinds", "functions"), [SGD_STEP, NESTEROV, ADAM, ADAMW])
def test_everything_compiles_everywhere_and_momentum_stays_in_registers(target, kinds, functions):
    assembly = llvm.assembly(target, update.emit(target, kinds, *functions))
    # Adam's eight numbers and their steps are more than SSE's sixteen half registers hold.
    assert target.registers * target.width // target.lanes < 16 or not hot_spills(assembly, tight=True)
