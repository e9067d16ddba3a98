"""Reading and writing networks: notation, `.toml`, Python files, catalogue names."""

from striate.formats.notation import format, parse, parse_size
from striate.formats.source import load
from striate.formats.torch import from_torch

__all__ = ["format", "from_torch", "load", "parse", "parse_size"]
