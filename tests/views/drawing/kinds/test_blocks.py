"""Kind `blocks`: sides follow sizes; what stands on ways between rows has a row of its own."""

import pytest

import striate as st
from drawn import read
from laws.pictured import SHAPED
from striate.views.drawing.rows import TALL, THICK


def faces(net, **options):
    """Node to width and height of the front face of its block."""
    drawn = read(st.draw(net, "blocks", theme="light", **options).svg)
    return {
        box.node: (box.area.right - box.area.left, box.area.bottom - box.area.top)
        for box in drawn.boxes()
        if box.tag == "rect"
    }


def test_sides_follow_square_roots():
    found = faces("64x64x1 -> conv 1x1 16 -> maxpool 4 -> conv 1x1 4")
    assert found["conv1"] == pytest.approx((THICK, TALL), abs=0.1)
    assert found["maxpool1"] == pytest.approx((THICK, TALL / 2), abs=0.1)  # 16 of 64: half the square root
    assert found["conv2"] == pytest.approx((THICK / 2, TALL / 2), abs=0.1)


def test_a_branch_between_two_rows_is_drawn():
    net = SHAPED["inception"]()
    keys = {"conv6", "conv9", "conv10"}
    assert keys <= faces(net).keys()


def test_what_comes_from_another_row_is_named():
    drawn = read(st.draw(SHAPED["siamese"](), "blocks").svg)
    assert "from gap2, extra" in [text.text for text in drawn.texts if text.node == "concat1"]
    assert "to concat1" in [text.text for text in drawn.texts if text.node == "gap2"]


def test_cost_is_asked_for():
    colors = {shape.fill for shape in read(st.draw("lenet5", "blocks", theme="light", cost=True).svg).shapes}
    without = {shape.fill for shape in read(st.draw("lenet5", "blocks", theme="light").svg).shapes}
    assert {"#1f6fbf", "#c2570c"} <= colors and not {"#1f6fbf", "#c2570c"} & without
