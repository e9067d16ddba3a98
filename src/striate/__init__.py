"""Striate: convolutional networks you can see through.

Everything public is named here; heavy parts load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from striate.version import __version__

_PUBLIC = {
    "Builder": "striate.network",
    "Model": "striate.model",
    "Network": "striate.network",
    "Node": "striate.network",
    "StriateError": "striate.diagnostics",
    "TensorSpec": "striate.tensor",
    "analyze": "striate.analysis",
    "check": "striate.checks",
    "create": "striate.models",
    "from_torch": "striate.formats",
    "load": "striate.formats",
    "parse": "striate.formats",
    "pixels": "striate.analysis",
    "sizes": "striate.analysis",
}

_MODULES = {"functional": "striate.engine.functional", "ops": "striate.ops"}

__all__ = ["__version__", *sorted({*_PUBLIC, *_MODULES})]

if TYPE_CHECKING:
    from striate import ops as ops
    from striate.analysis import analyze as analyze
    from striate.analysis import pixels as pixels
    from striate.analysis import sizes as sizes
    from striate.checks import check as check
    from striate.diagnostics import StriateError as StriateError
    from striate.engine import functional as functional
    from striate.formats import from_torch as from_torch
    from striate.formats import load as load
    from striate.formats import parse as parse
    from striate.model import Model as Model
    from striate.models import create as create
    from striate.network import Builder as Builder
    from striate.network import Network as Network
    from striate.network import Node as Node
    from striate.tensor import TensorSpec as TensorSpec


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'striate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
