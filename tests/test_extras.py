"""The command that installs an optional part: one function says it, and it is right where Striate comes from."""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import striate
from striate.extras import install_command

ROOT = Path(striate.__file__).parent


class Distribution:
    def __init__(self, text):
        self.text = text

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.text


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'striate[torch]'"),
        ({"url": "https://index/striate.whl", "archive_info": {}}, "pip install 'striate[torch]'"),
        ({"url": "file:///clone", "dir_info": {"editable": True}}, "pip install '.[torch]'"),
        ({"url": "file:///clone", "dir_info": {}}, "pip install '.[torch]'"),
    ],
)
def test_the_command_follows_where_striate_comes_from(origin, command, monkeypatch):
    found = Distribution(origin and json.dumps(origin))
    monkeypatch.setattr(metadata, "distribution", lambda name: found)
    assert install_command("torch") == command


def test_a_source_tree_is_a_clone(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert install_command("onnx", "torch") == "pip install '.[onnx,torch]'"
    assert install_command("samples", upgrade=True) == "pip install -U '.[samples]'"


def test_every_part_exists():
    parts = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    used = {
        part
        for file in ROOT.rglob("*.py")
        for part in re.findall(r"""install_command\(["'](\w+)["']""", file.read_text("utf-8"))
    }
    assert len(used) >= 5 and used <= parts.keys()


def test_nothing_else_says_how_to_install_a_part():
    """On no index yet: `striate[torch]` is right only where the function says it, and with --find-links."""
    pages = [*ROOT.rglob("*.py"), *ROOT.parents[1].glob("docs/*.md"), *ROOT.parents[1].glob("examples/*.py")]
    said = [
        f"{file.name}: {line}"
        for file in pages
        if file.name != "extras.py"
        for line in file.read_text("utf-8").splitlines()
        if re.search(r"pip install .*striate\[", line) and "--find-links" not in line
    ]
    assert said == []
