"""What a person types in the first hour: names that are nearly right, arguments that are missing, files that exist."""

import json
import re

import click
import pytest

import striate as st
from cli.run import run
from striate.cli.app import COMMANDS, app
from striate.diagnostics import OpError, UnknownNameError
from striate.ops import Conv


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# tour and doctor need no argument: they would do all their work.
@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"data", "report", "draw", "lab", "tour", "doctor"}))
def test_a_missing_argument_is_answered_with_an_example(command):
    done = run(command)
    if "missing argument" in done.err:
        assert re.search(rf"such as striate {command} \S+", done.err)
    assert "I000" not in done.err and done.code in (0, 2)


@pytest.mark.parametrize(("word", "name"), [("resnet20", "cifar_resnet20"), ("resnt18", "resnet18")])
def test_the_nearest_model_is_named(word, name):
    with pytest.raises(UnknownNameError) as caught:
        st.create(word)
    assert f"'{name}'" in caught.value.fix


def test_models_are_found_by_family_as_in_the_shell():
    assert st.list_models("resnet") == st.list_models("ResNet") != ()
    assert [*st.list_models("resnet")] == re.findall(r"resnet\d+", run("models", "resnet", "--json").out)[:5]


@pytest.mark.parametrize("words", [["eval", "nothing"], ["predict", "nothing", "cat.png"]])
def test_a_run_that_is_not_there_is_told_as_a_run(words, tmp_path):
    done = run(*words)
    assert "a run is a folder that training writes" in done.err and "striate train" in done.err
    st.Model("8x8x1 -> flatten -> fc 2").save(tmp_path / "runs" / "mine")
    assert "give one of the folders here: runs/mine" in run(*words).err


def test_a_file_that_is_not_there_is_a_file():
    done = run("check", "net.yaml")
    assert "there is no file net.yaml" in done.err and "net:yaml" not in done.err


def test_a_folder_without_models_says_so():
    assert "this folder is not that of a model" in run("check", ".").err


@pytest.mark.parametrize("name", ["activation", "input_shape"])
def test_ops_in_python_are_answered_in_python(name):
    with pytest.raises(OpError) as caught:
        Conv(16, 3, **{name: "relu"})
    assert "->" not in caught.value.fix and "st.Builder" in caught.value.fix


@pytest.mark.parametrize("out", ["net.onnx", "net.pth", "net.toml"])
def test_convert_says_what_it_replaces_and_that_weights_are_fresh(out):
    first = run("convert", "8x8x1 -> conv 3x3 2", out)
    assert "is replaced" not in first.err
    assert ("random numbers" in first.out) == (out != "net.toml")
    assert f"{out} existed and is replaced" in run("convert", "8x8x1 -> conv 3x3 2", out).err


def test_a_change_beyond_ten_times_is_a_factor():
    text = run("diff", "lenet5", "vgg16").out
    assert re.search(r"x[\d,]{3,}", text) and not re.search(r"\+\d{4,}\.", text)


@pytest.mark.parametrize(
    ("size", "drawn"), [("1x28x28", "0 of 12 nodes"), ("7x7x1", "3 of 12 nodes"), ("28x28x1", "12 nodes")]
)
def test_a_network_that_ends_early_says_how_many_nodes_it_has(size, drawn):
    assert re.search(rf", {drawn}$", run("show", "lenet5", "--input", size).out, re.MULTILINE)


WRITERS = {
    "show": ["lenet5"],
    "check": ["lenet5", "--output-format", "sarif"],
    "explain": ["G002"],
    "diff": ["lenet5", "vgg11"],
    "draw": ["lenet5"],
    "report": ["7x7x1 -> conv 3x3"],
    "eval": ["RUN"],
    "predict": ["RUN", "IMAGE"],
    "attribute": ["RUN", "IMAGE"],
    "probe": ["8x8x1 -> conv 3x3 2 -> relu", "--node", "conv1"],
    "nearest": ["RUN", "--node", "conv1"],
    "bench": ["7x7x1 -> conv 3x3", "--stage", "plan"],
}
"""Commands with -o, and what they write."""


def test_every_command_with_an_output_file_is_tried():
    having = {
        name
        for name in COMMANDS
        for option in app.get_command(click.Context(app), name).get_params(click.Context(app))
        if "-o" in option.opts
    }
    assert having == WRITERS.keys()


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_that_was_written_is_told_with_its_size(command, trained, images, tmp_path):
    """One line on standard error, nothing on standard output."""
    image = str(next((images / "test").rglob("*.png")))
    words = [{"RUN": str(trained[0]), "IMAGE": image}.get(word, word) for word in WRITERS[command]]
    pictures = dict.fromkeys(("draw", "diff", "attribute", "nearest"), "a.svg")
    path = tmp_path / {**pictures, "report": "a.html"}.get(command, "a.txt")
    done = run(command, *words, "-o", str(path))
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(path))}: [\d.]+ (?:B|KiB|MiB) written\n", done.err)
    assert run(command, *words, "-o", "-").err == ""


def test_a_run_without_a_name_has_that_of_its_folder(trained):
    """In headings; the network that is loaded is the one that was trained."""
    folder, title = str(trained[0]), trained[0].name
    assert json.loads(run("draw", folder, "--json").out)["drawing"]["title"] == title
    assert run("sizes", folder).out.startswith(f"{title}  ") and run("show", folder).out.startswith(
        f"{title}  "
    )
    assert f"<title>{title}</title>" in run("report", folder).out
    assert st.load(folder).name == "net" and st.load(folder) == st.Model.load(folder).net
