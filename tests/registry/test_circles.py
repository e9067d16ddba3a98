"""No module needs one that needs it, also not by an import inside a function.

Imports for type checkers alone (`if TYPE_CHECKING:`) do not count: nothing is loaded by them.
"""

import ast
from pathlib import Path

import pytest

from registry.imports import Import, imports
from registry.test_layout import ROOT


def modules(source: Path) -> dict[str, Path]:
    """Name -> file of every module below a folder that holds packages."""
    found = {}
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(node: Import) -> set[str]:
    """What may be a module among the names of an import; the package has no relative ones."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert not node.level
    return {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}


def needs(source: Path) -> dict[str, set[str]]:
    """Module -> the modules that it imports. `from room import module` needs the module, not what the room's
    `__init__` imports besides; `from room import name` needs the room."""
    known, found = modules(source), {}
    for name, path in known.items():
        nodes = [*imports(ast.parse(path.read_text("utf-8")), for_checkers=False)]
        asked = set().union(*map(imported, nodes)) & known.keys()
        rooms = {module.rpartition(".")[0] for module in asked}
        found[name] = {module for module in asked if module not in rooms or named(nodes, module, known)} - {
            name
        }
    return found


def named(nodes: list[Import], room: str, known: dict[str, Path]) -> bool:
    """Whether one of the imports takes something from a room that is not one of its modules."""
    return any(
        (isinstance(node, ast.Import) and any(alias.name == room for alias in node.names))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == room
            and any(f"{room}.{alias.name}" not in known for alias in node.names)
        )
        for node in nodes
    )


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components of more than one)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == order[module]:
            at = stack.index(module)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(frozenset(group))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def test_no_module_needs_one_that_needs_it():
    graph = needs(ROOT / "src")
    assert len(graph) > 300
    found = circles(graph)
    assert [sorted(circle) for circle in found] == []


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "import room.b", "b": "from room import a"}, {"room.a", "room.b"}),
        ({"a": "from room.b import x", "b": "def late():\n    from room.a import y"}, {"room.a", "room.b"}),
        ({"a": "from room import b", "b": "from room import c", "c": "from room import a"},
         {"room.a", "room.b", "room.c"}),
        ({"a": "from room import x", "__init__": "from room.a import x"}, {"room", "room.a"}),
        ({"a": "from room import b", "b": "if TYPE_CHECKING:\n    from room import a"}, None),
        ({"a": "from room import b", "__init__": "from room import a", "b": ""}, None),
        ({"a": "from room import b", "b": "from room.c import x", "c": ""}, None),
    ],
)  # fmt: skip
def test_a_circle_is_found(files, circle, tmp_path):
    (tmp_path / "room").mkdir()
    for name, text in ({"__init__": ""} | files).items():
        (tmp_path / "room" / f"{name}.py").write_text(text, "utf-8")
    assert circles(needs(tmp_path)) == ([frozenset(circle)] if circle else [])
