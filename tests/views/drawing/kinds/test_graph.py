"""Kind `graph`: boxes along the flow, findings inside them."""

import pytest

import striate as st
from drawn import read
from laws.pictured import SHAPED, dense, inception, residual, unet
from striate.ops import Add, Concat, Conv, ConvTranspose, MaxPool, Upsample
from striate.views.drawing.kinds.graph import MAX_PIXELS_ALONG
from striate.views.drawing.pieces import MAX_CROSSING, pieces


def boxes(net, **options):
    drawn = read(st.draw(net, "graph", theme="light", **options).svg)
    return drawn, {box.node: box.area for box in drawn.boxes()}


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize(
    "net", [SHAPED["siamese"](), inception(1), residual(2), unet(1)], ids=lambda net: net.name
)
def test_what_reads_stands_behind_what_is_read(net, direction):
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
    net = dense(4)
    drawn, _ = boxes(net, fold=False)
    assert len(drawn.lines) == sum(
        len(set(node.inputs)) for node in net.nodes if not node.name.startswith("relu")
    )


@pytest.mark.parametrize("direction", ["down", "right"])
def test_a_long_graph_goes_on_next_to_itself(direction):
    text = "64x64x3 -> " + " -> ".join(f"conv 3x3 {4 + k} pad 1" for k in range(30))
    drawn, area = boxes(text, direction=direction)
    limit = MAX_PIXELS_ALONG[direction]
    tall = direction == "down"
    columns = {}
    for name, box in area.items():
        columns.setdefault(box.left if tall else round(box.middle[1]), []).append(name)
    assert len(columns) > 1
    assert (drawn.height if tall else drawn.width) < limit * 1.5
    assert len(drawn.lines) == len(area) - 1
    order = ["input", *(f"conv{k}" for k in range(1, 31))]
    assert [name for column in columns.values() for name in column] == order


def test_a_value_that_is_read_far_away_is_repeated_by_its_name_next_to_its_reader():
    b = st.Builder("skip", input=(4, 8, 8))
    x = b(Conv(4, kernel=1), b.input, name="early")
    y = x
    for k in range(30):
        y = b(Conv(4 + k, kernel=1), y)
    net = b.build(b(Add(), x, b(Conv(4, kernel=1), y), name="late"))
    drawn, area = boxes(net)
    assert drawn.height < 1.5 * MAX_PIXELS_ALONG["down"]
    again = [box for box in drawn.boxes() if box.node == "early"]
    assert len(again) == 2  # where it is computed, and where it is read
    assert 0 < area["late"].top - again[1].area.bottom < 100
    assert len(drawn.lines) == sum(len(node.inputs) for node in net.nodes)


@pytest.mark.parametrize("blocks", [4, 24])
def test_where_more_values_reach_over_than_are_repeated_a_graph_is_not_cut(blocks):
    """In a dense block of 24 layers every layer is read to the end: nowhere inside can it be cut."""
    net = dense(blocks)
    names = dict.fromkeys(net.inputs, ()) | {node.name: node.inputs for node in net.nodes}
    found = pieces(names, dict.fromkeys(names, (70.0, 130.0)), 500.0)
    assert all(len(piece.again) <= MAX_CROSSING for piece in found)
    assert [key for piece in found for key in piece.reads if key not in piece.again] == list(names)


def test_a_box_that_several_read_is_repeated_by_name():
    drawn, area = boxes("resnet18")
    names = [text.node for text in drawn.texts if text.text == "layer1.1.add"]
    assert names == ["layer1.1.add"] * 2
    assert len({round(box.left) for box in area.values()}) > 3
    assert "\0" not in "".join(filter(None, drawn.nodes))


@pytest.mark.parametrize("direction", ["down", "right"])
def test_a_unet_is_a_u(direction):
    """Each size of image is a row: the left half, the connection straight to the right one; the next row below it."""
    drawn, area = boxes("unet", direction=direction)
    place = {key: box.middle if direction == "down" else box.middle[::-1] for key, box in area.items()}
    for level in range(1, 5):
        row = [
            f"down{level}.conv1",
            f"down{level}.conv2",
            f"up{level}.crop",
            f"up{level}.concat",
            f"up{level}.conv2",
        ]
        across = [place[key][1] for key in row]
        assert max(across) - min(across) < 0.3  # one line
        assert sorted(row, key=lambda key: place[key][0]) == row
        assert all(place[f"down{level + 1}.conv1"][1] > place[key][1] for key in (*row, f"up{level}.tconv"))
    assert len(drawn.boxes()) == len(area)  # none is repeated
    straight = {"down1.conv2", "up1.crop"}
    (skip,) = (
        line for line in drawn.lines
        if straight == {key for key, box in area.items() for x, y in (line.points[0], line.points[-1])
                        if box.left - 1 <= x <= box.right + 1 and box.top - 1 <= y <= box.bottom + 1}
    )  # fmt: skip
    assert len(skip.points) == 2
    assert max(drawn.width, drawn.height) < 1500


def test_a_graph_with_a_connection_that_fits_in_no_u_goes_on_in_columns():
    b = st.Builder("no u", input=(3, 64, 64))
    x = b.input
    kept = []
    for k in range(4):
        x = b(Conv(4 + k, kernel=3, padding=1), b(Conv(4 + k, kernel=3, padding=1), x))
        kept.append(x)
        x = b(MaxPool(2), x)
    for k in reversed(range(4)):
        x = b(Concat(), kept[k], b(ConvTranspose(4, kernel=2, stride=2), x))
        x = b(Conv(4, kernel=3, padding=1), b(Conv(4, kernel=3, padding=1), x))
    across = b(Concat(), x, b(Upsample(2), kept[1]))  # from the middle of the way down to the end
    drawn, area = boxes(b.build(across))
    assert len(drawn.boxes()) > len(area)  # some are repeated
