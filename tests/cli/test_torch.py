"""`--engine torch` and `--device` wherever something is computed, and `--amp`."""

import json

import pytest

from cli.conftest import NET
from cli.run import run


def train(images, out, *more):
    return run("train", "--data", str(images), "--model", NET, "--out", str(out), "--epochs", "2", *more)


@pytest.mark.torch
def test_train_eval_and_predict_on_torch(images, tmp_path):
    done = train(images, tmp_path / "run", "--engine", "torch", "--device", "cpu", "--amp")
    assert (done.code, done.err) == (0, "") and "engine torch · device cpu" in done.out
    said = []
    for engine in (("torch", "--device", "cpu"), ("numpy",)):
        judged = run("eval", str(tmp_path / "run"), "--json", "--engine", *engine)
        assert judged.code == 0, judged.err
        picture = str(next((images / "test").rglob("*.png")))
        answered = run("predict", str(tmp_path / "run"), picture, "--json", "--engine", *engine)
        assert answered.code == 0, answered.err
        best = json.loads(answered.out)["images"][0]["top"][0]
        said.append((json.loads(judged.out)["loss"], best["probability"]))
    assert said[0] == pytest.approx(said[1], rel=1e-4)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["environment"]["engine"] == "torch on cpu" and report["settings"]["amp"]
    again = run("train", "--resume", str(tmp_path / "run"), "--epochs", "3", "--engine", "numpy", "--no-amp")
    assert again.code == 0, again.err


@pytest.mark.torch
def test_the_rate_finder_on_torch(images):
    done = run("train", "--data", str(images), "--model", NET, "--find-lr", "--engine", "torch", "--json")
    assert done.code == 0, done.err


@pytest.mark.torch
@pytest.mark.parametrize("command", ["train", "eval", "predict"])
def test_a_device_that_is_not_there(images, trained, tmp_path, command):
    picture = str(next((images / "test").rglob("*.png")))
    arguments = {
        "train": ["--data", str(images), "--model", NET, "--out", str(tmp_path / "new")],
        "eval": [str(trained[0])],
        "predict": [str(trained[0]), picture],
    }[command]
    done = run(command, *arguments, "--engine", "torch", "--device", "gpu")
    assert done.code == 2 and "no device 'gpu'" in done.err and "Traceback" not in done.err
    assert not (tmp_path / "new").exists()


def test_what_numpy_cannot_do(images, tmp_path):
    done = train(images, tmp_path / "a", "--engine", "numpy", "--device", "cuda")
    assert done.code == 2 and "--engine torch --device cuda" in done.err
    done = train(images, tmp_path / "b", "--engine", "numpy", "--amp")
    assert done.code == 2 and "--engine torch, or --no-amp" in done.err
    assert not (tmp_path / "b").exists()  # refused before anything is written


def test_the_rate_finder_is_for_one_process(images, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run("train", "--data", str(images), "--model", NET, "--find-lr")
    assert done.code == 2 and "leave torchrun out" in done.err
