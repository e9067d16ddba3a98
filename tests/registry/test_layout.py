"""Habits of the whole repository: readable files, nothing left behind, one version, working entry points."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

import striate

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LONGEST = 500  # lines; above about 450 a file is asked whether it is still one room


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows; where there is no git (an unpacked archive), the files on disk."""
    answer = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        return [
            path
            for pattern in patterns
            for path in ROOT.glob(f"**/{pattern}")
            if not {".venv", ".venv-bench"} & {*path.parts}
        ]
    return [path for name in answer.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST
    }
    assert not long


@pytest.mark.parametrize(
    "left_behind", [r"\b(TODO|FIXME|XXX)\b", r"(?<![\w.])/(home|root|Users)/\w", r"\bbreakpoint\(\)"]
)
def test_nothing_is_left_behind(left_behind):
    this = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.md", "*.toml", "Makefile")
        if path != this
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(left_behind, line)
    ]
    assert not found


def test_one_version():
    """The version stands in striate/version.py only; the changelog starts with it or "Unreleased"."""
    assert "version" in PROJECT["project"]["dynamic"]
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest and newest[1].split()[0] in {"Unreleased", striate.__version__}


def test_the_package_is_typed_and_licensed():
    assert (ROOT / "src" / "striate" / "py.typed").is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_ci_is_executable():
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR


def test_bare_make_lists_every_target():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    help_text = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make (\w+)  +\S", help_text, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())
    assert set(listed) >= {"tour", "test", "check", "golden", "bench", "docs", "clean"}


def test_markers_and_their_packages_agree(pytestconfig):
    """Every marker of pyproject.toml is a group that conftest.py knows how to skip."""
    declared = {re.match(r"\w+", line)[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    conftest = next(
        plugin for plugin in pytestconfig.pluginmanager.get_plugins() if hasattr(plugin, "PACKAGES_OF")
    )
    assert declared == conftest.PACKAGES_OF.keys()


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in tracked("*.md")
        for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text("utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken
