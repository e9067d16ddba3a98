"""Kind `graph`: boxes along the flow, findings inside them."""

import pytest

import striate as st
from drawn import read
from laws.pictured import SHAPED


def boxes(net, **options):
    drawn = read(st.draw(net, "graph", theme="light", **options).svg)
    return drawn, {box.node: box.area for box in drawn.boxes()}


@pytest.mark.parametrize("direction", ["down", "right"])
def test_what_reads_stands_behind_what_is_read(direction):
    net = SHAPED["unet"]()
    _, area = boxes(net, direction=direction, fold=False)
    for node in net.nodes:
        for value in node.inputs:
            if node.name in area and value in area:
                before, after = area[value], area[node.name]
                assert before.bottom < after.top if direction == "down" else before.right < after.left


def test_a_chain_is_one_straight_column():
    drawn, area = boxes("32x32x3 -> conv 5x5 6 -> relu -> maxpool 2 -> flatten -> fc 10")
    assert len({box.left for box in area.values()}) == 1
    assert all(len(line.points) == 2 for line in drawn.lines)
    assert len(drawn.lines) == len(area) - 1


def test_a_finding_is_inside_its_box():
    drawn, area = boxes("7x7x1 -> conv 3x3 /3")
    (number,) = [text for text in drawn.texts if text.node == "conv1" and text.text == "1"]
    assert number.area.inside(area["conv1"])


def test_every_connection_is_one_line():
    net = SHAPED["dense"]()
    drawn, _ = boxes(net, fold=False)
    assert len(drawn.lines) == sum(
        len(set(node.inputs)) for node in net.nodes if not node.name.startswith("relu")
    )
