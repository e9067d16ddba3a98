"""Winograd's weights in machine code against the same in numpy's float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.support import guarded, held, hot_spills, step, targets, winograd_weights
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import pack_weights, winograd_pack
from striate.engine.kernels import winograd_sizes as sizes
from striate.engine.kernels.argument_record import table
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
each_size = pytest.mark.parametrize("m", (2, 4))


def packed(target, m, weight, split, strides, channels, outputs, scale=None, turned=False, cuts=(0, 0)):
    """What the kernel makes of weights of any strides."""
    kernel = Kernel("winograd_pack", (m,))
    wide = sum(split) * target.lanes
    frequency = sizes.odd_lines(4 * channels * wide)
    made, data = guarded((m + 2) ** 2 * frequency).view(np.float32), held(weight)
    scratch = guarded(winograd_pack.scratch_bytes(target, m))
    record = winograd_pack.arguments(
        target, pack_weights.panels(split, outputs, channels, strides[0], target.lanes), data.ctypes.data,
        made.ctypes.data, frequency, strides,
        0 if scale is None else table(pack_weights.factors(scale, 1, target.lanes)), turned,
    )  # fmt: skip
    row, part = cuts[0] % (channels + 1), cuts[1] % (len(split) + 1)
    for rows in ((row, channels), (0, row)):
        for parts in ((0, part), (part, len(split))):
            step(target, kernel, record, rows, parts, scratch)
    return made


@each_target
@each_size
@given(
    outputs=st.integers(1, 70),
    channels=st.integers(1, 40),
    most=st.integers(1, 4),
    scaled=st.booleans(),
    turned=st.booleans(),
    cuts=st.tuples(*[st.integers(0, 99)] * 2),
)
def test_weights_are_those_of_numpy(target, m, outputs, channels, most, scaled, turned, cuts):
    """Forward, and as the gradient by the input wants them; the division into tasks changes no bit."""
    rng, lanes = np.random.default_rng(outputs), target.lanes
    vectors = -(-outputs // lanes)
    split = [most] * (vectors // most) + [vectors % most] * (vectors % most > 0)
    scale = rng.uniform(0.5, 2, outputs) if scaled else None
    strides = (36, 36 * outputs) if turned else (36 * channels, 36)
    shape = (channels, outputs, 3, 3) if turned else (outputs, channels, 3, 3)
    weight = rng.standard_normal(shape).astype(np.float32)
    plain = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if turned else weight
    if scaled:
        plain = plain * scale.reshape(-1, 1, 1, 1)
    given = (target, m, weight, split, strides, channels, outputs, scale, turned)
    found = packed(*given, cuts)
    wanted = winograd_weights(m, np.asarray(plain, np.float32), target, split)
    # The oracle rounds scaled weights before it transforms them.
    limit = 2e-7 * np.abs(plain).max() * 2 if scaled else 1e-14
    np.testing.assert_allclose(found, wanted, rtol=1.2e-7, atol=limit)
    assert (found[wanted == 0] == 0).all()  # lanes without an output, and what lies between frequencies
    assert (found == packed(*given)).all()


@each_target
@each_size
def test_what_is_no_number_stays_in_its_own_kernel(target, m):
    weight = np.ones((20, 5, 3, 3), np.float32)
    weight[3, 2, 1, 1], weight[19, 4, 0, 0] = np.nan, np.inf
    vectors = -(-20 // target.lanes)
    made = packed(target, m, weight, [vectors], (180, 36), 5, 20).reshape((m + 2) ** 2, -1)
    made = made[:, : 5 * vectors * target.lanes].reshape(len(made), 5, -1)
    bad = np.argwhere(~np.isfinite(made).all(0))
    assert bad.tolist() == [[2, 3], [4, 19]]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@each_size
def test_transforms_keep_to_registers(target, m):
    found = hot_spills(llvm.assembly(target, Kernel("winograd_pack", (m,)).text(target)))
    assert not [line for line in found if line.startswith("st") or line.endswith("(%rsp)")]
