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
    gaps = rects(picture, "window-fill")
    for gap, entry in zip(gaps, bins, strict=True):
        assert gap["height"] == pytest.approx(HEIGHT * abs(entry.accuracy - entry.confidence), abs=0.1)
    area = sum(gap["height"] * entry.images for gap, entry in zip(gaps, bins, strict=True))
    assert area / HEIGHT / FOUND.images == pytest.approx(FOUND.tally.calibration_error(), abs=1e-3)


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
