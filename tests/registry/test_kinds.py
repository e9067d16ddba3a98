"""A kind of picture is complete: its file, options, facts, schema, tests, and a picture of the docs."""

import ast
import dataclasses
import inspect
import re

import pytest

import striate as st
from registry.test_layout import ROOT
from striate.cli.draw import command
from striate.diagnostics import OpError, speaking_shell
from striate.views.drawing import kinds
from striate.views.drawing.kinds import KINDS, RESULTS, kind_module, kinds_with
from striate.views.drawing.request import DEFAULTS, OPTIONS, Request
from striate.views.drawing.scene import fitting
from striate.views.schemas import facts
from striate.views.schemas.page import FACTS

EVERY = [*KINDS, *RESULTS]
FOR_ALL = {"model"}
"""Attributes of a request that no option of a kind sets."""
OTHER = {
    "nodes": ("conv1",), "several_nodes": ("conv1", "conv2"), "unit": (0, 0), "fold": False, "speed": 3.0,
    "image": [[0]],
}  # fmt: skip
"""A value other than the default of each option; True for the others."""


def asking(option: str) -> Request:
    """A request with one option."""
    name = "nodes" if option == "several_nodes" else option
    return dataclasses.replace(DEFAULTS, **{name: OTHER.get(option, True)})


def read(tree: ast.AST) -> set[str]:
    """Attributes of `request` that code reads."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "request"
    }


def test_every_file_is_a_kind():
    folder = ROOT / "src/striate/views/drawing/kinds"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(EVERY)
    assert not KINDS.keys() & RESULTS.keys()
    assert all(KINDS.values()) and all(RESULTS.values())


@pytest.mark.parametrize("kind", EVERY)
def test_a_kind_is_complete(kind):
    module = kind_module(kind)
    assert re.match(rf"Kind `{kind}`:", module.__doc__)
    taken = ["net", "show", "request"] if kind in KINDS else None
    found = [*inspect.signature(module.facts).parameters]
    assert found == taken or (taken is None and len(found) == 1)
    assert [*inspect.signature(module.drawing).parameters] == ["record", "request"]
    assert getattr(facts, module.facts.__annotations__["return"]) is FACTS[kind]
    assert (ROOT / f"tests/views/drawing/kinds/test_{kind}.py").is_file()
    assert f"`--kind {kind}`" in (ROOT / "docs/pictures.md").read_text("utf-8")


@pytest.mark.parametrize("kind", EVERY)
def test_a_kind_names_the_options_that_it_reads(kind):
    module = kind_module(kind)
    assert set(module.OPTIONS) <= OPTIONS.keys()
    used = {"nodes" if name == "node" else name for name in read(ast.parse(inspect.getsource(module)))}
    assert used - FOR_ALL == set(module.OPTIONS) - {"several_nodes"}


def test_options_are_those_of_the_command_and_of_python():
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {option.flag for option in OPTIONS.values()} <= flags
    assert {option.argument for option in OPTIONS.values()} <= inspect.signature(st.draw).parameters.keys()
    held = {field.name for field in dataclasses.fields(Request)} - FOR_ALL
    assert held == OPTIONS.keys() - {"several_nodes"}
    assert all(map(kinds_with, OPTIONS))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", EVERY)
def test_an_option_of_other_kinds_is_refused(kind, option):
    """The fix is a kind that takes it."""
    request = asking(option)
    assert option in request.given()
    if set(request.given()) <= set(kind_module(kind).OPTIONS):
        fitting(kind, request)
        return
    with speaking_shell(), pytest.raises(OpError) as error:
        fitting(kind, request)
    refused = next(name for name in request.given() if name not in kind_module(kind).OPTIONS)
    assert error.value.fix.removeprefix("--kind ") in kinds_with(refused)
    assert all(name in error.value.why for name in kinds_with(refused))
    assert error.value.where == f"striate draw {OPTIONS[option].flag}"


def test_nothing_is_given_by_default():
    assert not [*DEFAULTS.given()]
    assert not [*Request(numbers=False).given()]


def test_an_incomplete_kind_is_found(monkeypatch, tmp_path):
    """A file without options, and one that reads an option which it does not name."""
    monkeypatch.setattr(kinds, "__path__", [str(tmp_path), *kinds.__path__])
    (tmp_path / "lacking.py").write_text('"""Kind `lacking`: nothing."""\n')
    with pytest.raises(AttributeError, match="facts"):
        test_a_kind_is_complete("lacking")
    with pytest.raises(AttributeError, match="OPTIONS"):
        test_a_kind_names_the_options_that_it_reads("lacking")
    (tmp_path / "reading.py").write_text(
        "OPTIONS = ()\n\n\ndef drawing(record, request):\n    return request.cost\n"
    )
    with pytest.raises(AssertionError):
        test_a_kind_names_the_options_that_it_reads("reading")
