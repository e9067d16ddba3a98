"""`--engine torch` and `--device` wherever something is computed, and `--amp`."""

import json
import sys
import warnings
from pathlib import Path

import pytest

import striate
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
    assert done.code == 2 and "run it without torchrun" in done.err


# ---------------------------------------------------------------- a module as MODEL
SPELLED = [
    "stripes:model",
    "stripes.py",
    "stripes.py:model",
    "stripes:Net",
    "stripes:made",
    "stripes:holder.inside",
]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """PyTorch source as a person writes it: without Striate's own comments."""
    from striate.formats.torch.note import HEAD
    from striate.formats.torch.python_source import source

    monkeypatch.chdir(tmp_path)
    text, _, _ = source(striate.parse(NET)).partition(HEAD)
    more = "import torch\n\n\ndef made():\n    return Net()\n\n\nholder = torch.nn.Module()\nholder.inside = model\n"
    Path("stripes.py").write_text(text + more)
    yield
    sys.modules.pop("stripes", None)


@pytest.mark.torch
@pytest.mark.parametrize("name", SPELLED)
def test_a_module_is_as_good_as_a_name(module, name):
    found, wanted = (json.loads(run("show", m, "--json").out) for m in (name, NET))
    assert found["nodes"] == wanted["nodes"] and found["totals"] == wanted["totals"]


@pytest.mark.torch("onnx")
def test_every_command_takes_a_module_and_its_export(module, images):
    import torch

    space = {}
    exec(Path("stripes.py").read_text(), space)
    net = space["model"].eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 1, 8, 8),), "stripes.onnx", dynamo=False)
    wanted = json.loads(run("show", NET, "--json").out)["totals"]
    picture = str(next((images / "test").rglob("*.png")))
    for name in ("stripes:model", "stripes.onnx"):
        assert json.loads(run("show", name, "--json").out)["totals"] == wanted
        for words in (
            ["check", name], ["sizes", name], ["pixels", name], ["diff", name, NET],
            ["convert", name, "out.safetensors"], ["convert", name, "out.onnx"],
            ["eval", name, "--data", str(images)], ["predict", name, picture, "--mean", "0", "--std", "1"],
            ["train", "--data", str(images), "--model", name, "--fast-dev-run"],
        ):  # fmt: skip
            done = run(*words)
            assert done.code in (0, 1) and done.out, (words, done.err)
    state = {key: array.detach().numpy() for key, array in net.state_dict().items()}
    again = striate.load("stripes.onnx").weights
    assert state.keys() == again.keys() and all((state[key] == again[key]).all() for key in state)
