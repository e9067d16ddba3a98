"""Public names that load on first use, listed once: in the stub of the package that type checkers and editors read."""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Callable, Collection
from typing import Any

_LINE = re.compile(r"^from (\S+) import (\w+) as (\w+)$", re.MULTILINE)


class Facade(types.ModuleType):
    """A package of which a public name may be that of a module in it: importing this does not replace the name.

    ``st.probe`` is a function, also after ``from striate.probe import maps``, for which Python sets the attribute.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, types.ModuleType) and name in self.__dict__.get("_hides", ())):
            super().__setattr__(name, value)


class Package(Facade):
    """A package with the name of a command: calling it raises UsageError, with what to write."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        from striate import elsewhere
        from striate.diagnostics import UsageError

        name = self.__name__.rpartition(".")[2]
        raise UsageError(
            f"st.{name} is a package, not a function",
            where=f"st.{name}(…)",
            fix=elsewhere.MODULES[name],
        )


class NotImported(AttributeError):
    """A package that is not loaded yet. ``from striate import train`` asks for the name first, and ignores this."""

    def __str__(self) -> str:
        from striate import elsewhere

        package, _, name = str(self.args[0]).rpartition(".")
        hint = elsewhere.MODULES.get(name, f"write import {package}.{name}")
        return f"module {package!r} has no attribute {name!r}; {hint}"


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

    module = sys.modules[package]
    if not isinstance(module, Facade):
        module.__class__ = Facade
    module.__dict__["_hides"] = frozenset(name for name, (home, _) in homes.items() if home != package)
    return load, lambda: sorted(homes), sorted(homes)


def _missing(package: str, name: str, homes: Collection[str]) -> AttributeError:
    """The error for a name that a package does not have.

    ``from package import module`` asks for the name before it imports the module: then the error is not read.
    """
    from importlib.machinery import PathFinder

    if name.startswith("_"):
        return AttributeError(name)
    if PathFinder.find_spec(f"{package}.{name}", sys.modules[package].__path__):
        return NotImported(f"{package}.{name}")
    from striate import hooks
    from striate.diagnostics import no_attribute, suggest

    return no_attribute(package, name, suggest(name, homes), hooks.ask("elsewhere", package, name))
