"""A program takes in weights that were changed in place: afterwards it is the one that is made of them anew."""

import numpy as np
import pytest

import striate
from engine.compiled import drawn, images
from engine.kernels.support import targets
from striate.engine.registry import get_engine

TEXTS = (
    "12x12x1 -> conv 5 6 -> relu -> maxpool 2 -> conv 3 33 bias off -> bn -> relu -> flatten -> fc 10",
    "17x17x16 -> conv 3 64 pad 1 bias off -> bn -> relu -> conv 3 64 pad 1 -> bn -> gap -> flatten -> fc 4",
    "16x16x3 -> conv 3 32 pad 1 -> dwconv 3 pad 1 -> bn -> silu -> conv 1 24 -> gn 4 -> prelu -> softmax",
    "9x9x8 -> conv 3 32 groups 4 -> bn -> bn -> relu -> tconv 3 8 stride 2 -> bn",
)


compiled = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")


@pytest.mark.parametrize(
    "name",
    ["numpy", pytest.param("compiled", marks=compiled), pytest.param("torch", marks=pytest.mark.torch)],
)
@pytest.mark.parametrize("text", TEXTS)
def test_renewed_programs_are_new_ones(text, name):
    net, engine = striate.parse(text), get_engine(name)
    weights = drawn(net)
    program = engine.compile(net, weights, batch=2, threads=2)
    batches = [images(net, size, seed=size) for size in (2, 3)]
    before = [program(x) for x in batches]
    for _ in range(2):
        for array in weights.values():
            array[...] = np.abs(array[::-1]) * np.float32(1.25) + np.float32(0.125)
        program.renew()
        fresh = engine.compile(net, weights, batch=2, threads=2)
        for x, old in zip([*batches, images(net, 5, seed=5)], [*before, None]):
            found = program(x)
            assert np.array_equal(found, fresh(x))
            assert old is None or not np.array_equal(found, old)


@compiled
def test_nothing_grows():
    net = striate.parse(TEXTS[1])
    program = get_engine("compiled").compile(net, drawn(net), batch=2)
    kept = program.plan_for(2, net.outputs)
    tables, packed = len(kept._tables), program._constants.bytes
    for _ in range(3):
        program.renew()
    assert (len(kept._tables), program._constants.bytes) == (tables, packed)
