"""Which nodes are computed together, and what that does to the unit."""

import math

import pytest

from engine.plan.support import fused
from striate.engine.plan.computation import Correlation, Pool
from striate.engine.plan.units import GenericNest
from striate.network import Builder
from striate.ops import Add, Conv, Multiply, Relu, Sigmoid


def names(made):
    return [unit.name for unit in made.units]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("8x8x3 -> conv 3x3 4 -> bn -> relu", ["conv1 + bn1 + relu1"]),
        ("8x8x3 -> conv 3x3 4 -> relu -> bn", ["conv1 + relu1", "bn1"]),  # scaled before the clamp only
        ("8x8x3 -> conv 3x3 4 -> silu -> relu", ["conv1 + silu1", "relu1"]),
        ("8x8x3 -> conv 3x3 4 -> relu -> relu6", ["conv1 + relu1 + relu61"]),
        ("8x8x3 -> conv 3x3 4 -> dropout -> relu", ["conv1 + relu1"]),  # an alias costs nothing
        ("8x8x3 -> maxpool 2 -> relu", ["maxpool1", "relu1"]),
        ("8x8x3 -> bn -> relu -> affine 2 1", ["bn1 + relu1 + affine1"]),
        ("8x8x3 -> bn -> silu", ["bn1", "silu1"]),  # its operand stands twice: it would be computed twice
        ("8x8x3 -> relu -> silu", ["relu1", "silu1"]),
        ("8x8x3 -> conv 3x3 4 -> flatten -> relu", ["conv1", "relu1"]),
        ("8x8x3 -> conv 3x3 4 -> relu -> flatten -> fc 2", ["conv1 + relu1", "fc1"]),
    ],
)
def test_units(text, units):
    assert names(fused(text)) == units


def test_a_requested_value_is_not_fused_away():
    text = "8x8x3 -> conv 3x3 4 -> bn -> relu"
    assert names(fused(text, keep=["bn1", "relu1"])) == ["conv1 + bn1", "relu1"]
    assert names(fused(text, keep=["conv1", "relu1"])) == ["conv1", "bn1 + relu1"]


def test_what_two_read_is_not_fused_away():
    b = Builder("two", (3, 8, 8))
    x = b(Conv(4, 3), b.input, name="conv")
    made = fused(b.build(b(Add(), b(Relu(), x, name="relu"), b(Sigmoid(), x, name="sigmoid"), name="sum")))
    assert names(made)[0] == "conv" and "conv" not in " ".join(names(made)[1:])


@pytest.mark.parametrize(
    ("text", "limits", "folds"),
    [
        ("8x8x3 -> conv 3x3 4 -> relu", (0, math.inf), 0),
        ("8x8x3 -> conv 3x3 4 -> relu6", (0, 6), 0),
        ("8x8x3 -> conv 3x3 4 -> clip low -1 high 1 -> relu", (0, 1), 0),
        ("8x8x3 -> conv 3x3 4 -> bn", (-math.inf, math.inf), 1),
        ("8x8x3 -> conv 3x3 4 -> bn -> affine 2 1 -> relu", (0, math.inf), 2),
    ],
)
def test_limits_and_folds(text, limits, folds):
    (unit,) = fused(text).units
    assert isinstance(unit.body, Correlation)
    assert ((unit.low, unit.high), len(unit.folds)) == (limits, folds)


def test_limits_without_a_common_number_stay_two_clamps():
    first, second = fused("8x8x3 -> conv 3x3 4 -> clip low 2 high 3 -> clip low 0 high 1").units
    assert (first.name, first.low, first.high) == ("conv1 + clip1", 2, 3)
    assert second.name == "clip2"


def residual(order, op=Add, **shape):
    """A sum of a convolution and a map, in either order; the convolution is the later one."""
    b = Builder("residual", (4, 8, 8))
    skip = b(Relu(), b.input, name="skip")
    x = b(Conv(4, 3, padding=1, **shape), skip, name="conv")
    return fused(b.build(b(op(), *((x, skip) if order else (skip, x)), name="sum")))


@pytest.mark.parametrize("order", [False, True])
def test_a_residual_is_added_in_the_store(order):
    made = residual(order)
    assert names(made) == ["skip", "conv + sum"]
    assert made.units[1].residual is made.values["skip"]


def test_a_product_is_no_residual():
    assert names(residual(True, Multiply)) == ["skip", "conv", "sum"]


def test_a_value_added_to_itself_is_no_residual():
    b = Builder("twice", (4, 8, 8))
    x = b(Conv(4, 3), b.input, name="conv")
    made = fused(b.build(b(Add(), x, x, name="sum")))
    assert names(made) == ["conv", "sum"]


def test_patterns_that_a_permutation_takes_away():
    """Channels are read where they are; a norm over another axis than the channels is a loop nest."""
    conv, norm = fused("8x7x3 -> permute HCW -> ln").units, fused("8x8x3 -> maxpool 2").units
    assert isinstance(conv[-1].body, GenericNest) and isinstance(norm[0].body, Pool)


def test_a_flattened_map_is_an_alias_only_where_it_has_positions():
    made = fused("4x4x8 -> maxpool 2 -> flatten -> fc 3")
    flat, pooled = made.values["flatten1"], made.values["maxpool1"]
    assert flat.home is pooled and flat.flat
    single = fused("4x4x8 -> gap -> flatten -> fc 3").values["flatten1"]
    assert single.home is not None and not single.flat


def test_units_run_where_their_last_node_stands():
    b = Builder("order", (4, 8, 8))
    x = b(Conv(4, 1), b.input, name="conv")
    y = b(Relu(), b.input, name="other")
    made = fused(b.build(b(Add(), x, y, name="sum")))
    assert names(made) in (["other", "conv + sum"], ["conv", "other + sum"])
    assert [unit.order for unit in made.units] == sorted(unit.order for unit in made.units)
