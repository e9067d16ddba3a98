"""Blocks turned into planes with zeros around them against numpy indexing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import filled, guarded, plain, step, targets, view
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import planar_conv, to_planes
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.geometry import Window


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 40),
    st.data(),
    st.integers(0, 99),
)
def test_planes_are_those_of_numpy(target, images, channels, height, width, data, seed):
    rng, small = np.random.default_rng(seed), st.integers(0, 4)
    both = tuple(Window(n, 5, 1, 1, data.draw(small), 4 + data.draw(small)) for n in (height, width))
    x = rng.standard_normal((images, channels, height, width)).astype(np.float32)
    source = Layout(images, channels, height, width, target.lanes, 1, 0, 2, 1)
    to = Layout(images, channels, height, width, 1).with_border(*planar_conv.padding(target, both, 2))
    inputs, outputs = filled(source, x, rng, border=np.nan), guarded(to.bytes)
    outputs.view(np.float32)[:] = np.nan
    arguments = to_planes.arguments(target, source, to, (inputs.ctypes.data, outputs.ctypes.data))
    units = images * height // to_planes.unit(target, width, height)
    cut, block = data.draw(st.integers(0, units)), data.draw(st.integers(0, source.blocks))
    for lot in ((cut, units), (0, cut)):
        for share in ((block, source.blocks), (0, block)):
            step(target, Kernel("to_planes"), arguments, lot, share)
    np.testing.assert_array_equal(plain(to, outputs), x)
    view(to, outputs)[:] = 0
    assert not outputs.any()


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_target_has_code(target):
    text = llvm.assembly(target, to_planes.emit(target))
    assert "kernel:" in text and "call" not in text.split()
