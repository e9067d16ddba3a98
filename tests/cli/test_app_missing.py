"""Without the optional packages: what is missing, and the one command that installs it; everything else goes on."""

import sys
from pathlib import Path

import pytest

from cli.run import run
from keras_files import archive, layer, sequential
from striate.extras import install_command
from striate.formats.torch.python_source import source
from striate.models import catalogue

COMMANDS = {
    ("onnx", "onnx"): [
        ["show", "m.onnx"], ["check", "m.onnx"], ["sizes", "m.onnx"], ["pixels", "m.onnx"],
        ["diff", "m.onnx", "lenet5"],
        ["convert", "lenet5", "out.onnx"], ["convert", "m.onnx", "out.toml"], ["bench", "m.onnx"],
        ["eval", "m.onnx", "--data", "digits"], ["predict", "m.onnx", "cat.png"],
    ],
    ("torch", "torch"): [
        ["show", "mine.py"], ["check", "mine:module"], ["bench", "mine.py"],
        ["train", "--data", "digits", "--model", "lenet5", "--engine", "torch", "--fast-dev-run"],
    ],
    ("h5py", "keras"): [["convert", "m.keras", "out.pth"], ["predict", "m.keras", "cat.png"]],
}  # fmt: skip
"""(package, Striate's optional part that brings it) -> commands that cannot do without."""
CASES = [(*key, words) for key, commands in COMMANDS.items() for words in commands]


@pytest.fixture
def without(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(b"\x08\x08")
    Path("mine.py").write_text("import torch\nmodule = torch.nn.Conv2d(1, 1, 3)\n")
    Path("own.py").write_text(source(catalogue.create("lenet5")))
    archive("m.keras", sequential(layer("Conv2D", "conv", filters=2, kernel_size=[3, 3])), b"weights")
    yield lambda package: monkeypatch.setitem(sys.modules, package, None)
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(
    ("package", "extra", "words"), CASES, ids=lambda v: " ".join(v) if isinstance(v, list) else v
)
def test_what_is_missing_is_said(without, package, extra, words):
    without(package)
    there = sorted(path.name for path in Path().iterdir())
    done = run(*words)
    assert done.code == 2 and done.out == ""
    assert install_command(extra) in done.err and "I000" not in done.err
    assert sorted(path.name for path in Path().iterdir() if path.name != "__pycache__") == there


def test_what_needs_none_of_them(without):
    """Source of PyTorch that Striate wrote, state dicts, and the architecture of a Keras file."""
    for package in ("torch", "onnx", "h5py"):
        without(package)
    for words in (
        ["show", "own.py"], ["check", "m.keras"], ["convert", "own.py", "w.pth"],
        ["convert", "w.pth", "w.safetensors"], ["convert", "m.keras", "net.py"],
    ):  # fmt: skip
        done = run(*words)
        assert done.code in (0, 1), done.err
