"""Tests that can fail: none returns before it has asserted anything, and no helper's answer is thrown away."""

import ast
import functools
from collections.abc import Iterator
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


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a function, without those of the functions inside it."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef):
            parts = [statement, *getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
            for part in parts:
                for field in ("body", "orelse", "finalbody"):
                    yield from statements(getattr(part, field, []))


def answers(function: ast.FunctionDef) -> bool:
    """A helper that says true or false: its call alone asserts nothing."""
    if function.returns is not None:
        return ast.unparse(function.returns) == "bool"
    returned = [node.value for node in statements(function.body) if isinstance(node, ast.Return)]
    return bool(returned) and all(map(truth, returned))


@functools.lru_cache(1)
def parsed(text: str) -> ast.Module:
    """Kept for whoever asks about the same file next."""
    return ast.parse(text)


@functools.cache
def helpers(path: Path) -> frozenset[str]:
    """Functions of a test module that say true or false."""
    return helpers_of(path.read_text("utf-8")) if path.is_file() else frozenset()


def helpers_of(text: str) -> frozenset[str]:
    body = parsed(text).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef) and answers(node))


def unheard(nodes: list[ast.AST], here: frozenset[str]) -> list[int]:
    """Lines that call a helper which says true or false, and drop what it says."""
    known = {*here}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            path = ROOT / "tests" / (node.module.replace(".", "/") + ".py")
            known |= {alias.asname or alias.name for alias in node.names if alias.name in helpers(path)}
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return [
        node.lineno
        for node in nodes
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
    nodes = [*ast.walk(parsed(text))]
    returning = any(isinstance(node, ast.Return) and node.value is None for node in nodes)
    early = [
        line
        for node in nodes
        if returning and isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for line in early_returns(node.body)
    ]
    return sorted(early + unheard(nodes, here))


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
        ("def says(x):\n    if x:\n        return x > 1\n    return False\ndef test_a(x):\n    says(x)", [6]),
        ("def says(x):\n    def inner():\n        return True\n    assert inner()\ndef test_a(x):\n    says(x)", []),
        ("def says(x):\n  match x:\n    case 1:\n      return [x]\n  return True\ndef test_a(x):\n  says(x)", []),
        ("from op_oracles import agree\ndef test_a(x):\n    agree(x)", [3]),
        ("from op_oracles import agree\ndef test_a(x):\n    assert agree(x)", []),
        ("from engine.compiled import agree\ndef test_a(x):\n    agree(x)", []),
    ],
)  # fmt: skip
def test_what_is_told(text, lines):
    assert wrong(text, helpers_of(text)) == lines
