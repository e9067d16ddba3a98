"""The built module of the live page is the one that the source in web/ gives, and its types hold."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUILT = ROOT / "src" / "striate" / "views" / "static" / "striate.js"


@pytest.mark.npm
def test_the_types_hold():
    done = subprocess.run(["npm", "run", "--silent", "check"], cwd=WEB, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.npm
def test_the_module_is_built_from_its_source(tmp_path):
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=WEB, check=True)
    for built in (
        BUILT,
        BUILT.with_suffix(".css"),
        BUILT.with_name("experiment.js"),
        BUILT.with_name("lab.js"),
    ):
        assert (tmp_path / built.name).read_bytes() == built.read_bytes(), "npm run --prefix web build"


@pytest.mark.parametrize(("name", "most"), [("striate", 150_000), ("experiment", 30_000)])
def test_the_module_is_small_and_asks_for_nothing(name, most):
    text = BUILT.with_name(f"{name}.js").read_text("ascii")
    assert len(text) <= most
    for word in ("eval(", "new Function", "import(", "importScripts", "</script"):
        assert word not in text
