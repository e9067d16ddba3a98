"""`striate attribute`: words, pictures, records, and what it refuses."""

import pytest

from cli.run import run


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
        (["--unit", "x"], "not a number"),
        (["--node", "conv1", "--unit", "99"], "counted from 0"),
        (["-o", "found.bmp"], "found.png"),
        (["--theme", "darc"], "dark"),
    ],
)
def test_mistakes_are_refused_with_a_fix(trained, photo, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("attribute", str(trained[0]), photo, *words)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err
    assert not list(tmp_path.iterdir()) or not (tmp_path / "found.bmp").exists()
