"""Tests that can fail: none returns before it has asserted anything, and no helper's answer is thrown away."""

import ast
import functools
from pathlib import Path

import pytest

from registry.test_layout import ROOT, tracked

ASSERTS = {"raises", "warns", "fail", "skip", "importorskip"}
TRUTH = {"all", "any", "bool", "isinstance", "isclose", "allclose", "array_equal", "startswith", "endswith"}
"""Functions whose value is true or false."""


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def asserts(node: ast.AST) -> bool:
    """A statement that fails where something is wrong, whatever it calls."""
    return any(
        isinstance(part, ast.Assert) or (isinstance(part, ast.Call) and name_of(part.func) in ASSERTS)
        for part in ast.walk(node)
    )


def early_returns(body: list[ast.stmt], asserted: bool = False) -> list[int]:
    """Lines of a test's `return` statements with nothing asserted on the way to them, nested functions included."""
    found = []
    for statement in body:
        if isinstance(statement, ast.Return) and statement.value is None and not asserted:
            found.append(statement.lineno)
        for field in ("body", "orelse", "finalbody"):
            found += early_returns(getattr(statement, field, []), asserted)
        for handler in getattr(statement, "handlers", []):
            found += early_returns(handler.body, asserted)
        asserted = asserted or asserts(statement)
    return found


def truth(node: ast.expr | None) -> bool:
    match node:
        case ast.Compare() | ast.Constant(value=True | False) | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(truth, values))
        case ast.Call(func=func):
            return name_of(func) in TRUTH
    return False


def answers(function: ast.FunctionDef) -> bool:
    """A helper that says true or false: its call alone asserts nothing."""
    if function.returns is not None:
        return ast.unparse(function.returns) == "bool"
    inner = {id(part) for node in ast.walk(function) if node is not function and isinstance(node, ast.FunctionDef)
             for part in ast.walk(node)}  # fmt: skip
    returned = [
        node.value for node in ast.walk(function) if isinstance(node, ast.Return) and id(node) not in inner
    ]
    return bool(returned) and all(map(truth, returned))


@functools.cache
def helpers(path: Path) -> frozenset[str]:
    """Functions of a test module that say true or false."""
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and answers(node))


def unheard(tree: ast.Module, here: frozenset[str] = frozenset()) -> list[int]:
    """Lines that call a helper which says true or false, and drop what it says."""
    known = {*here}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            path = ROOT / "tests" / (node.module.replace(".", "/") + ".py")
            known |= {alias.asname or alias.name for alias in node.names if alias.name in helpers(path)}
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and (
            isinstance(node.value, ast.Compare)
            or (
                isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Name)
                and node.value.func.id in (known - own) | here
            )
        )
    ]


def wrong(text: str, here: frozenset[str] = frozenset()) -> list[int]:
    tree = ast.parse(text)
    early = [
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for line in early_returns(node.body)
    ]
    return sorted(early + unheard(tree, here))


def test_no_test_passes_without_testing():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("tests/*.py")
        if (lines := wrong(path.read_text("utf-8"), helpers(path)))
    }
    assert not found


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def test_a(x):\n    if x:\n        return\n    assert x", [3]),
        ("def test_a(x):\n    try:\n        x()\n    except KeyError:\n        return\n    assert x", [5]),
        ("def test_a(x):\n    def holds(y):\n        if y:\n            return\n        assert y\n    holds(x)", [4]),
        ("def test_a(x):\n    if x:\n        assert x == 1\n        return\n    assert not x", []),
        ("def test_a(x):\n    with pytest.raises(KeyError):\n        x()\n    return", []),
        ("def test_a(x):\n    x == 1", [2]),
        ("from op_oracles import agree\ndef test_a(x):\n    agree(x)", [3]),
        ("from op_oracles import agree\ndef test_a(x):\n    assert agree(x)", []),
        ("from engine.compiled import agree\ndef test_a(x):\n    agree(x)", []),
    ],
)  # fmt: skip
def test_what_is_told(text, lines):
    assert wrong(text) == lines
