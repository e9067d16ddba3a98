"""The reliability diagram: bars as high as the accuracy of their bins, the expected calibration error, the counts."""

import pytest

import striate as st
from drawn import read
from results import evaluation
from striate.views.drawing.kinds.calibration import COUNTS_HEIGHT, FEW_IMAGES, HEIGHT, WIDTH

FOUND = evaluation(tuple("0123456789"), 60, right=0.7)


def rects(picture, *fills):
    return [m for m in picture.scene["drawing"]["marks"] if m["mark"] == "rect" and m["fill"] in fills]


def test_bars_are_as_high_as_accuracy():
    bins = FOUND.tally.calibration()
    bars = rects(st.draw(FOUND, "calibration"), "conv", "conv-tint")
    assert len(bars) == len(bins) >= 3
    for bar, entry in zip(bars, bins, strict=True):
        assert bar["height"] == pytest.approx(HEIGHT * entry.accuracy, abs=0.1)
        assert bar["width"] == pytest.approx(WIDTH / 15 - 2, abs=0.1)
        assert (bar["stroke"] == "") == (entry.images < FEW_IMAGES)


def test_gaps_reach_from_accuracy_to_confidence():
    picture, bins = st.draw(FOUND, "calibration"), FOUND.tally.calibration()
    lines = [m for m in picture.scene["drawing"]["marks"] if m["mark"] == "path" and m["stroke"] == "window"]
    gaps = [m for m in lines if m["points"][0][0] == m["points"][1][0]]
    heights = [abs(m["points"][0][1] - m["points"][1][1]) for m in gaps]
    assert len(lines) == 2 * len(bins)
    assert heights == pytest.approx([HEIGHT * abs(b.accuracy - b.confidence) for b in bins], abs=0.2)
    area = sum(height * entry.images for height, entry in zip(heights, bins, strict=True))
    assert area / HEIGHT / FOUND.images == pytest.approx(FOUND.tally.calibration_error(), abs=1e-3)


def test_nothing_hides_the_top_of_a_bar():
    """The accuracy is seen, whether the confidence is above or below it."""
    bins = FOUND.tally.calibration()
    assert {entry.accuracy > entry.confidence for entry in bins} == {True, False}
    picture = st.draw(FOUND, "calibration")
    marks = picture.scene["drawing"]["marks"]
    bars = rects(picture, "conv", "conv-tint")
    last = max(marks.index(bar) for bar in bars)
    assert not [m for m in marks[last + 1 :] if m["mark"] == "rect" and m["fill"] and m["y"] < bars[0]["y"]]


def test_few_predictions_are_said_to_be_few():
    said = [
        " ".join(text.text for text in read(st.draw(evaluation(("a", "b"), each), "calibration").svg).texts)
        for each in (2, 400)
    ]
    assert ["mostly chance" in text for text in said] == [True, False]


def test_counts_are_to_scale_and_written():
    picture, bins = st.draw(FOUND, "calibration"), FOUND.tally.calibration()
    most = max(entry.images for entry in bins)
    bars = rects(picture, "other-mark")
    assert [bar["height"] for bar in bars] == pytest.approx(
        [COUNTS_HEIGHT * entry.images / most for entry in bins], abs=0.1
    )
    said = {text.text for text in read(picture.svg).texts}
    assert {str(entry.images) for entry in bins} <= said


def test_it_says_its_error_and_its_data():
    picture = st.draw(FOUND, "calibration")
    error = f"expected calibration error {100 * FOUND.tally.calibration_error():.2f} %"
    assert any(error in text.text for text in read(picture.svg).texts)
    assert "120 images of a test" in [text.text for text in read(picture.svg).texts]
    assert error in picture.scene["drawing"]["description"]
    assert picture.scene["facts"]["bins"] == FOUND.to_dict()["calibration"]["bins"]
