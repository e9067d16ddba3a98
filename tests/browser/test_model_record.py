"""What a report holds of the network, so that the page computes with it."""

import base64
import json

import numpy as np
import pytest

import striate
from cli.run import run
from page_elements import elements
from striate.train.data import open_data
from striate.views.page.model import model_parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run on digits, and the report of it."""
    folder = tmp_path_factory.mktemp("digits")
    model = striate.Model("8x8x1 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 10", seed=0)
    model.fit("digits", epochs=1, out=folder / "run", verbose=False)
    assert run("report", str(folder / "run"), "-o", str(folder / "page.html")).code == 0
    return folder / "run", folder / "page.html"


def record_of(path):
    script, _ = elements(path.read_text("utf-8")).all("script")
    return json.loads(script.text)


def test_the_report_of_a_small_network_is_small(trained):
    _, page = trained
    assert page.stat().st_size <= 1_000_000


def test_the_weights_are_those_of_the_run(trained):
    folder, page = trained
    record = record_of(page)
    assert record["drawing"]["trained"] and record["drawing"]["classes"] == [str(k) for k in range(10)]
    for name, array in striate.Model(folder).weights.items():
        kept = record["model"]["weights"][name]
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(kept["data"]), "<f4"), array.ravel())
        assert kept["shape"] == [*array.shape]


def test_the_samples_are_images_of_its_data(trained):
    """One of each class, in its own pixels."""
    _, page = trained
    data = {one.name: one for one in map(open_data("digits").test.item, range(599))}
    samples = record_of(page)["drawing"]["samples"]
    assert [one["label"] for one in samples] == [str(k) for k in range(10)]
    for one in samples:
        pixels = np.frombuffer(base64.b64decode(one["pixels"]), np.uint8)
        known = data.get(one["name"])
        if known:
            np.testing.assert_array_equal(pixels, np.rint(known.image.ravel() * 255))


def test_a_large_network_stays_out(tmp_path):
    assert run("report", "resnet18", "-o", str(tmp_path / "page.html")).code == 0
    record = record_of(tmp_path / "page.html")
    assert "model" not in record and "drawing" not in record
    assert "1,814.1 M multiply-accumulates" in record["no_model"]


def test_the_largest_weights_leave_room(tmp_path):
    """Those that just fit, with the module and all pictures."""
    model = "20x20x1 -> conv 5x5 8 -> relu -> maxpool 2 -> flatten -> fc 213 -> relu -> fc 10"
    assert run("report", model, "-o", str(tmp_path / "page.html")).code == 0
    assert "model" in record_of(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size <= 1_000_000


def test_a_page_that_can_ask_knows_what_an_image_is():
    parts = model_parts(striate.load("resnet18"), server=True)
    assert parts["drawing"]["image"] == [224, 224, 3] and len(parts["drawing"]["classes"]) == 1000
    assert [*parts] == ["drawing", "no_model"]


@pytest.mark.parametrize("size", ["65536x65536x3", "4194305x1x1"])
def test_an_image_that_no_browser_holds_is_not_drawn(size):
    parts = model_parts(striate.load(f"{size} -> conv 1x1 2"), server=True)
    assert [*parts] == ["no_model"] and "too large to draw" in parts["no_model"]
