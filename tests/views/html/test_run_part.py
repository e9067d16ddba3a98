"""The page of a training run: its numbers are those of the run's files, and what is missing is told."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import striate
from cli.run import run
from page_elements import elements

NET = "12x12x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 3"


def train(place):
    """Three epochs on a folder of images, whose classes have hostile names, into place/run."""
    draw = np.random.default_rng(0)
    for level, name in enumerate(("<b>ant<", 'bee "&"', "\u05d0\u05d1")):
        (place / "data" / name).mkdir(parents=True)
        for k in range(30):
            pixels = draw.integers(60 * level, 60 * level + 120, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(place / "data" / name / f"{k:02}.png")
    model = striate.Model(striate.parse(NET), engine="numpy")
    model.fit(str(place / "data"), epochs=3, out=str(place / "run"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder that holds a run, and the data that it was trained on."""
    place = tmp_path_factory.mktemp("trained")
    train(place)
    return place


@pytest.fixture
def trained(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def page(folder):
    done = run("report", str(folder))
    assert (done.code, done.err) == (0, "")
    return elements(done.out)


def missing(root):
    return [e.text for e in root.all("p") if e.attributes.get("class") == "missing"]


def test_the_evaluation_is_that_of_the_report(trained):
    root = page(trained)
    report = json.loads((trained / "report.json").read_text("utf-8"))
    found = report["validation"]
    told = dict(root.at("evaluation").table("What the weights do").rows())
    assert told["accuracy"] == f"{found['accuracy']:.2%}"
    assert told["loss"] == f"{found['loss']:.4f}"
    assert told["macro F1"] == f"{found['macro_f1']:.4f}"
    assert f"{found['calibration']['expected_calibration_error']:.2%}" in told["calibration"]
    classes = root.at("evaluation").table("Every class").rows()
    for row, score in zip(classes, found["per_class"], strict=True):
        shares = [f"{score[key]:.2%}" for key in ("precision", "recall")]
        counts = [str(score[key]) for key in ("images", "predicted")]
        assert row == [score["name"], *shares, f"{score['f1']:.4f}", *counts]
    bins = root.at("evaluation").table("Predictions by their confidence").rows()
    for row, one in zip(bins, found["calibration"]["bins"], strict=True):
        shares = [f"{one[key]:.2%}" for key in ("confidence", "accuracy")]
        assert row == [f"{one['low']:.2%} to {one['high']:.2%}", str(one["images"]), *shares]
    how = dict(root.at("epochs").table("How it was trained").rows())
    assert how["trained on"] == report["data"]["train"]
    assert how["validated on"] == report["data"]["validation"]
    assert str(report["kept_epoch"]) in how["epochs"]


def test_the_epochs_are_those_of_the_metrics(trained):
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text("utf-8").splitlines()]
    shown = page(trained).at("epochs").table("Metrics of every epoch").rows()
    for cells, row in zip(shown, rows, strict=True):
        assert [float(cell.replace(",", "")) for cell in cells] == [
            pytest.approx(value, rel=1e-3, abs=0.5 if value > 1000 else 1e-9) for value in row.values()
        ]


def test_the_confusion_matrix_is_that_of_the_report(trained):
    found = json.loads((trained / "report.json").read_text("utf-8"))["validation"]
    rows = page(trained).at("evaluation").table("Rows: true class").rows()
    for (name, *counts), label, expected in zip(
        rows, found["classes"], found["confusion_matrix"], strict=True
    ):
        assert (name, counts) == (label, [str(n) for n in expected])


def test_pictures_stand_in_their_sections(trained):
    root = page(trained)
    found = json.loads((trained / "report.json").read_text("utf-8"))["validation"]
    assert len(root.at("epochs").all("svg")) == 1
    confusion, calibration = root.at("evaluation").all("svg")
    for name in found["classes"]:
        assert name in confusion.text
    assert f"{found['accuracy']:.2%}".rstrip("%") in calibration.text.replace(" %", "%")


def test_the_worst_images_are_those_of_the_report(trained):
    worst = json.loads((trained / "report.json").read_text("utf-8"))["validation"]["worst"]
    root = page(trained)
    items = root.at("worst").all("li")
    for item, entry in zip(items, worst, strict=True):
        (image,) = item.all("img")
        assert image.attributes["src"].startswith("data:image/png;base64,")
        assert image.attributes["alt"] == (
            f"{entry['name']}: true class {entry['label']}, predicted {entry['predicted']}"
        )
        assert f"predicted {entry['predicted']}, {entry['confidence']:.2%}" in item.text
        assert f"loss {entry['loss']:.4f}" in item.text
    assert not missing(root)


def test_images_that_have_moved_are_told_in_their_places(finished, trained):
    (finished / "data").rename(finished / "elsewhere")
    try:
        root = page(trained)
    finally:
        (finished / "elsewhere").rename(finished / "data")
    worst = json.loads((trained / "report.json").read_text("utf-8"))["validation"]["worst"]
    items = root.at("worst").all("li")
    assert len(items) == len(worst)
    assert all("No picture" in item.text and str(finished / "data") in item.text for item in items)


def test_an_unfinished_run_shows_what_it_has(trained):
    (trained / "report.json").unlink()
    root = page(trained)
    assert len(root.at("epochs").all("svg")) == 1
    (told,) = missing(root)
    assert "report.json" in told
    (trained / "metrics.jsonl").unlink()
    assert len(missing(page(trained))) == 2


@pytest.mark.parametrize(
    "damage", ["{", "{}", '{"schema": "striate.report/1", "stopped": "done"}', "[]", "null"]
)
def test_a_damaged_report_is_an_error(trained, damage):
    (trained / "report.json").write_text(damage, "utf-8")
    done = run("report", str(trained))
    assert (done.code, done.out) == (2, "")
    assert "report.json" in done.err and "I000" not in done.err


def test_the_page_is_the_same_every_time(trained):
    assert run("report", str(trained)).out == run("report", str(trained)).out
