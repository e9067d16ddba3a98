"""The sheet of images to which units respond: what is cut out, where the frame lies, and what is left out is said."""

import numpy as np

import striate as st
from striate.views.drawing.nearest import MAX_LEAST, MAX_UNITS, UNIT_SIDE, drawing

IMAGES = np.random.default_rng(0).random((12, 1, 8, 8)).astype(np.float32)


def cells(drawn):
    return [mark for mark in drawn["marks"] if mark["mark"] == "cells"]


def test_what_a_unit_sees_is_cut_out():
    found = st.nearest("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 2", "conv1", IMAGES, count=4)
    drawn = cells(drawing(found))
    shown = [image for unit in found.units for image in (*unit.most, *unit.least[:MAX_LEAST])]
    assert len(drawn) == len(shown) == 2 * (4 + MAX_LEAST)
    for mark, image in zip(drawn, shown, strict=True):
        pixels = found.pixels(image)
        if image.field is not None:
            (top, bottom), (left, right) = image.field["h"], image.field["w"]
            pixels = pixels[:, top : bottom + 1, left : right + 1]
        np.testing.assert_array_equal(mark["levels"], np.rint(pixels[0] * 255).astype(int))


def test_the_frame_of_one_unit_lies_on_its_field():
    found = st.nearest("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 2", "conv1", IMAGES, count=3)
    drawn = drawing(found, 1)
    whole = [mark for mark in cells(drawn) if len(mark["levels"]) == 8]
    frames = [mark for mark in drawn["marks"] if mark["mark"] == "rect" and mark["stroke"] == "window"]
    framed = [image for image in (*found[1].most, *found[1].least) if image.field]
    assert len(frames) == len(framed) and len(whole) == 6
    places = [(mark["x"], mark["y"]) for mark in whole]
    shown = [*found[1].most, *found[1].least]
    of_image = {id(image): place for image, place in zip(shown, places, strict=True)}
    side = UNIT_SIDE // 8
    for image, frame in zip(framed, frames, strict=True):
        x, y = of_image[id(image)]
        expected = [x + image.field["w"][0] * side, y + image.field["h"][0] * side, 3 * side, 3 * side]
        np.testing.assert_allclose([frame[key] for key in ("x", "y", "width", "height")], expected, atol=0.2)


def test_units_that_are_left_out_are_told():
    found = st.nearest(f"8x8x3 -> conv 3x3 {MAX_UNITS + 3} -> relu", "conv1", IMAGES.repeat(3, 1), count=1)
    drawn = drawing(found)
    texts = [mark["text"] for mark in drawn["marks"] if mark["mark"] == "text"]
    assert f"unit {MAX_UNITS - 1}" in texts and f"unit {MAX_UNITS}" not in texts
    assert any(f"the first {MAX_UNITS} of {MAX_UNITS + 3} units" in text for text in texts)
    assert "3 more units" in drawn["description"]
