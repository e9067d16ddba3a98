"""Which algorithm a unit runs, and the padding that it reads."""

import dataclasses

import pytest

from engine.plan.support import CONTEXT, correlation, only
from striate.diagnostics import EngineError
from striate.engine.plan.choose import border, has_kernel, kernel_calls
from striate.engine.plan.units import WeightGradient
from striate.geometry import Window

SAME = Window(8, 3, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("text", "algorithms", "pads"),
    [
        ("8x8x16 -> conv 1x1 16", ["direct"], (0, 0, 0, 0)),
        ("8x8x16 -> conv 5x5 16 pad 2", ["direct"], (2, 2, 2, 2)),
        ("56x56x64 -> conv 3x3 64 pad 1", ["F(4x4)"], (1, 1, 1, 1)),
        ("8x8x16 -> dwconv 3x3 pad 1", ["depthwise"], (1, 1, 1, 1)),
        ("8x8x16 -> conv 3x3 16 groups 4 pad 1", ["grouped"], (1, 1, 1, 1)),
        ("32x32x1 -> conv 5x5 6", ["planar"], (0, 0, 0, 0)),
        ("8x8x16 -> conv 3x3 16 pad 1 mode circular", ["nest"], (0, 0, 0, 0)),
        ("8x8x16 -> conv 3x3 18 groups 2 pad 1", ["grouped"], (1, 1, 1, 1)),  # across blocks, by a table
        ("8x8x32 -> conv 5x5 32 groups 2 pad 2", ["direct"], (2, 2, 2, 2)),  # a group is a block
        ("8x8x16 -> tconv 2x2 16 /2", ["direct"] * 4, (0, 0, 0, 0)),
        ("8x8x16 -> maxpool 2", ["max pool"], (0, 0, 0, 0)),
        ("8x8x16 -> avgpool 2 pad 1", ["mean pool"], (0, 0, 0, 0)),  # it counts what is there
        ("8x8x16 -> softmax", ["softmax"], (0, 0, 0, 0)),
        ("8x8x16 -> ln", ["norm"], (0, 0, 0, 0)),
        ("8x8x16 -> lrn 5", ["local norm"], (0, 0, 0, 0)),
        ("8x8x16 -> lrn 35", ["nest", "nest"], (0, 0, 0, 0)),  # wider than three blocks
        ("8x8x16 -> pad 1", ["zeros", "copy"], (0, 0, 0, 0)),
        ("8x8x16 -> upsample 2", ["nest"], (0, 0, 0, 0)),
    ],
)
def test_algorithms(text, algorithms, pads):
    found = only(text)
    assert [call.algorithm for call in kernel_calls(found, CONTEXT)] == algorithms
    assert border(found, CONTEXT) == pads


def test_strict_has_no_transforms():
    strict = dataclasses.replace(CONTEXT, strict=True)
    found = only("56x56x64 -> conv 3x3 64 pad 1", context=strict)
    assert [call.algorithm for call in kernel_calls(found, strict)] == ["direct"]


@pytest.mark.parametrize(
    ("body", "yes"),
    [
        (correlation(), True),
        (correlation(1, 1, (SAME, SAME), groups=16), True),
        (correlation(4, 4, (SAME, SAME), groups=4), True),
        (correlation(24, 24, (SAME, SAME), groups=2), True),
        (correlation(24, 24, (SAME, SAME), groups=2, adjoint=True), False),
        (correlation(16, 16, (SAME, SAME), groups=2, adjoint=True), True),
        (correlation(16, 16, (SAME, Window(8, 3, 1, 1, 1, 1, mode="reflect"))), False),
    ],
)
def test_products_that_a_kernel_finishes(body, yes):
    assert has_kernel(body, 16) is yes


def test_some_kernels_finish_nothing():
    adjoint = correlation(1, 1, (SAME, SAME), groups=20, adjoint=True)
    assert has_kernel(adjoint, 16, bare=True) and not has_kernel(adjoint, 16)
    reflected = correlation(16, 16, (SAME, Window(8, 3, 1, 1, 1, 1, mode="reflect")))
    assert not has_kernel(reflected, 16, bare=True)
    for body, yes in ((correlation(16, 16, (SAME, SAME)), True), (reflected, False)):
        assert has_kernel(WeightGradient(body), 16, bare=True) is yes


def test_it_waits_for_the_border_that_it_reads():
    """Planes have another border than maps in blocks; without that of any kernel, there is none to run."""
    found = only("32x32x1 -> conv 5x5 6 pad 2")
    assert border(found, CONTEXT) == found.inputs[0].root.pads == (2, 3, 2, 0)
    found.inputs[0].root.pads = (2, 2, 2, 2)
    assert border(found, CONTEXT) == (2, 3, 2, 0)
    assert [call.algorithm for call in kernel_calls(found, CONTEXT)] == ["direct"]
    found.inputs[0].root.pads = (0, 0, 0, 0)
    with pytest.raises(EngineError, match="no kernel computes conv1"):
        kernel_calls(found, CONTEXT)
