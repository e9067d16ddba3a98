"""Lines, numbers and grids as SVG."""

import base64
import io
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from drawn import read
from striate.views.drawing.frame import finished
from striate.views.drawing.sheet import Sheet
from striate.views.drawing.svg import SEPARATE, arrowhead, number, png, svg, trace
from striate.views.drawing.theme import LIGHT, mapped, rgb


def written(draw, **options):
    sheet = Sheet()
    draw(sheet)
    return svg(finished("blocks", sheet, "t", "w"), **options)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.001, "0"), (0.004, "0"), (1.5, "1.5"), (-2.0, "-2"), (10, "10"), (0.1, "0.1")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_a_line_and_its_corner():
    corner = [(0, 0), (10, 0), (10, 10)]
    assert trace(corner, 0, False) == "M0 0H10V10"
    assert trace(corner, 4, False) == "M0 0H6C8.67 0 10 1.33 10 4V10"
    assert trace([(0, 0), (10, 5)], 0, False) == "M0 0L10 5"
    assert trace(corner, 0, True).endswith("Z")


def test_an_arrowhead_points_along_its_line():
    (tip, *base) = arrowhead([(0, 0), (20, 0)])
    assert tip == (20, 0)
    assert base == [(13, 3.15), (13, -3.15)]


def test_text_is_text():
    text = written(lambda sheet: sheet.text(0, 0, "<b>&\x00\u202e"))
    root = ElementTree.fromstring(text)
    (element,) = root.iter("{http://www.w3.org/2000/svg}text")
    assert element.text == r"<b>&\x00\u202e"
    assert written(lambda sheet: sheet.text(0, 0, "x"), scale=2).count('width="') == 2


def test_definitions_of_several_drawings_in_a_page_have_names_of_their_own():
    for rows in ([[None]], [[None] * SEPARATE * 2]):
        text = written(lambda sheet, rows=rows: sheet.cells(0, 0, 10, rows, "counts"), ids="field-")
        assert re.findall(r'id="(.+?)"|url\(#(.+?)\)', text) == [("field-unread", ""), ("", "field-unread")]


def test_small_grids_are_squares_and_large_ones_an_image():
    few = written(lambda sheet: sheet.cells(0, 0, 10, [[0, 0, 255], [None, 0, 0]], "counts"))
    assert few.count('shape-rendering="crispEdges"') == 4  # runs of a level are one rectangle
    assert 'fill="url(#unread)"' in few and '<pattern id="unread"' in few
    side = int(SEPARATE**0.5) + 1
    many = written(lambda sheet: sheet.cells(0, 0, 2, [[7] * side] * side, "gray"))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", many)[1])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (side, side)
        assert image.convert("RGB").getpixel((0, 0)) == rgb(mapped("gray", 7))


def test_missing_cells_of_an_image_are_clear():
    with Image.open(io.BytesIO(png([[0, None], [255]], "counts"))) as image:
        pixels = image.convert("RGBA")
    assert [pixels.getpixel(at)[3] for at in ((0, 0), (1, 0), (0, 1), (1, 1))] == [255, 0, 255, 0]


@pytest.mark.parametrize("missing", [False, True])
def test_colors_and_long_palettes_are_the_pixels_of_an_image(missing):
    rows = [[0x102030, 0xFFFFFF, None if missing else 0]]
    with Image.open(io.BytesIO(png(rows, "rgb"))) as image:
        pixels = [image.convert("RGBA").getpixel((k, 0)) for k in range(3)]
    assert pixels == [(16, 32, 48, 255), (255, 255, 255, 255), (0, 0, 0, 0 if missing else 255)]
    every = [[*range(256), *([None] if missing else [])]]
    with Image.open(io.BytesIO(png(every, "signed"))) as image:
        pixels = [image.convert("RGBA").getpixel((k, 0)) for k in range(len(every[0]))]
    shown = [rgb(mapped("signed", min(level, 254) if missing else level)) for level in range(256)]
    assert [pixel[:3] for pixel in pixels[:256]] == shown
    assert [pixel[3] for pixel in pixels] == [255] * 256 + [0] * missing


def test_a_small_grid_may_be_an_image_too():
    text = written(lambda sheet: sheet.cells(0, 0, 10, [[0, 255]], "signed", image=True))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (2, 1)
    assert len(data) < 120  # only the colors that it has


def test_lines_that_look_the_same_are_one_path():
    def draw(sheet):
        for k in range(9):
            sheet.path([(k, 0), (k, 5)], "", "line", arrow=True)
        sheet.path([(0, 0), (9, 9)], "", "error")
        sheet.path([(0, 0), (9, 0), (9, 9)], "faint", "line", closed=True)

    text = written(draw)
    assert text.count("<path") == 4  # lines, their heads, another color, a shape
    (lines, heads, *_) = re.findall(r'<path d="([^"]+)"', text)
    assert lines.count("M") == heads.count("M") == heads.count("Z") == 9
    drawn = read(text)
    assert [line.points[-1][0] - line.points[0][0] for line in drawn.lines] == [0.0] * 9 + [9.0]
    assert len(drawn.shapes) == 1 and drawn.shapes[0].area.right - drawn.shapes[0].area.left == 9


def test_a_text_that_looks_like_most_says_nothing_of_its_looks():
    text = written(
        lambda sheet: sheet.text(0, 0, "x") and sheet.text(0, 20, "y", 10.5, "muted", anchor="end")
    )
    plain, other = read(text).texts
    assert re.search(r'<text x="[\d.]+" y="[\d.]+">x<', text)
    assert plain.fill == LIGHT["ink"] and other.fill == LIGHT["muted"]
    assert round(plain.area.middle[0], 1) == round(other.area.right, 1)
