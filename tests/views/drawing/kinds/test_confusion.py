"""The confusion matrix: every count in its cell, shares of rows, the most frequent confusions of many classes."""

import json

import numpy as np
import pytest

import striate as st
from drawn import read
from laws.test_drawings import contrasts, texts
from results import HOSTILE, evaluation
from striate.views.drawing import theme
from striate.views.evaluation_record import MAX_MATRIX_CLASSES

MANY = tuple(f"class {k}" for k in range(400))
EVALUATIONS = {
    "three": evaluation(),
    "two": evaluation(("a", "b"), 5),
    "one name": evaluation(("a", "b"), 1, right=0.0),
    "ten": evaluation(tuple("0123456789"), 100),
    "twenty": evaluation(MANY[:20], 30, right=0.3),
    "twenty-one": evaluation(MANY[:21], 30),
    "many": evaluation(MANY, 6),
    "many, all right": evaluation(MANY, 3, right=1.0),
    "without names": evaluation(("", " ", "a"), 20),
    "a thousand": evaluation(tuple(f"n{k:08d}, a long name of a class that few know" for k in range(1000)), 3),
    "large counts": evaluation(("small", "large"), 20_000),
    "hostile": evaluation(HOSTILE, 30, right=0.5, source="<script>"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVALUATIONS)
@pytest.mark.parametrize("kind", ["confusion", "calibration"])
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_texts_can_be_read(name, kind, colors):
    drawn = read(st.draw(EVALUATIONS[name], kind, theme=colors).svg)
    if kind == "calibration":
        drawn.shapes = [shape for shape in drawn.shapes if shape.stroke == "none" or shape.fill != "none"]
    assert not [*texts(drawn)]
    assert not [*contrasts(drawn, {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"])]


def written(picture):
    """Texts of each cell of the matrix."""
    marks = picture.scene["drawing"]["marks"]
    grid = next(m for m in marks if m["mark"] == "cells")
    count = len(grid["levels"])
    found = [[[] for _ in range(count)] for _ in range(count)]
    for mark in marks:
        if mark["mark"] == "text":
            x, y = (mark["x"] - grid["x"]) / grid["side"], (mark["y"] - grid["y"]) / grid["side"]
            if 0 < x < count and 0 < y < count:
                found[int(y)][int(x)].append(mark["text"])
    return found, grid["levels"]


@pytest.mark.parametrize("name", ["three", "two", "ten", "twenty"])
def test_cells_hold_counts_and_shares_of_their_row(name):
    found = EVALUATIONS[name]
    cells, levels = written(st.draw(found))
    for k, row in enumerate(found.tally.confusion):
        for j, n in enumerate(row):
            share = n / row.sum()
            assert cells[k][j][:1] == ([f"{n:,}"] if n else [])
            assert cells[k][j][1:] == (
                [f"{share:.0%}".replace("%", " %") if share >= 0.005 else "< 1 %"] if n else []
            )
            assert levels[k][j] == round(255 * share)


def test_a_class_without_a_name_is_seen():
    said = [text.text for text in read(st.draw(evaluation(("", "b", " "), 40, right=0.3)).svg).texts]
    assert {"''", "' '", "b"} <= set(said)
    assert "'' predicted as b" in said


def test_of_many_classes_those_of_the_most_frequent_confusions_are_shown():
    matrix = np.diag(np.full(100, 50))
    pairs = [(7, 93, 40), (93, 7, 30), (12, 13, 20), (60, 61, 10)]
    found = evaluation(tuple(f"class {k}" for k in range(100)))
    for true, predicted, count in pairs:
        matrix[true, predicted] = count
    found.tally.confusion = matrix
    facts = st.draw(found).scene["facts"]
    assert len(facts["classes"]) == MAX_MATRIX_CLASSES
    assert {7, 12, 13, 60, 61, 93} <= set(facts["positions"])
    assert facts["positions"] == sorted(facts["positions"])
    assert [(c["label"], c["predicted"], c["count"]) for c in facts["largest"]] == [
        (f"class {true}", f"class {predicted}", count) for true, predicted, count in pairs
    ]
    assert facts["largest"][0]["share"] == 40 / 90


@pytest.mark.parametrize("name", EVALUATIONS)
def test_rows_add_up(name):
    found = EVALUATIONS[name]
    picture = st.draw(found)
    facts = picture.scene["facts"]
    for row, others, total in zip(facts["counts"], facts["others"], facts["totals"], strict=True):
        assert sum(row) + others == total
    assert facts["predictions"] == found.tally.answers
    matrix = found.tally.confusion
    wrong = (matrix > 0).sum() - (np.diag(matrix) > 0).sum()
    assert len(facts["largest"]) + facts["more"] == wrong
    assert json.loads(json.dumps(picture.scene, allow_nan=False)) == picture.scene


def test_recall_and_precision_are_those_of_the_evaluation():
    found = EVALUATIONS["ten"]
    facts = st.draw(found).scene["facts"]
    scores = found.tally.per_class(found.classes)
    assert facts["recall"] == pytest.approx([score.recall for score in scores])
    assert facts["precision"] == pytest.approx([score.precision for score in scores])


def test_it_says_how_good_it_is_and_on_what():
    found = EVALUATIONS["three"]
    said = [text.text for text in read(st.draw(found).svg).texts]
    right = int(np.trace(found.tally.confusion))
    assert f"confusion matrix: {100 * found.accuracy:.2f} % right, {right} of 120" in said
    assert "120 images of a test" in said


def test_many_classes_make_no_large_file():
    assert len(st.draw(EVALUATIONS["many"]).svg) < 100_000


def test_a_class_without_images_has_no_share():
    found = evaluation()
    found.tally.confusion[1] = 0
    facts = st.draw(found).scene["facts"]
    assert facts["shares"][1] == [None] * 3 and facts["recall"][1] is None
    assert "none" in [text.text for text in read(st.draw(found).svg).texts]
