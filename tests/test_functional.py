"""Single operations on arrays: both engines agree, whatever the shapes, and never with the weights of another call."""

import threading

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import striate
import striate.functional as F
from striate.diagnostics import OpError, StriateError
from striate.engine.target import host
from striate.ops import Add, BatchNorm, Relu, Softmax

pytestmark = pytest.mark.skipif(host() is None, reason="no kernels for this processor")


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def agree(found, wanted, tolerance=1e-5):
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max(initial=0) <= tolerance * max(np.abs(wanted).max(initial=0), 1e-3)


@given(
    st.integers(0, 3), st.sampled_from([1, 2, 3, 17]), st.sampled_from([1, 5, 16]), st.integers(3, 12),
    st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans(),
    st.integers(0, 9),
)  # fmt: skip
def test_a_convolution_is_the_same_on_both_engines(
    n, c, k, size, kernel, stride, pad, dilation, biased, seed
):
    assume(dilation * (kernel - 1) < size + 2 * pad)
    x, w, b = drawn(seed, (n, c, size, size), (k, c, kernel, kernel), (k,))
    asked = (x, w, b if biased else None, stride, pad, dilation)
    agree(F.conv2d(*asked, engine="compiled"), F.conv2d(*asked, engine="numpy"))
    x, w = drawn(seed, (n, k, size, size), (k, c, kernel, kernel))
    if (size - 1) * stride - 2 * pad + dilation * (kernel - 1) > 0:
        found, wanted = (
            F.conv_transpose2d(x, w, stride=stride, padding=pad, dilation=dilation, engine=engine)
            for engine in ("compiled", "numpy")
        )
        agree(found, wanted)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_groups_and_padding_modes(mode):
    x, w = drawn(0, (2, 12, 9, 9), (24, 3, 3, 3))
    found, wanted = (
        F.conv2d(x, w, padding=1, groups=4, padding_mode=mode, engine=engine)
        for engine in ("compiled", "numpy")
    )
    agree(found, wanted)


@pytest.mark.parametrize("shape", [(64, 64, 3, 3), (32, 64, 1, 1), (64, 1, 3, 3)])
def test_equal_shapes_share_a_plan_and_never_weights(shape):
    groups = 64 // shape[1]
    x, *ws = drawn(1, (2, 64, 40, 40), *[shape] * 3)
    for w in (*ws, ws[0], ws[0] * 2):
        b = w.sum((1, 2, 3))
        agree(F.conv2d(x, w, b, groups=groups), F.conv2d(x, w, b, groups=groups, engine="numpy"))
    w = ws[1]
    for _ in range(2):  # the same array, changed in place
        w[: len(w) // 2] = 0
        agree(F.conv2d(x, w, groups=groups), F.conv2d(x, w, groups=groups, engine="numpy"))
        w += 1


def test_results_belong_to_the_caller():
    x, w = drawn(1, (1, 3, 5, 5), (2, 3, 3, 3))
    first = F.conv2d(x, w, engine="compiled")
    kept = first.copy()
    F.conv2d(x, -w, engine="compiled")
    np.testing.assert_array_equal(first, kept)


def test_threads_do_not_mix_their_weights():
    x, *ws = drawn(2, (1, 16, 30, 30), *[(16, 16, 3, 3)] * 4)
    wanted = [F.conv2d(x, w) for w in ws]
    wrong = []

    def work(k):
        for _ in range(50):
            if not np.array_equal(F.conv2d(x, ws[k]), wanted[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_numpy_does():
    x, w = drawn(3, (0, 3, 50, 50), (8, 3, 3, 3))
    assert F.conv2d(x, w, engine="compiled").shape == (0, 8, 48, 48)
    wide = F.conv2d(np.ones((1, 3, 50, 50)), w.astype(np.float64), engine="compiled")
    assert wide.dtype == np.float64  # double precision stays
    with pytest.raises(StriateError, match="no engine"):
        F.conv2d(x, w, engine="cuda")
    with pytest.raises(OpError, match="weight has shape"):
        F.conv2d(np.ones((1, 4, 50, 50), np.float32), w)
    dx, _, _ = F.conv2d_grads(np.ones((1, 3, 5, 5), np.float32), w, np.ones((1, 8, 3, 3), np.float32))
    assert dx.shape == (1, 3, 5, 5)


def test_pools_and_other_operations():
    (x,) = drawn(4, (2, 33, 19, 19))
    for pool in (F.max_pool2d, F.avg_pool2d):
        for asked in ((2,), (3, 2, 1), (3, 3, 0, True)):
            agree(pool(x, *asked, engine="compiled"), pool(x, *asked, engine="numpy"))
    for op in (Relu(), Softmax()):
        (found,), (wanted,) = (F.apply(op, x, engine=engine) for engine in ("compiled", "numpy"))
        agree(found, wanted)
    (twice,) = F.apply(Add(), x, x)
    np.testing.assert_array_equal(twice, 2 * x)
    norm = {
        "weight": np.full(33, 2.0),
        "bias": np.ones(33),
        "running_mean": np.zeros(33),
        "running_var": np.ones(33),
    }
    (normed,) = F.apply(BatchNorm(), x, weights=norm)
    agree(normed.astype(np.float32), 2 * x + 1, 1e-4)


def test_one_and_three_dimensions():
    x, w = drawn(5, (2, 3, 50), (4, 3, 5))
    agree(F.conv2d(x, w, engine="compiled"), F.conv2d(x, w, engine="numpy"))
    x, w = drawn(6, (1, 2, 6, 7, 8), (4, 2, 2, 3, 2))
    agree(F.conv2d(x, w, engine="compiled"), F.conv2d(x, w, engine="numpy"))
    assert striate.functional is F
