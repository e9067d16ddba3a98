"""TikZ: a document that plain pdflatex sets, whatever a network's nodes are called."""

import re
import shutil
import string
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import striate
from results import evaluation, history
from striate.views.drawing.frame import finished
from striate.views.drawing.kinds import KINDS, RESULTS
from striate.views.drawing.sheet import Sheet
from striate.views.drawing.tikz import LATIN, SPELLED, spelled, tikz


def sheet(text: str) -> dict:
    page = Sheet()
    page.rect(0, 0, 50, 20, "conv", "line", round=5, dash=True)
    page.path([(0, 40), (30, 40), (30, 60)], "", "ink", bend=6, arrow=True, thick=2)
    page.path([(0, 40), (30, 40), (30, 60)], "conv-top", "line", closed=True)
    page.text(10, 80, text, anchor="end", bold=True)
    page.cells(0, 100, 8, [[0, 255], [None, 128]], "counts")
    return finished("blocks", page, "marks", "all")


def set_by_latex(folder, text: str) -> str:
    """The log of pdflatex on a document. Fails where it stops."""
    (folder / "a.tex").write_text(text, encoding="utf-8")
    answer = subprocess.run(
        [shutil.which("pdflatex"), "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "a.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-2000:]
    assert (folder / "a.pdf").is_file()
    return answer.stdout


@pytest.mark.latex
@pytest.mark.parametrize("model", ["lenet5", "7x7x1 -> conv 3x3 /3 -> conv 9x9", "resnet18"])
def test_a_picture_is_set_by_plain_pdflatex_on_one_page(tmp_path, model):
    log = set_by_latex(tmp_path, tikz(striate.draw(model).scene["drawing"]))
    assert "(1 page" in log
    assert "Overfull" not in log


KINDS_OPTIONS = {
    "blocks": {"cost": True},
    "graph": {"direction": "right"},
    "pixels": {"compare": True},
    "field": {},
    "layer": {"numbers": True, "animate": True},
    "filters": {"numbers": True},
    "maps": {
        "node": ["conv1", "relu1"],
        "image": [[[(3 * i + j) % 7 / 6 for j in range(9)] for i in range(9)]],
    },
    "fc": {},
}
"""Of a network of 9 x 9 pixels; the options that bring marks of all sorts."""


@pytest.mark.latex
@pytest.mark.parametrize("kind", [*KINDS, *RESULTS])
def test_every_kind_is_set_by_plain_pdflatex(tmp_path, kind):
    if kind in RESULTS:
        source, options = history(9, resumed=(4,)) if kind == "training" else evaluation(), {}
    else:
        source, options = "9x9x1 -> conv 3x3 2 -> relu -> maxpool 2 -> flatten -> fc 3", KINDS_OPTIONS[kind]
    if kind == "maps":
        options = options | {"image": np.array(options["image"], np.float32)}
    log = set_by_latex(tmp_path, striate.draw(source, kind, **options).content(".tex").decode())
    assert "(1 page" in log
    assert "Overfull" not in log and "Missing character" not in log


@pytest.mark.latex
def test_every_sign_is_set(tmp_path):
    text = string.printable[:95] + "".join(SPELLED) + LATIN
    log = set_by_latex(tmp_path, tikz(sheet(text)))
    assert "Missing character" not in log


@given(st.text())
def test_no_text_is_a_command(text):
    """What a name holds is set as letters: it cannot begin a command, a comment or a formula."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (line,) = (line for line in tikz(sheet(text)).split("\n") if line.startswith(r"\node"))
    inside = re.split(r" at \([-\d.]+,[-\d.]+\) \{", line, maxsplit=1)[1]
    assert inside == "".join(map(spelled, text)) + "};"


@given(st.characters())
def test_a_character_is_itself_or_spelled_or_a_question_mark(character):
    written = spelled(character)
    assert written == SPELLED.get(
        character, character if character.isprintable() and character != "?" else "?"
    ) or (written == "?")


def test_what_latex_cannot_set_is_said():
    with pytest.warns(UserWarning, match="層"):
        tikz(sheet("層"))


def test_a_picture_longer_than_tex_can_measure_is_shrunk():
    drawing = {**sheet("a"), "height": 40_000}
    line = next(line for line in tikz(drawing).splitlines() if "paperheight" in line)
    assert float(line.partition("paperheight=")[2].partition("bp")[0]) <= 14_000
