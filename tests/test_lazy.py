"""The public names: one list, loaded on use; modules that can be imported by name."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import striate

STUBS = sorted(Path(striate.__file__).parent.rglob("__init__.pyi"))


def package(stub):
    return ".".join(("striate", *stub.parent.relative_to(Path(striate.__file__).parent).parts))


@pytest.mark.parametrize("stub", STUBS, ids=package)
def test_a_stub_holds_nothing_but_names_that_are_there(stub):
    """What a type checker reads is what a program gets, and every line of it."""
    module = importlib.import_module(package(stub))
    names = []
    for line in ast.parse(stub.read_text("utf-8")).body:
        assert isinstance(line, ast.ImportFrom) and len(line.names) == 1
        (alias,) = line.names
        assert alias.asname == alias.name, "only `from A import B as B` is public to type checkers"
        names.append(alias.name)
        home = importlib.import_module(line.module)
        value = getattr(module, alias.name)
        there = (
            home.__dict__.get(alias.name, None) if line.module == package(stub) else getattr(home, alias.name)
        )
        assert value is there
    assert sorted(names) == module.__all__ == sorted({*names})
    assert {*names} <= {*dir(module)}


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(AttributeError, match="did you mean analyze"):
        striate.analyse  # noqa: B018
    with pytest.raises(ImportError):
        from striate import annalyze  # noqa: F401


@pytest.mark.parametrize(
    "line",
    [
        "import striate.functional as F; F.conv2d; assert F is __import__('striate').functional",
        "from striate.functional import max_pool2d",
        "import striate.transforms as T; T.Resize((8, 8))",
        "from striate.ops import Conv, MaxPool",
        "import striate as st; st.explain('G002'); st.explain('G003')",
        "import striate as st; st.list_models('vgg*'); st.CheckConfig(); st.Settings(); st.open_data",
        "from striate import *; analyze('lenet5'); functional.conv2d",
    ],
)
def test_what_people_import_first(line):
    answer = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_names_of_torchvision_lead_to_ours():
    with pytest.raises(AttributeError, match=r"did you mean PadCrop\(padding\)"):
        striate.transforms.RandomCrop  # noqa: B018


def test_a_function_with_the_name_of_a_package_stays_a_function():
    """Python sets a package's attribute when a module in it is imported: that would replace the function."""
    lines = (
        "import striate.probe.maps, striate as st; assert st.probe.__name__ == 'probe' and callable(st.probe)",
        "import striate as st; st.probe; from striate.probe import maps; assert not hasattr(st.probe, 'maps')",
        "from striate import probe; import striate.probe.tuning; assert probe is striate.probe",
    )
    for line in lines:
        answer = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
