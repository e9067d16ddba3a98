"""Every script in examples/ runs as a person would run it, and prints what it printed before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from train.data.makers import needs

SAMPLES = {"textures": "skimage"}  # example -> the package whose wheel holds its images
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(golden, path, tmp_path):
    """From another folder, warnings being errors."""
    if path.stem in SAMPLES:
        needs(SAMPLES[path.stem])
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir()), "an example leaves files after"
    golden(f"examples/{path.stem}.txt", done.stdout)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_says_what_it_shows(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 40
    assert ast.get_docstring(ast.parse(text))


def test_there_are_examples():
    assert len(EXAMPLES) >= 5
