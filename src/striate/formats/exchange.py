"""Networks and weights as files that others read: one writer for each suffix, one reader for each file of weights.

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


def _python(path: Path, net: Network, _weights: Mapping[str, Any]) -> None:
    from striate.files import write_aside
    from striate.formats.torch.source import source

    write_aside(path, source(net).encode())


def _pth(path: Path, _net: Network, weights: Mapping[str, Any]) -> None:
    from striate.formats import pth

    pth.save(path, weights)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from striate.weights import load

    return load(path)[0]


def _read_pth(path: Path) -> dict[str, Any]:
    from striate.formats import pth

    return pth.load(path)


WRITERS: dict[str, Writer] = {
    ".onnx": _onnx, ".pt": _pth, ".pth": _pth, ".py": _python, ".safetensors": _safetensors, ".toml": _toml,
}  # fmt: skip
"""Suffix -> what writes it. A new format is one line here."""
STRUCTURE = (".py", ".toml")
"""Suffixes of files that hold a network without its weights."""
WEIGHTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".pt": _read_pth, ".pth": _read_pth, ".safetensors": _read_safetensors,
}  # fmt: skip
"""Suffix of files that hold weights alone -> what reads them."""


def holds_weights(path: str | Path) -> bool:
    """Whether a file of this suffix holds weights alone."""
    return Path(path).suffix.lower() in WEIGHTS


def read_weights(path: str | Path) -> dict[str, Any]:
    """Name -> array of a file of weights: .safetensors, or a state dict of PyTorch. Raises UsageError, FormatError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WEIGHTS:
        raise UsageError(
            f"{path} is no file of weights",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; read are {', '.join(sorted(WEIGHTS))}",
            fix="such as model.safetensors",
        )
    return WEIGHTS[suffix](Path(path))


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
