"""Gradients of every op on generated fields and shapes: differences, the adjoint identity; forward: the interpreter."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings

from exhaustive import EXHAUSTIVE
from op_cases import RUNNABLE, cases, fixture, op_of
from striate.engine.numpy_ import reference
from striate.engine.numpy_.vectorized import backward, forward
from striate.op import Trait

LINEAR = [
    word
    for word in RUNNABLE
    if any(Trait.LINEAR in op_of(word, entry).traits for entry in fixture(word)["sample"])
]
LARGEST = 20_000
EXAMPLES = settings(max_examples=50 if EXHAUSTIVE else 25)


def outputs(case, inputs=None, weights=None):
    inputs, weights = inputs or case.inputs, weights or case.weights
    tape = forward(case.declaration, inputs, weights)
    return tape, [tape.tensors[f"y{k}"] for k in range(len(case.declaration.outputs))]


def small(case) -> bool:
    return max(s.domain.volume for s in case.declaration.statements) <= LARGEST


def directions(case, made, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(y.shape) for y in made], rng


def dot(ys, gs):
    return sum(float((y * g).sum()) for y, g in zip(ys, gs, strict=True))


@pytest.mark.parametrize("word", RUNNABLE)
def test_forward_is_the_interpreters(word):
    @EXAMPLES
    @given(cases(word))
    def agrees(case):
        assume(small(case))
        _, made = outputs(case)
        with np.errstate(all="ignore"):
            wanted = reference.run(case.declaration, case.inputs, case.weights)
        for y, want in zip(made, wanted, strict=True):
            np.testing.assert_allclose(y, want, rtol=1e-10, atol=1e-10)

    agrees()


@pytest.mark.parametrize("word", RUNNABLE)
def test_gradients_are_those_of_differences(word):
    @EXAMPLES
    @given(cases(word))
    def agrees(case):
        assume(small(case))
        tape, made = outputs(case)
        assume(all(np.isfinite(y).all() and np.abs(y).max(initial=0) < 1e4 for y in made))
        upstream, rng = directions(case, made)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = backward(tape, upstream)
        assert all(found[f"x{k}"].shape == x.shape for k, x in enumerate(case.inputs))
        for name, gradient in found.items():
            if not np.isfinite(gradient).all():
                continue  # the root of an empty sum has no slope
            way = rng.standard_normal(gradient.shape)

            def moved(step, name=name, way=way):
                inputs = [x + step * way if name == f"x{k}" else x for k, x in enumerate(case.inputs)]
                weights = {k: w + step * way if k == name else w for k, w in case.weights.items()}
                return dot(outputs(case, inputs, weights)[1], upstream)

            slopes = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-5, 2e-6)]
            # At a kink the two disagree, and there is no slope to compare with.
            if abs(slopes[0] - slopes[1]) <= 1e-4 * (1 + abs(slopes[1])):
                assert float((gradient * way).sum()) == pytest.approx(slopes[0], rel=1e-4, abs=1e-4), name

    agrees()


@pytest.mark.parametrize("word", LINEAR)
def test_backward_is_the_adjoint(word):
    """<f(x) - f(0), dy> = <x, dx>, for every op that is linear in its inputs together."""

    @EXAMPLES
    @given(cases(word))
    def agrees(case):
        assume(small(case) and Trait.LINEAR in case.op.traits)
        tape, made = outputs(case)
        _, nothing = outputs(case, [np.zeros_like(x) for x in case.inputs])
        upstream, _ = directions(case, made)
        found = backward(tape, upstream)
        left = dot([y - z for y, z in zip(made, nothing, strict=True)], upstream)
        right = dot(case.inputs, [found[f"x{k}"] for k in range(len(case.inputs))])
        assert right == pytest.approx(left, rel=1e-9, abs=1e-9)

    agrees()
