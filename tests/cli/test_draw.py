"""`striate draw` as a process of its own: what it loads, how large its files are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.run import run
from striate.views.drawing.kinds import KINDS

HEAVY = {"PIL", "jinja2", "llvmlite", "torch", "numpy", "onnx", "h5py"}


def loaded(*words):
    code = (
        "import json, sys\n"
        f"sys.argv = ['striate', *{list(words)!r}]\n"
        "from striate.cli import main\n"
        "assert not main()\n"
        "sys.stderr.write('LOADED' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.rpartition("LOADED")[2])}


@pytest.mark.parametrize("kind", ["blocks", "graph"])
def test_it_loads_no_more_packages_than_show(kind, tmp_path):
    output = tmp_path / "x.svg"
    drawing = loaded("draw", "resnet50", "--kind", kind, "-o", str(output))
    shown = loaded("show", "resnet50")
    assert not (drawing - shown) - sys.stdlib_module_names
    assert not drawing & HEAVY
    assert output.stat().st_size < 300_000


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"filters", "maps"}))
def test_only_kinds_that_show_numbers_load_numpy(kind, tmp_path):
    assert not loaded("draw", "lenet5", "--kind", kind, "-o", str(tmp_path / "x.svg")) & HEAVY
    (tmp_path / "x.svg").unlink()
    assert loaded("draw", "lenet5", "--kind", "filters", "-o", str(tmp_path / "x.svg")) & HEAVY == {"numpy"}


@pytest.mark.parametrize("model", ["resnet152", "densenet201", "vgg19", "googlenet"])
def test_files_are_small(model):
    assert len(run("draw", model).out) < 300_000


def test_standard_output_and_a_file_hold_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = run("draw", "lenet5")
    assert (printed.code, printed.err) == (0, "")
    assert run("draw", "lenet5", "-o", "a.svg").code == 0
    assert Path("a.svg").read_text("utf-8") == printed.out
    assert run("draw", "lenet5", "-o", "a.json").code == 0
    assert json.loads(Path("a.json").read_text("utf-8")) == json.loads(run("draw", "lenet5", "--json").out)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_a_terminal_gets_no_markup(tmp_path, monkeypatch):
    """It is told how the picture is written; pipes, files and `-o -` get the picture."""
    from cli.terminals import terminal

    monkeypatch.chdir(tmp_path)
    for words, file, size in (
        (["draw", "lenet5"], "lenet5.svg", "pixels"),
        (["draw", "32x32x3 -> conv 5x5 6", "--kind", "layer"], "conv1-conv-5x5-6.svg", "pixels"),
        (["report", "lenet5"], "lenet5.html", "HTML page"),
    ):
        seen = terminal(80, *words, NO_COLOR="1")
        first, write, show = seen.splitlines()
        assert size in first and write.split() == ["write", "it", "-o", file]
        assert "-o -" in show and "<" not in seen
    assert terminal(80, "draw", "lenet5", "-o", "-") == run("draw", "lenet5").out
    assert json.loads(terminal(80, "draw", "lenet5", "--json"))["schema"] == "striate.scene/1"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "near"),
    [(["--kind", "block"], "blocks"), (["-o", "x.jpeg"], "x.png"), (["--theme", "drak"], "dark")],
)
def test_a_wrong_word_names_the_nearest(options, near, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed = run("draw", "lenet5", *options)
    assert (failed.code, failed.out) == (2, "")
    assert near in failed.err
    assert not list(tmp_path.iterdir())


def test_results_of_runs_are_drawn(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = str(trained[0])
    assert run("draw", folder, folder, "--kind", "training", "-o", "t.svg").code == 0
    assert run("eval", folder, "--json", "-o", "eval.json").code == 0
    for source in (folder, "eval.json"):
        for kind in ("confusion", "calibration"):
            printed = run("draw", source, "--kind", kind)
            assert (printed.code, printed.err) == (0, "")
            assert kind in printed.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lenet5", "vgg16"], "--kind training"),
        (["docs/runs/adam"], "striate draw docs/runs/adam --kind training"),
        (["docs/runs"], "the folder of a run"),
        (["lenet5", "--kind", "training"], "does not hold a run"),
        (["lenet5", "--kind", "confusion"], "striate eval lenet5"),
        (["a", "b", "--kind", "calibration"], "one at a time"),
    ],
)
def test_what_is_no_result_is_refused(words, said):
    failed = run("draw", *words)
    assert (failed.code, failed.out) == (2, "")
    assert said in failed.err
