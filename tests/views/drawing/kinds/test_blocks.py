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


def test_a_unet_is_drawn_as_a_u():
    """What a skip joins stands in one row, the encoder to the left; each row further down is smaller."""
    drawn = read(st.draw("unet", "blocks").svg)
    front = {box.node: box.area for box in drawn.boxes() if box.tag == "rect"}
    bottom = front["down5"].middle[1]
    rows = [(f"down{k}.conv2", f"up{k}") for k in (1, 2, 3, 4)]
    middles = [front[left].middle[1] for left, _ in rows]
    assert middles == sorted(middles) and middles[-1] < bottom
    for left, right in rows:
        row = [line for line in drawn.lines if front[left].left < line.points[0][0] < front[left].right + 60]
        assert abs(front[left].middle[1] - front[right].middle[1]) < 30
        assert front[left].right < front[right].left
        assert any(abs(line.points[-1][0] - front[right].middle[0]) < 60 for line in row)
    said = [text.text for text in drawn.texts]
    assert not [text for text in said if text.startswith(("from", "to up"))]


@pytest.mark.parametrize("name", ["vgg16", "unet", "resnet50"])
def test_rows_are_joined(name):
    """Every arrow begins where a line ends or next to the block before it: none begins in the air."""
    drawn = read(st.draw(name, "blocks").svg)
    heads = [line for line in drawn.lines if len(line.points) == 2]
    turns = [line.points[-1] for line in drawn.lines if len({y for _, y in line.points}) > 3]
    sides = [box.area for box in drawn.boxes()]
    loose = [
        line
        for line in heads
        if line.points[0] not in turns
        and not any(
            area.top < line.points[0][1] < area.bottom and -60 < line.points[0][0] - area.right < 60
            for area in sides
        )
    ]
    assert turns and not loose


def test_cost_is_asked_for():
    colors = {shape.fill for shape in read(st.draw("lenet5", "blocks", theme="light", cost=True).svg).shapes}
    without = {shape.fill for shape in read(st.draw("lenet5", "blocks", theme="light").svg).shapes}
    assert {"#1f6fbf", "#c2570c"} <= colors and not {"#1f6fbf", "#c2570c"} & without
