"""`striate nearest`: the table, one unit, JSON, pictures, the page, and what is refused."""

import json
import re

import numpy as np
import pytest

import striate as st
from cli.run import run
from page_elements import elements, references

NET = "6x6x1 -> conv 3x3 3 -> relu -> flatten -> fc 2"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with a model of small whole weights and images, whose responses are exact."""
    monkeypatch.chdir(tmp_path)
    model = st.Model(NET, seed=0)
    edge = np.tile(np.array([-1, 0, 1], np.float32), (3, 1))
    model.weights["conv1.weight"][:] = np.stack([edge, 0 * edge, edge.T])[:, None]
    model.weights["conv1.bias"][:] = 0
    model.transform = {"steps": [{"step": "normalize", "mean": [0.0], "std": [1.0]}]}
    model.save("mine")
    images = np.zeros((8, 6, 6), np.float32)
    for k in range(8):
        images[k, :, k % 6 :] += k % 3
        images[k, k // 2 :, :] += k % 2
    np.savez("data.npz", x=images / 4, y=np.arange(8) % 2)
    return tmp_path


def test_the_table_has_a_row_for_each_unit(made, golden):
    done = run("nearest", "mine", "--node", "conv1", "--data", "data.npz", "--count", "3")
    assert (done.code, done.err) == (0, "")
    golden("cli/nearest.txt", done.out)
    assert "unit 1 responds alike to every image: 0" in done.out


def test_one_unit_with_all_images(made, golden):
    done = run("nearest", "mine", "--node", "conv1", "--unit", "0", "--data", "data.npz", "--count", "3")
    assert (done.code, done.err) == (0, "")
    golden("cli/nearest-unit.txt", done.out)


def test_json_is_that_of_python(made):
    words = ("nearest", "mine", "--node", "conv1", "--data", "data.npz", "--json")
    record = json.loads(run(*words).out)
    found = st.nearest("mine", "conv1", "data.npz")
    assert record == json.loads(json.dumps(found.to_dict()))
    assert [unit["unit"] for unit in record["units"]] == [0, 1, 2]
    one = json.loads(run(*words, "--unit", "2").out)
    assert one["units"] == record["units"][2:]
    small = json.loads(run(*words, "--batch-size", "3").out)
    assert small == record


def test_fresh_weights_are_said(made):
    done = run("nearest", NET, "--node", "conv1", "--data", "data.npz")
    assert done.code == 0 and "untrained, seed 0" in done.out


def test_a_run_knows_its_images(trained):
    done = run("nearest", str(trained[0]), "--node", "conv1", "--unit", "0")
    said = " ".join(done.out.split())  # where a line breaks depends on the folder's name
    assert done.code == 0 and "54 images" in said and "(train: " in said
    assert "30 images" in run("nearest", str(trained[0]), "--node", "fc1", "--split", "test").out


@pytest.mark.parametrize("unit", [(), ("--unit", "0")], ids=["all", "one"])
def test_pictures_and_pages_are_written(made, unit):
    words = ("nearest", "mine", "--node", "conv1", "--data", "data.npz", *unit)
    for name in ("found.svg", "found.html"):
        done = run(*words, "-o", name)
        assert done.code == 0 and f"{name}: " in done.err and done.out == ""
    assert "<svg" in (made / "found.svg").read_text("utf-8")
    page = elements((made / "found.html").read_text("utf-8"))
    assert [one.text for one in page.all("h2")] == [f"Unit {k}" for k in (range(3) if not unit else [0])]
    assert not page.all("script")
    assert all(re.match(r"#|data:image/png;base64,", one) for one in references(page))
    assert all(image.attributes["alt"] for image in page.all("img"))


def test_hostile_names_stay_text(made, tmp_path):
    from PIL import Image

    folder = tmp_path / "images" / "<b>x</b>"
    folder.mkdir(parents=True)
    for k in range(2):
        Image.new("L", (6, 6), 90 * k).save(folder / f"<script>alert({k})<script>.png")
    done = run(
        "nearest",
        "mine",
        "--node",
        "conv1",
        "--unit",
        "0",
        "--data",
        str(tmp_path / "images"),
        "-o",
        "x.html",
    )
    assert done.code == 0, done.err
    page = elements((made / "x.html").read_text("utf-8"))
    assert not page.all("script", "b") and "<script>alert(1)<script>.png" in page.text


@pytest.mark.parametrize("form", ["folder", "files"])
def test_images_without_labels_have_none(made, form):
    from PIL import Image

    (made / "flat").mkdir()
    for k in range(3):
        Image.new("L", (6, 6), 90 * k).save(made / "flat" / f"{k}.png")
    (made / "flat" / "notes.txt").write_text("no image")
    (made / "flat" / "empty").mkdir()
    data = ("--data", "flat") if form == "folder" else ("--data", "flat/0.png", "--data", "flat/2.png")
    words = ("nearest", "mine", "--node", "conv1", *data)
    text = run(*words)
    assert (text.code, text.err) == (0, "") and "class" not in text.out and "None" not in text.out
    assert "class" not in run(*words, "--unit", "0").out
    record = json.loads(run(*words, "--json").out)
    images = [image for unit in record["units"] for image in (*unit["most"], *unit["least"])]
    assert {image["label"] for image in images} == {None}
    names = {"0.png", "1.png", "2.png"} if form == "folder" else {"flat/0.png", "flat/2.png"}
    assert {image["name"] for image in images} == names and record["images"] == len(names)
    assert run(*words, "-o", "flat.html").code == 0 and run(*words, "--unit", "1", "-o", "flat.svg").code == 0
    page = elements((made / "flat.html").read_text("utf-8"))
    assert page.all("img") and "class " not in page.text and "None" not in page.text
    assert "None" not in (made / "flat.svg").read_text("utf-8")


@pytest.mark.draw
def test_a_picture_of_pixels_is_written(made):
    assert run("nearest", "mine", "--node", "conv1", "--data", "data.npz", "-o", "found.png").code == 0
    assert (made / "found.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--node conv1"),
        (["--node", "conv1"], "--data PATH"),
        (["--node", "cnv1", "--data", "data.npz"], "conv1"),
        (["--node", "conv1", "--data", "data.npz", "--unit", "3"], "0 to 2"),
        (["--node", "conv1", "--data", "dta.npz"], "dta.npz"),
        (["--node", "conv1", "--data", "data.npz", "--split", "tset"], "test"),
        (["--node", "conv1", "--data", "data.npz", "--count", "0"], "1"),
        (["--node", "conv1", "--data", "data.npz", "-o", "found.bmp"], "found.png"),
        (["--node", "conv1", "--data", "data.npz", "--theme", "darc"], "dark"),
        (
            ["--node", "conv1", "--data", "data.npz", "--theme", "dark", "-o", "found.html"],
            "leave out --theme",
        ),
        (["--node", "conv1", "--data", "data.npz", "--theme", "dark", "--json"], "leave out --theme"),
        (["--node", "conv1", "--data", "a.png", "--data", "b.png"], "no a.png"),
        (["--node", "conv1", "--data", ".", "--data", "b.png"], "give the folder alone"),
        (["--node", "conv1", "--data", "data.npz", "--split", "vall"], "validation"),
    ],
)
def test_mistakes_are_refused_with_a_fix(made, words, said):
    done = run("nearest", "mine", *words)
    assert (done.code, done.out) == (2, "") and said in done.err and "Traceback" not in done.err
    assert not (made / "found.bmp").exists()
