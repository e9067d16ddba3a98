"""Buffers: sizes by role, and where an alias lies; units: what is folded, clamped and read."""

import math

import numpy as np

from engine.plan.support import buffer, unit
from striate.engine.plan.units import Buffer
from striate.statement import load


def test_sizes_by_role():
    value = Buffer("v", (2, 3, 5, 7, 11), "ncdhw")
    assert (value.images, value.channels, value.height, value.width) == (2, 3, 35, 11)
    moved = Buffer("m", (2, 7, 11, 3), "nhwc")
    assert (moved.channels, moved.height, moved.width) == (3, 7, 11)
    assert Buffer("row", (4, 9), "nc").height == 1


def test_an_alias_lies_in_its_root():
    """Channels 32 to 48 of 64, which are a part of channels 16 to 80 of 96."""
    root = buffer("root", (2, 96, 4, 4), pads=(1, 1, 1, 1))
    middle = buffer("middle", (2, 64, 4, 4), lanes=0, home=root, offset=16)
    part = buffer("part", (2, 16, 4, 4), lanes=0, home=middle, offset=32)
    assert part.root is root and part.first == 48
    assert part.begin == 3 * root.layout.block
    assert part.layout.channels == 16 and part.layout.pads == (1, 1, 1, 1)
    assert part.layout.image == root.layout.image == 6 * part.layout.block


def test_a_flattened_buffer_knows_its_shape():
    image = buffer("image", (1, 16, 4, 4))
    same = buffer("same", (1, 16, 4, 4), lanes=0, home=image)
    flat = Buffer("flat", (1, 256), "nc", home=same, flat=True)
    assert flat.shaped is same and flat.root is image and same.shaped is same


def test_only_the_program_owns_what_is_inside():
    assert buffer(is_input=True).outside and buffer(is_result=True).outside and not buffer(keep=True).outside


def test_folds_are_done_one_after_another():
    """2·x + 1, then 3·that + [4, 8]."""
    x, y = buffer(shape=(1, 2, 4, 4)), buffer("y", (1, 2, 4, 4))
    made = unit([x], [y])
    assert made.scaling is None
    made.folds.append((load("a") * 2.0 + 1.0, "a", {}))
    made.folds.append((load("a") * 3.0 + load("b"), "a", {"b": np.array([4.0, 8.0])}))
    scale, shift = made.scaling
    assert scale.tolist() == [6, 6] and shift.tolist() == [7, 11]


def test_what_a_unit_says_of_itself():
    x, y, other = buffer(), buffer("y"), buffer("other")
    made = unit([x], [y], nodes=["conv1", "bn1"])
    assert made.name == "conv1 + bn1" and made.reads == [x] and not made.clamped
    made.residual, made.low = other, 0.0
    assert made.reads == [x, other] and made.clamped
    made.low, made.high = -math.inf, 6.0
    assert made.clamped
