"""`striate attribute`: words, pictures, records, and what it refuses."""

import re

import pytest

import striate as st
from cli.run import run
from page_elements import elements, references


@pytest.fixture
def photo(images):
    return str(next(images.glob("test/rows/*")))


def test_words_name_the_class_the_score_and_the_node(trained, photo):
    done = run("attribute", str(trained[0]), photo, "--method", "gradcam")
    assert done.code == 0 and "(predicted)" in done.out and "the last node with a map" in done.out


@pytest.mark.parametrize("method", ["saliency", "occlusion", "grad-cam"])
def test_a_picture_is_written(trained, photo, tmp_path, method):
    file = tmp_path / "found.svg"
    done = run("attribute", str(trained[0]), photo, "--method", method, "-o", str(file))
    assert done.code == 0 and "written" in done.err and method in file.read_text("utf-8")


@pytest.mark.draw
def test_a_picture_of_pixels_is_written(trained, photo, tmp_path):
    file = tmp_path / "found.png"
    assert run("attribute", str(trained[0]), photo, "-o", str(file)).code == 0
    assert file.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class", "row"], "rows"),
        (["--method", "gradcan"], "grad-cam"),
        (["--method", "grad-cam", "--node", "fc1"], "--node"),
        (["--node", "conv1"], "--unit 0"),
        (["--unit", "x"], "not a list of numbers"),
        (["--node", "conv1", "--unit", "99"], "counted from 0"),
        (["-o", "found.bmp"], "found.png"),
        (["--theme", "darc"], "dark"),
        (["--theme", "dark"], "leave out --theme"),
        (["--theme", "dark", "-o", "found.html"], "leave out --theme"),
        (["--method", "grad-cam", "--layer", "fc1"], "--layer maxpool1"),
        (["--layer", "conv1"], "grad-cam"),
        (["--method", "all", "--json"], ".html"),
        (["--method", "all", "-o", "found.svg"], ".html"),
        (["--before-training"], "-o before.html"),
        (["--before-training", "--json", "-o", "found.html"], "no --json"),
    ],
)
def test_mistakes_are_refused_with_a_fix(trained, photo, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("attribute", str(trained[0]), photo, *words)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err
    assert not list(tmp_path.iterdir()) or not (tmp_path / "found.bmp").exists()


def test_the_layer_of_grad_cam_is_said(trained, photo):
    done = run("attribute", str(trained[0]), photo, "--method", "gradcam", "--layer", "conv1")
    assert done.code == 0 and "note: map of conv1\n" in done.out and "probability" in done.out


def page_of(path):
    page = elements(path.read_text("utf-8"))
    assert not page.all("script")
    assert all(re.match(r"data:image/png;base64,", one) for one in references(page))
    assert all(image.attributes["alt"] for image in page.all("img"))
    return page


def test_a_page_shows_every_method_next_to_each_other(trained, photo, tmp_path):
    done = run("attribute", str(trained[0]), photo, "--method", "all", "-o", str(tmp_path / "a.html"))
    assert done.code == 0, done.err
    page = page_of(tmp_path / "a.html")
    methods = ["saliency", "gradient-x-input", "integrated-gradients", "grad-cam", "occlusion"]
    assert [one.text for one in page.all("h3")] == methods and len(page.all("img")) == 11
    facts = dict(page.table("Target").rows())
    assert facts["explained"].endswith("(predicted)") and facts["probability"].endswith("%")
    assert "the last node with a map" in page.at("grad-cam").text
    assert "a complete attribution has this sum" in page.at("integrated-gradients").text
    words = run("attribute", str(trained[0]), photo, "--method", "all")
    assert words.code == 0 and all(f"Attribution: {method} of" in words.out for method in methods)


def test_what_a_network_has_no_map_for_is_said_on_the_page(photo, tmp_path):
    model = st.Model("8x8x1 -> flatten -> fc 2", seed=0)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.0], "std": [1.0]}]}
    model.save(tmp_path / "m")
    done = run("attribute", str(tmp_path / "m"), photo, "--method", "all", "-o", str(tmp_path / "a.html"))
    assert done.code == 0, done.err
    assert "grad-cam: nothing in front of fc1 has a map" in page_of(tmp_path / "a.html").text


def test_a_run_is_shown_before_and_after_training(trained, photo, tmp_path):
    file = tmp_path / "before.html"
    done = run(
        "attribute", str(trained[0]), photo, "--before-training", "--method", "grad-cam", "-o", str(file)
    )
    assert done.code == 0, done.err
    page = page_of(file)
    facts = dict(page.table("Target").rows())
    assert facts["before training"] == "fresh weights of the run's seed 0"
    rows = page.table("Measures of unit").rows()
    assert [row[0] for row in rows] == ["before training", "after training"]
    assert page.at("filters").text.count("training") == 2 and len(page.at("filters").all("figure")) == 2
    model = st.Model("8x8x1 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 3", seed=0)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.0], "std": [1.0]}]}
    model.save(tmp_path / "m")
    done = run("attribute", str(tmp_path / "m"), photo, "--before-training", "-o", str(file))
    assert done.code == 2 and "the folder of a run" in done.err
