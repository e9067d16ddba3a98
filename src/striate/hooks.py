"""Calls from a module to a higher one, by name: how a value is displayed, how a text becomes a network or a size.

Imports go downward only. So `striate/__init__.py` registers which function answers a name, as "module:function", and
the function is loaded when it is first called.
"""

from __future__ import annotations

import importlib
from typing import Any

_FUNCTIONS: dict[str, str] = {}


def register(name: str, function: str) -> None:
    """Register "module:function" under a name; the last registration wins."""
    _FUNCTIONS[name] = function


def ask(name: str, *values: Any) -> Any:
    """The result of the function that is registered under a name."""
    module, _, function = _FUNCTIONS[name].partition(":")
    return getattr(importlib.import_module(module), function)(*values)


class Displayed:
    """Base of classes that a notebook shows as HTML, which a package above makes; their text stays."""

    def _repr_html_(self) -> str:
        """What a notebook shows: static HTML."""
        return str(ask("html", self))
