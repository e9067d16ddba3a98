"""`striate report`: where it writes, what it refuses, what it loads."""

import html
import re
import shlex
import sys
from pathlib import Path

import pytest

from cli.run import run, spawn
from cli.test_draw import loaded

STRIDE_3 = "7x7x1 -> conv 3x3 /3"


def test_standard_output_and_a_file_hold_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = run("report", "lenet5")
    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith("<!DOCTYPE html>")
    Path("page.html").write_text("an older one", "utf-8")
    done = run("report", "lenet5", "-o", "page.html")
    assert (done.code, done.out) == (0, "") and re.fullmatch(r"page\.html: [\d.]+ KiB written\n", done.err)
    assert Path("page.html").read_text("utf-8") == printed.out
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("name", ["page.pdf", "page", "page.json"])
def test_another_ending_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed = run("report", "lenet5", "-o", name)
    assert (failed.code, failed.out) == (2, "")
    assert "page.html" in failed.err
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path):
    failed = run("report", "lenet5", "-o", str(tmp_path / "nowhere" / "page.html"))
    assert failed.code == 2
    assert "cannot be written" in failed.err


def test_a_network_that_fails_is_no_error():
    for model in (STRIDE_3, "12x12x3 -> conv 13x13"):
        done = run("report", model)
        assert (done.code, done.err) == (0, "")


def test_the_settings_of_the_folder_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ">G002<" in run("report", STRIDE_3).out
    Path("pyproject.toml").write_text('[tool.striate.check]\nignore = ["G002"]\n', "utf-8")
    assert ">G002<" not in run("report", STRIDE_3).out


def test_characters_that_the_terminal_lacks_are_references():
    done = spawn("report", "7x7x1 -> \u03b1: conv 3x3", encoding="ascii", PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert "&#945;" in done.out


def test_it_loads_what_it_fills_pages_with_and_no_more(tmp_path):
    page = tmp_path / "page.html"
    filled = loaded("report", "resnet18", "-o", str(page))
    assert {"jinja2", "markupsafe"} <= filled
    assert not filled & {"PIL", "llvmlite", "torch", "onnx", "numpy"}
    filled = loaded("report", "lenet5", "-o", str(page))  # small enough to compute inside the page
    assert "numpy" in filled, "its weights are arrays"
    assert not filled & {"PIL", "llvmlite", "torch", "onnx"}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("lenet5", (), "striate draw lenet5 --kind"),
        ("lenet5", ("--input", "40"), "striate draw lenet5 --input 40x40x1 --kind"),
        ("8x8x3 -> conv 3x3 4", (), "striate draw '8x8x3 -> conv 3x3 4' --kind"),
    ],
)
def test_the_command_of_a_picture_that_is_left_out_draws_it(model, options, said, monkeypatch, tmp_path):
    monkeypatch.setattr("striate.views.html.figure.MAX_PICTURE_BYTES", 0)
    monkeypatch.chdir(tmp_path)
    page = run("report", model, *options).out
    assert html.escape(said, quote=False).replace("'", "&#39;") in page and "<svg" not in page
    (command,) = set(re.findall(r"(striate draw [^<]* --kind pixels -o pixels.svg)", html.unescape(page)))
    assert run(*shlex.split(command)[1:]).code == 0
    assert Path("pixels.svg").read_text("utf-8").startswith("<svg")


def test_without_jinja2_the_install_command_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("striate.views.html.document")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    failed = run("report", "lenet5")
    assert (failed.code, failed.out) == (2, "")
    assert failed.err.startswith("I007: jinja2 is not installed") and "pip install jinja2" in failed.err
