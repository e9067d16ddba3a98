"""`striate eval` and `striate predict` on a model that knows its classes."""

import csv
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cli.conftest import pictures
from cli.run import environment, run
from cli.terminals import PLAIN, terminal


def record(*arguments):
    done = run(*map(str, arguments), "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


# -- eval -----------------------------------------------------------------------------------------------------


def test_eval_judges_the_part_that_training_has_not_seen(images, trained):
    folder, _ = trained
    found = record("eval", folder)
    assert (found["schema"], found["images"]) == ("striate.eval/1", 30)
    assert found["accuracy"] > 0.9
    assert np.trace(found["confusion_matrix"]) == round(found["accuracy"] * 30)
    assert record("eval", folder, "--data", images)["confusion_matrix"] == found["confusion_matrix"]
    assert record("eval", folder, "--split", "validation")["images"] == 6
    assert record("eval", folder, "--split", "all")["images"] == 90


def test_eval_takes_all_of_data_it_does_not_know(trained, tmp_path):
    flat = pictures(tmp_path, {"": 18})
    assert record("eval", trained[0], "--data", flat)["images"] == 18


def test_eval_of_its_own_data_without_parts_takes_what_was_set_aside(tmp_path):
    flat = pictures(tmp_path / "flat", {"": 60})
    done = run("train", "--data", str(flat), "--model", "8x8x1 -> flatten -> fc 3", "--epochs", "1", "--seed", "4",
               "--out", str(tmp_path / "run"))  # fmt: skip
    assert done.code == 0
    assert re.search(r"^ +test +6\b", done.out, re.M)
    assert record("eval", tmp_path / "run")["images"] == 6


def test_fewer_classes_are_numbered_by_name(trained, tmp_path):
    root = pictures(tmp_path, {"": 30})
    for path in (root / "columns").iterdir():
        path.unlink()
    (root / "columns").rmdir()
    found = record("eval", trained[0], "--data", root)
    assert found["accuracy"] > 0.9 and found["images"] == 20
    assert found["notes"] == ["2 classes numbered like the model's 3"]
    (root / "rows").rename(root / "lines")
    failed = run("eval", str(trained[0]), "--data", str(root))
    assert failed.code == 2 and "has no class 'lines'" in failed.err


def test_the_page_of_an_evaluation(images, trained):
    out = run("eval", str(trained[0])).out
    for word in ("accuracy", "loss", "precision", "recall", "F1", "confusion", "calibration", "30 right"):
        assert word in out, word
    for columns in (40, 80):
        seen = PLAIN.sub("", terminal(columns, "eval", str(trained[0])))
        assert max(map(len, seen.splitlines())) <= columns


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "no file or folder has this name"),
        (["lenet5"], "striate train"),
        (["{run}", "--data", "missing"], "there is no"),
        (["{run}", "--split", "tset"], "test"),
        (["{run}", "--batch-size", "0"], "at least 1"),
    ],
)
def test_eval_mistakes(trained, arguments, said):
    failed = run("eval", *(word.format(run=trained[0]) for word in arguments))
    assert (failed.code, failed.out) == (2, "")
    assert said in failed.err and "I000" not in failed.err


# -- predict --------------------------------------------------------------------------------------------------


@pytest.fixture
def squares(images):
    return sorted((images / "test" / "squares").iterdir())


def test_predict_files(trained, squares):
    found = record("predict", trained[0], *squares[:2])
    assert found["schema"] == "striate.predict/1" and found["unreadable"] == []
    assert [image["name"] for image in found["images"]] == [str(path) for path in squares[:2]]
    for image in found["images"]:
        assert image["top"][0]["class"] == "squares"
        shares = [entry["probability"] for entry in image["top"]]
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    out = run("predict", str(trained[0]), str(squares[0]), "--top", "1").out
    assert "squares" in out and "rows" not in out


def test_predict_a_folder_as_eval_counts_it(images, trained):
    found = record("predict", trained[0], images / "test")
    right = sum(f"/{image['top'][0]['class']}/" in image["name"] for image in found["images"])
    assert len(found["images"]) == 30
    assert right / 30 == record("eval", trained[0])["accuracy"]


def test_predict_csv(trained, squares):
    done = run("predict", str(trained[0]), *map(str, squares[:3]), "--csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == ["image", "class_1", "probability_1", "class_2", "probability_2"]
    assert [row["class_1"] for row in rows] == ["squares"] * 3


def test_predict_standard_input(trained, squares):
    done = subprocess.run(
        [sys.executable, "-m", "striate", "predict", str(trained[0]), "-", "--json"],
        input=squares[0].read_bytes(), capture_output=True, env=environment(), check=True,
    )  # fmt: skip
    (image,) = json.loads(done.stdout)["images"]
    assert (image["name"], image["top"][0]["class"]) == ("standard input", "squares")


def test_images_of_other_sizes_and_colors_are_adapted_and_it_is_said(trained, squares, tmp_path):
    large = tmp_path / "large.png"
    Image.open(squares[0]).resize((64, 64), Image.Resampling.NEAREST).convert("RGB").save(large)
    done = run("predict", str(trained[0]), str(large))
    assert done.code == 0 and "64x64 resized to 8x8" in done.out and "color converted to gray" in done.out


def test_unreadable_images_are_named_and_the_others_answered(trained, squares, tmp_path):
    (tmp_path / "a.png").write_bytes(squares[0].read_bytes())
    (tmp_path / "b.png").write_bytes(squares[0].read_bytes()[:50])
    (tmp_path / "c.png").write_text("no image")
    done = run("predict", str(trained[0]), str(tmp_path), "--json")
    found = json.loads(done.out)
    assert done.code == 2
    assert [image["name"] for image in found["images"]] == [str(tmp_path / "a.png")]
    assert [bad["name"] for bad in found["unreadable"]] == [str(tmp_path / "b.png"), str(tmp_path / "c.png")]
    assert "b.png" in done.err and "c.png" in done.err and "2 of 3 images could not be read" in done.err
    alone = run("predict", str(trained[0]), str(tmp_path / "c.png"))
    assert alone.code == 2 and alone.err.startswith("I004: the image cannot be read\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}"], "missing argument"),
        (["{run}", "missing.png"], "there is no missing.png"),
        (["{run}", "{empty}"], "has no images"),
        (["lenet5", "{image}"], "holds no weights"),
        (["{run}/model.safetensors", "{image}"], "give its folder {run}"),
        (["{run}", "{image}", "--json", "--csv"], "exclude each other"),
        (["{run}", "{image}", "--top", "0"], "at least 1"),
        (["{run}", "{image}", "-o", "/proc/answers"], "cannot be written"),
    ],
)
def test_predict_mistakes(trained, squares, tmp_path, arguments, said):
    known = {"run": trained[0], "image": squares[0], "empty": tmp_path}
    failed = run("predict", *(word.format(**known) for word in arguments))
    assert (failed.code, failed.out) == (2, "")
    assert said.format(**known) in failed.err and "I000" not in failed.err


def test_a_damaged_model_is_told(trained, squares, tmp_path):
    import shutil

    broken = tmp_path / "run"
    shutil.copytree(trained[0], broken)
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:100])
    failed = run("predict", str(broken), str(squares[0]))
    assert failed.code == 2 and "model.safetensors" in failed.err and "I000" not in failed.err
    (broken / "model.safetensors").unlink()
    failed = run("predict", str(broken), str(squares[0]))
    assert failed.code == 2 and "weights" in failed.err
