"""Noise by counting: the published numbers, and the same ones from machine code in any division."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.kernels.support import guarded, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import dropout_mask as kernel
from striate.engine.numpy_ import philox
from striate.engine.target import TARGETS
from striate.op import Noise

KNOWN = {
    "00000000 00000000 00000000 00000000 00000000 00000000": "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff": "408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0": "d16cfe09 94fdcceb 5001e420 24126ea1",
}
"""Counter and key, and what comes of them. Source: Random123, kat_vectors, philox4x32 with 10 rounds."""


@pytest.mark.parametrize("given_", KNOWN)
def test_the_published_numbers_come_out(given_):
    words = [int(word, 16) for word in given_.split()]
    found = philox.philox([np.array([word]) for word in words[:4]], (words[4], words[5]))
    assert " ".join(f"{int(word[0]):08x}" for word in found) == KNOWN[given_]


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=25)
@given(
    some.integers(1, 9000), some.sampled_from([0.0, 0.1, 0.5, 1.0]), some.integers(0, 300),
    some.tuples(*[some.integers(0, 2**32 - 1)] * 2), some.integers(0, 200),
)  # fmt: skip
def test_machine_code_draws_the_same(target, count, rate, place, key, cut):
    rows = kernel.rows(count)
    room = guarded(4 * kernel.GROUP_NUMBERS * rows)
    record = kernel.arguments(room.ctypes.data, rate, place)
    record[kernel.KEY // 8 :] = key
    for first, end in ((cut % rows, rows), (0, cut % rows)):
        step(target, Kernel("dropout_mask"), record, (first, end), (0, 1))
    wanted = philox.noise(Noise("r", (count,), rate), key, place)
    assert (room.view(np.float32)[:count] == wanted).all()


def test_shares_are_as_asked_and_every_draw_is_its_own():
    shape = (50, 40, 50)
    made = [philox.noise(Noise("r", shape, 0.3), key, place) for key in ((1, 2), (1, 3)) for place in (0, 1)]
    kept = [(noise > 0).reshape(-1) for noise in made]
    for one in kept:
        assert abs(one.mean() - 0.7) < 4 * (0.21 / one.size) ** 0.5
    together = np.corrcoef(kept) - np.eye(4)
    assert abs(together).max() < 5 / one.size**0.5
    np.testing.assert_allclose(made[0].max(), 1 / 0.7, rtol=1e-6)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_it_compiles_everywhere(target):
    assert llvm.assembly(target, kernel.emit(target))
