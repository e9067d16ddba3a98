"""Sizes in the other convention's order are taken as they stand, and that is said."""

import warnings

import pytest

import striate
from cli.run import run
from striate.models.catalogue import entries
from striate.network import Builder


@pytest.mark.parametrize("text", ["3x32x32", "3x224x224", "3x224x160", "1x28x28"])
def test_channels_first_in_the_notation(text):
    channels, *sides = text.split("x")
    meant = "x".join([*sides, channels])
    with pytest.warns(UserWarning, match=f"{text} is read as height x width x channels.*write {meant}"):
        net = striate.parse(f"{text} -> relu")
    assert net.input.without_batch == (int(sides[1]), int(channels), int(sides[0]))  # taken as it is
    for command in (["check", f"{text} -> relu"], ["show", "32x32x3 -> relu", "--input", text]):
        done = run(*command)
        if text.startswith("3") or command[0] == "check":
            assert done.err.startswith(f"note: {text} is read as") and done.err.count("\n") == 1


@pytest.mark.parametrize("shape", [(64, 64, 3), (224, 160, 3)])
def test_channels_last_in_python(shape):
    meant = f"write \\({shape[2]}, {shape[0]}, {shape[1]}\\)"
    with pytest.warns(UserWarning, match=meant) as said:
        striate.create("squeezenet1_1", input=shape)
    assert said[0].filename == __file__
    with pytest.warns(UserWarning, match=meant):
        Builder(input=shape)


USUAL = [
    "32x32x3",
    "28x28",
    "28x28x1",
    "3x3x1",
    "5x5x3",
    "1d 100x3",
    "1x128x64",
    "7x7x512",
    "3x3x64",
    "16x16x16x1",
    "10",
]


@pytest.mark.parametrize("text", USUAL)
def test_usual_sizes_pass_in_silence(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        striate.parse(f"{text} -> relu")
        assert run("check", f"{text} -> relu").err == ""


def test_no_network_of_the_catalogue_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for entry in entries():
            striate.create(entry.name, input=entry.input)
            break
        for entry in entries():
            Builder(input=entry.input)


MODULE = """
import torch
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
"""


@pytest.mark.torch
def test_an_assumed_input_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_here.py").write_text(MODULE)
    for name in ("nets_here.py", "nets_here:net"):
        said = run("show", name)
        assert said.code == 0
        assert "does not declare its input size: 224x224x3 is assumed; --input HxWxC" in said.err
        assert run("show", name, "--input", "64x64x3").err == ""
