"""Calls without windows: operands by kind, rows and parts."""

import pytest

from engine.plan.support import CONTEXT, buffer, fused, only
from striate.engine.kernels.argument_record import Constant
from striate.engine.plan import elements
from striate.engine.plan.choose import kernel_calls


@pytest.mark.parametrize(
    ("text", "tile", "rows", "parts"),
    [
        ("8x8x20 -> relu", "s", 16, 2),
        ("8x8x20 -> maxpool 2 -> prelu", "sc", 8, 2),
        ("8x8x20 -> softmax", "", 16, 1),  # all channels of a pixel
        ("8x8x20 -> logsoftmax", "log", 16, 1),
        ("8x8x20 -> ln", "pixel", 16, 1),
        ("8x8x20 -> gn 2", "group", 2, 1),  # all pixels of an image
        ("8x8x32 -> gn 2", "group", 2, 2),  # a group is a block
        ("8x8x20 -> lrn 5", "5", 16, 2),
    ],
)
def test_rows_and_parts_of_two_images(text, tile, rows, parts):
    unit = only(text, "prelu1" if "prelu" in text else "", batch=2)
    (call,) = kernel_calls(unit, CONTEXT)
    assert (call.tile, call.rows, call.parts) == (tile, rows, parts)
    assert call.reads == unit.inputs and call.writes == unit.outputs


def test_constants_by_channel_are_packed_once_for_whole_blocks():
    (call,) = kernel_calls(only("8x8x20 -> maxpool 2 -> prelu", "prelu1"), CONTEXT)
    (constant,) = call.record.places(Constant)
    packed = constant.make()
    assert "weight" in constant.key and packed.reshape(-1).tolist() == [0.25] * 20 + [0.0] * 12


def test_a_norm_without_gain_and_bias_has_ones_and_zeros():
    (call,) = kernel_calls(only("8x8x20 -> in"), CONTEXT)
    constants = call.record.places(Constant)
    found = {one.key[2]: one.make().reshape(-1)[:20].tolist() for one in constants}
    assert found == {"weight": [1.0] * 20, "bias": [0.0] * 20}


def test_an_epilogue_that_no_store_does_runs_in_place():
    (unit,) = fused("8x8x20 -> dwconv 3x3 -> silu").units
    unit.outputs[0].lanes = 16
    (call,) = elements.finishing(unit, CONTEXT)
    assert call.reads == call.writes == unit.outputs and call.tile == "s"
    (plain,) = fused("8x8x20 -> dwconv 3x3 -> relu").units
    assert elements.finishing(plain, CONTEXT) == []


def test_one_number_per_image_and_channel_has_no_rows():
    value = buffer(shape=(2, 32, 1, 1))
    one, each = elements.place(value, "i"), elements.place(value, "s")
    assert one != each == elements.place(value, "s")
    assert elements.place(buffer("y"), "s") != each
