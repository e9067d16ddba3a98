"""Reading and writing networks: notation, `.toml`, Python files, catalogue names."""

from striate.formats.notation import parse, parse_size, to_notation
from striate.formats.source import load
from striate.formats.torch import from_torch

__all__ = ["from_torch", "load", "parse", "parse_size", "to_notation"]
