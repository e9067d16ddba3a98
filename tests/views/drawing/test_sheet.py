"""A canvas grows with its marks, and moves with all of them."""

from striate.views.drawing.sheet import Sheet


def test_a_sheet_holds_what_is_put_on_it():
    sheet = Sheet()
    sheet.rect(10, 20, 30, 5)
    assert (sheet.left, sheet.top, sheet.right, sheet.bottom) == (10, 20, 40, 25)
    sheet.path([(0, 0), (50, 22)])
    assert (sheet.left, sheet.top, sheet.right, sheet.bottom) == (0, 0, 50, 25)
    assert sheet.text(50, 30, "il", 100, anchor="start") == 56
    assert (sheet.right, sheet.top, sheet.bottom) == (106, -50, 55)


def test_a_sheet_on_another_keeps_its_shape():
    inner, outer = Sheet(), Sheet()
    with inner.about("conv1"):
        inner.rect(5, 5, 10, 10)
    inner.path([(5, 5), (25, 5)])
    inner.cells(5, 5, 2, [[1, 2], [3, None]], "counts")
    outer.put(inner, 100, 200)
    rect, path, cells = outer.marks
    assert (rect["x"], rect["y"], rect["about"]) == (100, 200, "conv1")
    assert path["points"] == [[100, 200], [120, 200]]
    assert (cells["x"], cells["y"]) == (100, 200)
    assert (outer.right, outer.bottom) == (120, 210)
    assert inner.marks[0]["x"] == 5


def test_coordinates_are_tenths():
    sheet = Sheet()
    sheet.rect(1 / 3, 2.0, 1, 1)
    assert (sheet.marks[0]["x"], sheet.marks[0]["y"]) == (0.3, 2)
