"""What pyproject.toml declares is what the source uses: no package for nothing, none that is missing."""

import ast
import functools
import re
import sys
import tomllib
from pathlib import Path

import pytest

from registry.imports import packages

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "striate"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
IMPORT_NAMES = {"pillow": "PIL", "scikit-learn": "sklearn", "scikit-image": "skimage"}
"""Where a package is imported by another name than it is installed by."""
TOOLS = {
    "pytest-timeout": "\ntimeout = ",
    "pytest-xdist": "--numprocesses",
    "ruff": "-m ruff",
    "mypy": "-m mypy",
    "import-linter": "importlinter.cli",
}
"""Developers' packages that are run rather than imported, and what runs or configures them."""


def package(line: str) -> str:
    """The package that a line of requirements names."""
    return re.match(r"[\w.-]+", line)[0]


BASE = {package(line) for line in PROJECT["project"]["dependencies"]}
EXTRAS = {
    extra: {package(line) for line in lines}
    for extra, lines in PROJECT["project"]["optional-dependencies"].items()
}


def import_name(name: str) -> str:
    return IMPORT_NAMES.get(name, name.replace("-", "_"))


@functools.cache
def used(folder: Path) -> set[str]:
    """Top-level names that the files of a folder import, or look for by name (find_spec, import_module)."""
    names, known = set(), set(map(import_name, BASE.union(*EXTRAS.values())))
    for path in folder.rglob("*.py"):
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        names |= packages(tree)
        if "find_spec" in text or "import_module" in text:
            said = {
                n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
            names |= said & known
    return names - sys.stdlib_module_names - {"striate", "__future__", ""}


@pytest.mark.parametrize("name", sorted(BASE.union(*(EXTRAS[extra] for extra in EXTRAS if extra != "dev"))))
def test_a_declared_package_is_used(name):
    assert import_name(name) in used(SOURCE)


@pytest.mark.parametrize("name", sorted(EXTRAS["dev"]))
def test_a_package_of_the_developers_is_used(name):
    if name in TOOLS:
        assert TOOLS[name] in (ROOT / "Makefile").read_text("utf-8") + (ROOT / "pyproject.toml").read_text(
            "utf-8"
        )
    else:
        assert import_name(name) in used(ROOT / "tests")


def test_an_imported_package_is_declared():
    declared = set(map(import_name, BASE.union(*(EXTRAS[extra] for extra in EXTRAS if extra != "dev"))))
    assert used(SOURCE) - used(SOURCE / "peers") <= declared
    peers = (
        "bench/requirements.txt",
        "tests/oracles/requirements.txt",
        "tests/oracles/requirements-nodeps.txt",
    )
    measured = {package(line) for name in peers for line in (ROOT / name).read_text("utf-8").splitlines()
                if line and line[0].isalnum()}  # fmt: skip
    assert used(SOURCE / "peers") <= declared | set(map(import_name, measured))


def test_a_message_names_extras_that_exist():
    named = {
        extra
        for folder in ("src", "docs", "tests/golden")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".py", ".md", ".txt"}
        for found in re.findall(r"striate\[([\w,-]+)\]", path.read_text("utf-8"))
        for extra in found.split(",")
    }
    readme = re.findall(r"(?:striate|\.)\[([a-z,-]+)\]", (ROOT / "README.md").read_text("utf-8"))
    named |= {extra for found in readme for extra in found.split(",")}
    assert named <= EXTRAS.keys() and {"onnx", "torch", "keras", "samples"} <= named


def test_untyped_packages_are_imported():
    """mypy's list of packages that it does not follow names none that nobody imports."""
    (override,) = PROJECT["tool"]["mypy"]["overrides"]
    assert {name.removesuffix(".*") for name in override["module"]} <= used(SOURCE)
