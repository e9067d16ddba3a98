"""What a source file imports, wherever in the file."""

import ast
from collections.abc import Iterator

Import = ast.Import | ast.ImportFrom


def imports(tree: ast.Module, *, for_checkers: bool = True) -> Iterator[Import]:
    """The imports of a file, those inside functions too; on request without those for type checkers alone."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Import):
            yield node
        elif isinstance(node, ast.If) and not for_checkers and _asks_for_checkers(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.expr):  # an expression holds no statement
            waiting += ast.iter_child_nodes(node)


def _asks_for_checkers(test: ast.expr) -> bool:
    return any("TYPE_CHECKING" in (getattr(n, "id", ""), getattr(n, "attr", "")) for n in ast.walk(test))


def packages(tree: ast.Module) -> set[str]:
    """Top-level names that a file imports."""
    names: set[str] = set()
    for node in imports(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif not node.level:
            names.add((node.module or "").partition(".")[0])
    return names
