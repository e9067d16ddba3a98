"""Which algorithm a unit runs, and the zeros around a buffer."""

import dataclasses

import pytest

from engine.plan.support import CONTEXT, buffer, correlation, only, unit
from striate.engine.plan.choose import border, has_kernel, steps, zero_border
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
    assert [call.algorithm for call in steps(found, CONTEXT)] == algorithms
    assert border(found, CONTEXT) == pads


def test_strict_has_no_transforms():
    strict = dataclasses.replace(CONTEXT, strict=True)
    found = only("56x56x64 -> conv 3x3 64 pad 1", context=strict)
    assert [call.algorithm for call in steps(found, strict)] == ["direct"]


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


def test_a_border_is_zeroed_by_a_call_that_nobody_waits_for():
    """Of all lines, those above and below included, block by block."""
    value = buffer(shape=(2, 32, 4, 4), pads=(1, 2, 1, 0))
    call = zero_border(unit([], [value]), value, CONTEXT)
    assert (call.algorithm, call.rows, call.parts) == ("border", 2 * 7, 2)
    assert call.only_writes and call.writes == [value] and call.reads == []
