"""Reading and writing networks: notation, `.toml`, Python files, catalogue names, and files of other frameworks."""

from typing import TYPE_CHECKING, Any

from striate.formats.load_model import load
from striate.formats.notation import parse, parse_size, to_notation
from striate.formats.torch import from_torch

if TYPE_CHECKING:
    from striate.formats.conversion import convert as convert

__all__ = ["convert", "from_torch", "load", "parse", "parse_size", "to_notation"]


def __getattr__(name: str) -> Any:
    if name == "convert":  # start-up counts: most commands write no network
        from striate.formats.conversion import convert

        return convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
