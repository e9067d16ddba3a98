"""The picture of pixel use: counts as the course writes them, colors in their order, what is hatched, and its room."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import striate
from laws.networks import networks
from striate.analysis import pixels
from striate.diagnostics import OpError
from striate.network import Builder
from striate.ops.conv import Conv
from striate.ops.merge import Add
from striate.views.drawing.sheet import ASCENT, DESCENT
from striate.views.drawing.widths import width
from striate.views.pixel_record import compare_record, shares

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def grids(picture):
    """The maps of a picture: marks of cells before the legend's, in order."""
    found = [mark for mark in picture.scene["drawing"]["marks"] if mark["mark"] == "cells"]
    return found[: sum("problem" not in panel for panel in picture.scene["facts"]["maps"])]


def written(picture, grid):
    """Texts within the cells of a grid, row by row; "" where there is none."""
    side = grid["side"]
    rows = [[""] * len(row) for row in grid["levels"]]
    for mark in picture.scene["drawing"]["marks"]:
        if mark["mark"] == "text" and mark["anchor"] == "middle":
            x = (mark["x"] - grid["x"]) / side
            y = (mark["y"] - 0.36 * mark["size"] - grid["y"]) / side
            if 0 <= y < len(rows) and 0 <= x < len(rows[0]):
                rows[int(y)][int(x)] = mark["text"]
                assert width(mark["text"], mark["size"]) <= side
    return rows


def text_boxes(drawing):
    for mark in drawing["marks"]:
        if mark["mark"] == "text":
            wide = width(mark["text"], mark["size"], mark.get("bold", False))
            left = mark["x"] - {"start": 0, "middle": wide / 2, "end": wide}[mark["anchor"]]
            yield (
                left, mark["y"] - ASCENT * mark["size"], left + wide, mark["y"] + DESCENT * mark["size"], mark["text"]
            )  # fmt: skip


def readable(drawing):
    """Every text is on the canvas, and none lies on another."""
    boxes = list(text_boxes(drawing))
    for left, top, right, bottom, text in boxes:
        assert left >= 0 and top >= 0, text
        assert right <= drawing["width"] + 0.5 and bottom <= drawing["height"] + 0.5, text
    for a, b in itertools.combinations(boxes, 2):
        across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert across <= 0.5 or down <= 2, (a[4], b[4])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("3x3x1 -> conv 2x2", "1 2 1/2 4 2/1 2 1"),
        ("5x5x1 -> conv 3x3", "1 2 3 2 1/2 4 6 4 2/3 6 9 6 3/2 4 6 4 2/1 2 3 2 1"),
    ],
)
def test_the_maps_of_the_course(text, rows, golden):
    picture = striate.draw(text, "pixels")
    (grid,) = grids(picture)
    assert "/".join(" ".join(row) for row in written(picture, grid)) == rows
    assert rows.replace("/", " / ") in ET.fromstring(picture.svg).findtext("{*}desc")
    golden(f"drawing/pixels-{len(rows.split('/'))}.svg", picture.svg)


def test_rows_that_are_never_read_are_hatched_and_counted():
    picture = striate.draw("7x7x1 -> conv 3x3 /3", "pixels")
    (grid,) = grids(picture)
    unread = [(y, x) for y, row in enumerate(grid["levels"]) for x, level in enumerate(row) if level is None]
    assert unread == [(y, x) for y in range(7) for x in range(7) if 6 in (y, x)]
    assert 'fill="url(#unread)"' in picture.svg
    assert "13 of 49 pixels are never read" in picture.svg


@QUIET
@given(networks(kind="counting") | networks(rank=1, kind="counting") | networks(rank=3, kind="counting"))
def test_cells_are_those_of_the_record(net):
    """Numbers equal the counts, colors follow them, hatched is what nothing reads."""
    use = pixels(net)
    picture = striate.draw(net, "pixels", numbers=True)
    (grid,) = grids(picture)
    plane = list(use.middle.rows())
    levels = grid["levels"][: len(plane)]
    assert [[level is None for level in row] for row in levels] == [[not n for n in row] for row in plane]
    flat = sorted((n, level) for row, line in zip(plane, levels, strict=True)
                  for n, level in zip(row, line, strict=True) if n)  # fmt: skip
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(flat))
    if use.middle.cells and len(grid["levels"]) == len(plane) and use.most < 10**6:
        expected = [[str(n) if n else "" for n in row] for row in plane]
        assert written(picture, grid) == expected
    readable(picture.scene["drawing"])


def test_padding_modes_next_to_each_other():
    picture = striate.draw("7x7x1 -> conv 3x3", "pixels", compare=True)
    record = compare_record(striate.parse("7x7x1 -> conv 3x3"))
    for grid, mode in zip(grids(picture), record["modes"], strict=True):
        assert [[int(text or 0) for text in row] for row in written(picture, grid)] == mode["counts"]
    assert len({grid["y"] for grid in grids(picture)}) == 1
    same = {
        (text, grid["levels"][y][x])
        for grid in grids(picture)
        for y, row in enumerate(written(picture, grid))
        for x, text in enumerate(row)
    }
    assert len(same) == len({text for text, _ in same}), "equal counts have equal colors in all maps"
    readable(picture.scene["drawing"])


def test_a_mode_without_output_says_why():
    picture = striate.draw("4x4x1 -> [conv 3x3 pad 1]*2 -> maxpool 4", "pixels", compare=True)
    assert "no output" in picture.svg and len(grids(picture)) < 5
    readable(picture.scene["drawing"])


def test_numbers_are_written_where_they_fit_or_are_asked_for():
    auto, off = (striate.draw("lenet5", "pixels", node="conv2", numbers=n) for n in (None, False))
    on = striate.draw("lenet5", "pixels", node="conv2", numbers=True)
    assert {text for row in written(auto, grids(auto)[0]) for text in row} == {""}
    assert auto.svg == off.svg
    assert written(on, grids(on)[0])[16][16] == "625"
    with pytest.raises(OpError, match="do not fit"):
        striate.draw("resnet18", "pixels", numbers=True)


def test_large_maps_are_an_image():
    picture = striate.draw("224x224x1 -> conv 3x3 pad 1", "pixels")
    assert picture.svg.count("<image") == 1 and len(picture.svg) < 30_000
    huge = striate.draw("3000x1000x1 -> conv 3x3 /2", "pixels")
    (grid,) = grids(huge)
    assert (len(grid["levels"]), len(grid["levels"][0])) == (250, 84), "blocks keep the proportions"
    assert "mean of a block" in huge.svg


@given(st.integers(3, 40), st.integers(1, 4), st.integers(1, 3), st.integers(1, 12))
def test_blocks_hold_means(size, kernel, stride, side):
    use = pixels(f"{size}x{size}x1 -> conv {min(kernel, size)} /{stride}")
    found = shares(use, side)
    factor = -(-size // side)
    assert len(found) == len(found[0]) == -(-size // factor)
    ends = [k * size // len(found) for k in range(len(found) + 1)]
    for y, row in enumerate(found):
        for x, share in enumerate(row):
            block = [use.at(i, j) for i in range(ends[y], ends[y + 1]) for j in range(ends[x], ends[x + 1])]
            mean = sum(block) / len(block) / use.most
            assert (share or 0) == pytest.approx(mean, abs=2e-6) and (share is None) == (not sum(block))


def test_a_volume_shows_its_middle_slice():
    picture = striate.draw("5x4x6x1 -> conv 3", "pixels")
    use = pixels("5x4x6x1 -> conv 3")
    (grid,) = grids(picture)
    assert [[int(t) for t in row] for row in written(picture, grid)] == use.counts[2]
    assert use.middle.counts == use.counts[2]
    assert "d = 2 of 0 to 4" in picture.svg


def test_several_inputs_have_a_map_each():
    build = Builder("two", input={"left": (1, 6, 6), "right": (1, 4, 4)})
    left = build(Conv(1, 3), build.inputs["left"])
    net = build.build(build(Add(), left, build(Conv(1, 1), build.inputs["right"])))
    picture = striate.draw(net, "pixels")
    assert [panel["input"] for panel in picture.scene["facts"]["maps"]] == ["left", "right"]
    assert [len(grid["levels"]) for grid in grids(picture)] == [6, 4]
    readable(picture.scene["drawing"])


def test_a_network_that_fails_is_followed_up_to_there():
    picture = striate.draw("7x7x1 -> conv 3x3 -> conv 3x3 -> conv 5x5", "pixels")
    assert picture.scene["facts"]["to"] == "conv2"
    assert "(3 + 0 - 5)/1 + 1 = -1" in picture.svg


def test_an_input_without_axes_of_space():
    with pytest.raises(OpError, match="no input has height and width"):
        striate.draw("64 -> fc 10", "pixels")


@pytest.mark.parametrize(
    "text",
    [
        "1d 4000x1 -> conv 80 /4",
        "250x250x1 -> conv 3x3",
        "3000x1000x1 -> conv 3x3 /2",
        "lenet5",
        "5x5x1 -> conv 3x3",
    ],
)
def test_cells_end_where_their_frames_do(text):
    """Sides of cells are tenths of a pixel in a mark: what is drawn around them must know."""
    marks = striate.draw(text, "pixels").scene["drawing"]["marks"]
    frames = [m for m in marks if m["mark"] == "rect" and m["stroke"] == "line"]
    for grid in (m for m in marks if m["mark"] == "cells"):
        wide, high = (grid["side"] * n for n in (len(grid["levels"][0]), len(grid["levels"])))
        near = [f for f in frames if (f["x"], f["y"]) == (grid["x"], grid["y"])]
        assert [(f["width"], f["height"]) for f in near] == [pytest.approx((wide, high), abs=0.1)]


def test_unread_pixels_of_an_image_are_hatched():
    assert (
        'fill="url(#unread)"'
        in striate.draw("64x64x1 -> conv 1x1 /3", "pixels").svg.split("<image")[0].rpartition("<rect")[2]
    )
    assert "url(#unread)" not in striate.draw("64x64x1 -> conv 3x3", "pixels").svg
