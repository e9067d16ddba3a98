"""Reading and writing networks: notation, `.toml`, Python files, catalogue names."""

from striate.formats.notation import format, parse, parse_size
from striate.formats.source import load

__all__ = ["format", "load", "parse", "parse_size"]
