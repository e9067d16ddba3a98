"""Networks as files that others read: one writer for each suffix.

Decides which suffix is written how; refuses to know any format itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import UsageError, suggest
from striate.network import Network

Writer = Callable[[Path, Network, Mapping[str, Any]], None]


def _toml(path: Path, net: Network, _weights: Mapping[str, Any]) -> None:
    from striate.files import write_aside
    from striate.formats import toml

    write_aside(path, toml.format(net).encode())


def _onnx(path: Path, net: Network, weights: Mapping[str, Any]) -> None:
    from striate.formats import onnx

    onnx.write(path, net, weights)


def _safetensors(path: Path, _net: Network, weights: Mapping[str, Any]) -> None:
    from striate.weights import save

    save(path, weights)


WRITERS: dict[str, Writer] = {".onnx": _onnx, ".safetensors": _safetensors, ".toml": _toml}
"""Suffix -> what writes it. A new format is one line here."""


def writer(path: str | Path) -> Writer:
    """What writes a file of this suffix. Raises UsageError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        near = suggest(suffix, WRITERS)
        raise UsageError(
            f"{path} names no format that is written",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; written are {', '.join(sorted(WRITERS))}",
            fix=f"did you mean {near}?" if near else "such as model.onnx",
        )
    return WRITERS[suffix]
