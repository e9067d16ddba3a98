"""Reading and writing networks: notation, `.toml`, Python files, catalogue names, and files of other frameworks."""

from typing import TYPE_CHECKING, Any

from striate.formats.load_model import load
from striate.formats.notation import parse, parse_size, to_notation

if TYPE_CHECKING:
    from striate.formats.conversion import convert as convert
    from striate.formats.torch import from_torch as from_torch

__all__ = ["convert", "from_torch", "load", "parse", "parse_size", "to_notation"]


def __getattr__(name: str) -> Any:
    # Start-up counts: most commands neither write a network nor trace one.
    if name == "convert":
        from striate.formats.conversion import convert

        return convert
    if name == "from_torch":
        from striate.formats.torch import from_torch

        return from_torch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
