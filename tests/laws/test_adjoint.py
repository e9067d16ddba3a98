"""Laws between ops: adjoints, and pairs that undo each other. All by the reference interpreter."""

import itertools

import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st

from striate.diagnostics import StriateError
from striate.engine.numpy_.reference import run
from striate.ops import (
    AvgPool,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    Flatten,
    MaxPool,
    Pad,
    Permute,
    PixelShuffle,
    Reshape,
    Slice,
    Split,
    Upsample,
)
from striate.tensor import SPATIAL, TensorSpec


def apply(op, *inputs, axes="", **weights):
    """The outputs of one op; a single one as itself."""
    specs = [TensorSpec(x.shape, ("N", *(axes or "C" + "".join(SPATIAL[x.ndim - 2])))) for x in inputs]
    outputs = run(op.declare(*specs), list(inputs), weights)
    return outputs[0] if len(outputs) == 1 else outputs


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


images = st.builds(
    random,
    st.integers(1, 2),
    st.sampled_from([2, 4, 6]),
    st.integers(1, 6),
    st.integers(1, 6),
    seed=st.integers(0, 999),
)


# ---------------------------------------------------------------- transposed convolution is the adjoint of convolution
@st.composite
def geometries(draw):
    """A convolution along one to three axes, and its input."""
    rank = draw(st.sampled_from([1, 2, 2, 3]))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    op = {
        "kernel": each(1, 3),
        "stride": each(1, 3),
        "dilation": each(1, 2),
        "groups": draw(st.integers(1, 2)),
    }
    op["padding"] = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    return op, (2, 4, *each(1, 7 if rank < 3 else 4))


@given(geometries(), st.integers(0, 999))
def test_transposed_convolution_is_the_adjoint_of_convolution(geometry, seed):
    """<tconv(y), x> = <y, conv(x)> with one and the same weight array; output padding is conv's remainder."""
    fields, shape = geometry
    conv = Conv(6, bias=False, **fields)
    try:
        declaration = conv.declare(TensorSpec.image(shape[1:], shape[0]))
    except StriateError:
        reject()
    remainder = tuple(window.remainder for window in declaration.windows.values())
    tconv = ConvTranspose(4, bias=False, output_padding=remainder, **fields)
    x, weight = random(*shape, seed=seed), random(*declaration.parameters[0].shape, seed=seed + 1)
    y = random(*declaration.outputs[0].shape, seed=seed + 2)
    back = apply(tconv, y, weight=weight)
    assert back.shape == x.shape
    assert np.isclose((back * x).sum(), (y * apply(conv, x, weight=weight)).sum(), rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------- pairs that undo each other
@given(images, st.sampled_from([{"parts": 2}, {"sizes": (1, -1)}]))
def test_concat_undoes_split(x, fields):
    if "sizes" in fields:
        fields = {"sizes": (1, x.shape[1] - 1)}
    assert np.array_equal(apply(Concat(), *apply(Split(**fields), x)), x)


@given(images, st.data())
def test_concat_undoes_slices_along_any_axis(x, data):
    axis = data.draw(st.sampled_from("CHW"))
    size = x.shape["NCHW".index(axis)]
    if size < 2:
        reject()
    cut = data.draw(st.integers(1, size - 1))
    parts = apply(Slice(axis, stop=cut), x), apply(Slice(axis, start=cut), x)
    assert np.array_equal(apply(Concat(axis), *parts), x)


@given(images, st.permutations("CHW"))
def test_permute_is_undone_by_permute(x, order):
    order = "".join(order)
    there = apply(Permute(order), x)
    assert there.shape[1:] == tuple(x.shape["NCHW".index(axis)] for axis in order)
    assert np.array_equal(apply(Permute("CHW"), there, axes=order), x)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_pixelshuffle_undoes_every_other_pixel(channels, factor, seed):
    """Unshuffled by hand: factor² slices side by side, their channels dealt out."""
    x = random(2, channels, factor * 2, factor * 3, seed=seed)
    slices = [
        apply(Slice("W", start=v, step=factor), apply(Slice("H", start=u, step=factor), x))
        for u, v in itertools.product(range(factor), repeat=2)
    ]
    deep = apply(Concat(), *slices) if factor > 1 else slices[0]
    dealt = apply(ChannelShuffle(factor**2), deep)
    assert np.array_equal(apply(PixelShuffle(factor), dealt), x)


@given(images, st.sampled_from([1, 2]))
def test_channelshuffle_is_undone_by_the_other_count(x, groups):
    there = apply(ChannelShuffle(groups), x)
    assert np.array_equal(apply(ChannelShuffle(x.shape[1] // groups), there), x)


@given(images)
def test_reshape_undoes_flatten(x):
    assert np.array_equal(apply(Reshape(x.shape[1:]), apply(Flatten(), x)), x)


@given(
    images,
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
)
def test_slices_and_crop_undo_pad(x, before, after, mode):
    wide = apply(Pad(((before, after), (0, 0)), mode=mode), x)
    assert np.array_equal(apply(Slice("H", start=before, stop=before + x.shape[2]), wide), x)
    even = apply(Pad(before, mode=mode), x)
    assert np.array_equal(apply(Crop(), even, x), x)


@given(images, st.integers(1, 3))
def test_pooling_undoes_nearest_upsampling(x, scale):
    large = apply(Upsample(scale), x)
    np.testing.assert_allclose(apply(AvgPool(scale), large), x, rtol=1e-12)
    assert np.array_equal(apply(MaxPool(scale), large), x)
    assert np.array_equal(apply(MaxPool(1, stride=scale), large), x)


# ---------------------------------------------------------------- one op as a special case of another
@given(images, st.integers(1, 3), st.integers(1, 3))
def test_average_pooling_is_a_depthwise_convolution_with_equal_weights(x, kernel, stride):
    if kernel > min(x.shape[2:]):
        reject()
    weight = np.full((x.shape[1], 1, kernel, kernel), 1 / kernel**2)
    conv = Conv(None, kernel=kernel, stride=stride, groups="depthwise", bias=False)
    np.testing.assert_allclose(
        apply(conv, x, weight=weight), apply(AvgPool(kernel, stride), x), rtol=1e-9, atol=1e-12
    )


@given(images, st.sampled_from(["zeros", "reflect", "replicate", "circular", "symmetric"]), st.integers(0, 2))
def test_padding_inside_a_convolution_is_padding_before_it(x, mode, pad):
    if min(x.shape[2:]) + 2 * pad < 3:
        reject()
    weight = random(2, x.shape[1], 3, 3)
    inside = apply(Conv(2, kernel=3, padding=pad, mode=mode, bias=False), x, weight=weight)
    before = apply(Conv(2, kernel=3, bias=False), apply(Pad(pad, mode=mode), x), weight=weight)
    np.testing.assert_allclose(inside, before, rtol=1e-12, atol=1e-12)


@given(images)
def test_groups_are_convolutions_of_the_parts(x):
    half = x.shape[1] // 2
    weight = random(4, half, 1, 1)
    whole = apply(Conv(4, kernel=1, groups=2, bias=False), x, weight=weight)
    parts = [
        apply(Conv(2, kernel=1, bias=False), part, weight=w)
        for part, w in zip(np.split(x, 2, 1), np.split(weight, 2))
    ]
    np.testing.assert_allclose(whole, np.concatenate(parts, 1), rtol=1e-12)
