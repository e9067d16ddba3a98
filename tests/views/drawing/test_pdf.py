"""PDF: one page of the picture's size, text as text, the same bytes every time."""

import re

import pytest

import striate as st
from striate.views.drawing.pdf import MAX_PAGE_POINTS, POINT, pdf

pytestmark = pytest.mark.draw


def size(data: bytes) -> tuple[float, float]:
    """Width and height of the only page, in points."""
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    return float(box[0]), float(box[1])


@pytest.mark.parametrize("model", ["lenet5", "resnet18", "7x7x1 -> conv 3x3 /3 -> conv 9x9"])
def test_a_page_has_the_size_of_the_picture(model):
    drawing = st.draw(model).scene["drawing"]
    wide, high = size(pdf(drawing))
    assert wide == pytest.approx(drawing["width"] * POINT, abs=0.01)
    assert high == pytest.approx(drawing["height"] * POINT, abs=0.01)


def test_a_page_that_would_be_too_long_is_shrunk_as_a_whole():
    layers = ["conv 3x3 4 pad 1", "maxpool 3x3 /1 pad 1"] * 250
    drawing = st.draw(" -> ".join(["8x8x4", *layers]), "field", fold=False).scene["drawing"]
    wide, high = size(pdf(drawing))
    assert high == pytest.approx(MAX_PAGE_POINTS, abs=0.1)
    assert wide / high == pytest.approx(drawing["width"] / drawing["height"], rel=1e-3)


def test_the_same_picture_gives_the_same_bytes():
    drawing = st.draw("lenet5").scene["drawing"]
    assert pdf(drawing) == pdf(drawing)
    assert pdf(drawing) != pdf(drawing, "dark")


def test_every_kind_of_mark_is_drawn():
    from striate.views.drawing.frame import finished
    from striate.views.drawing.sheet import Sheet

    sheet = Sheet()
    sheet.rect(0, 0, 50, 20, "conv", "line", round=5, dash=True)
    sheet.path([(0, 40), (30, 40), (30, 60)], "", "ink", bend=6, arrow=True, thick=2)
    sheet.text(10, 80, "28 x 28", anchor="end", bold=True)
    sheet.cells(0, 100, 8, [[0, 255], [None, 128]], "counts")
    data = pdf(finished("blocks", sheet, "marks", "all"))
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    assert b"/Title (marks)" in data


def test_fonts_are_inside():
    data = pdf(st.draw("lenet5").scene["drawing"])
    assert re.search(rb"/FontFile2", data)
