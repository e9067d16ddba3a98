"""Public names that load on first use, listed once: in the stub of the package that type checkers and editors read."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Collection
from typing import Any

_LINE = re.compile(r"^from (\S+) import (\w+) as (\w+)$", re.MULTILINE)


def attach(
    package: str, file: str, loader: Any
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package from the lines "from A import B as C" of its `__init__.pyi`.

    file, loader: the package's `__file__` and `__loader__`, which may be an archive's.
    """
    stub = loader.get_data(re.sub(r"pyc?$", "pyi", file)).decode()
    homes = {public: (home, name) for home, name, public in _LINE.findall(stub)}

    def load(name: str) -> Any:
        if name not in homes:
            raise _missing(package, name, homes)
        home, attribute = homes[name]
        if home == package:
            return importlib.import_module(f"{home}.{attribute}")
        return getattr(importlib.import_module(home), attribute)

    return load, lambda: sorted(homes), sorted(homes)


def _missing(package: str, name: str, homes: Collection[str]) -> AttributeError:
    """The error for a name that a package does not have.

    ``from package import module`` asks for the name before it imports the module: then the error is not read.
    """
    from importlib.machinery import PathFinder

    if name.startswith("_") or PathFinder.find_spec(f"{package}.{name}", sys.modules[package].__path__):
        return AttributeError(name)
    from striate import hooks
    from striate.diagnostics import no_attribute, suggest

    return no_attribute(package, name, suggest(name, homes), hooks.ask("elsewhere", package, name))
