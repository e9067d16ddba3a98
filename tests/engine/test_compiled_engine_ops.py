"""Every op of the registry through the compiled engine, against the numpy engine in float64."""

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from engine.compiled import agree, drawn, images, made, one_op
from engine.kernels.support import targets
from op_cases import RUNNABLE, combinations, entries, fixture, op_of, spec_of
from striate.diagnostics import StriateError
from striate.op import Op
from striate.ops import AvgPool, Conv, ConvTranspose, MaxPool
from striate.tensor import TensorSpec

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

BATCHES = (0, 1, 7)
CHANNELS = (1, 3, 17, 100)
LARGEST = 1_000_000
"""Multiply-adds of an image in samples that a test computes in float64."""


@st.composite
def cases(draw: st.DrawFn, word: str) -> tuple[Op, list[TensorSpec]]:
    """An op of a word and what it reads: channels that fill no block, one and a bit, and many, besides its
    fixture's."""
    ranges = fixture(word)["generate"]
    usual = ranges.get("channels", [1, 2, 3, 4, 6])
    fields = {**ranges.get("fields", {})}
    if isinstance(fields.get("filters"), list):
        fields["filters"] = [*fields["filters"], *CHANNELS]
    return draw(combinations(word, {**ranges, "channels": [*CHANNELS, *usual], "fields": fields}))


def check(op: Op, specs: list[TensorSpec], seed: int = 0, target=None, batches=BATCHES) -> None:
    """One op alone, for some batch sizes in turn, on two threads."""
    net = one_op(op, specs)
    weights = drawn(net, seed)
    program = made(net, weights, threads=2, target=target)
    for size in batches:
        agree(net, weights, images(net, size, seed), program)


@pytest.mark.parametrize("word", RUNNABLE)
@settings(max_examples=5)
@given(data=st.data())
def test_an_op_with_any_fields(word, data):
    op, specs = data.draw(cases(word))
    check(op, specs, data.draw(st.integers(0, 3)))


SAMPLES = [
    pytest.param(word, entry, id=f"{word}-{number}")
    for number, (word, entry) in enumerate(entries("sample"))
    if word in RUNNABLE and entry.get("macs", 0) <= LARGEST
]


@pytest.mark.parametrize(("word", "entry"), SAMPLES)
def test_samples(word, entry):
    """The shapes of real networks, where they are small enough to be computed in float64."""
    specs = [spec_of(shape, entry.get("axes", "")) for shape in entry["inputs"]]
    check(op_of(word, entry), specs, batches=(2,))


@st.composite
def windowed(draw: st.DrawFn) -> tuple[Op, list[TensorSpec]]:
    """A convolution or pooling of 1, 2 or 3 axes: strides beyond the kernel, borders larger than the map, groups."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    sizes = [draw(st.integers(1, {1: 40, 2: 13, 3: 5}[rank])) for _ in range(rank)]
    channels = draw(st.sampled_from([*CHANNELS, 16, 32]))
    small = st.integers(1, 5 if rank < 3 else 3)
    pads = st.sampled_from([0, 1, 2, 3, 11] if rank < 3 else [0, 1, 3])
    kernel, stride = (draw(st.tuples(*[small] * rank)) for _ in range(2))
    if draw(st.integers(0, 3)) == 0:
        stride = tuple(s + 6 for s in stride)
    dilation = draw(st.just(1) | st.tuples(*[st.integers(1, 4)] * rank))
    pad = draw(st.tuples(*[st.tuples(pads, pads)] * rank))
    groups = draw(st.sampled_from([1, 1, *(g for g in (2, 4, channels) if channels % g == 0)]))
    filters = groups * draw(st.sampled_from([1, 2, 3, 17]))
    make = draw(st.sampled_from(["conv", "conv", "tconv", "max", "average"]))
    common = {"kernel": kernel, "stride": stride, "padding": pad}
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular", "symmetric"]))
    try:
        match make:
            case "conv":
                op: Op = Conv(filters, **common, dilation=dilation, groups=groups, mode=mode)
            case "tconv":
                op = ConvTranspose(filters, **{**common, "padding": 0}, dilation=dilation, groups=groups)
            case "max":
                op = MaxPool(**common, dilation=dilation)
            case _:
                op = AvgPool(**common, count_include_pad=draw(st.booleans()))
        spec = spec_of([channels, *sizes])
        declaration = op.declare(spec)
    except StriateError:
        reject()
    if max(s.domain.volume for s in declaration.statements) > LARGEST:
        reject()
    return op, [spec]


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=25)
@given(windowed())
def test_windows_of_any_geometry(target, case):
    check(*case, target=target, batches=(1, 3))
