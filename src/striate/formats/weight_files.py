"""Weights files: one reader per suffix, and the models that Striate stores in such files.

Decides which reader a suffix gets; knows no format itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, StriateError, UsageError, by_reader, setting
from striate.files import check_file, exists
from striate.formats import folder
from striate.formats.loaded import Loaded
from striate.network import Network

Content = tuple[dict[str, Any], Mapping[str, str]]
"""Arrays by name, and the metadata of a file."""


def _safetensors(path: Path) -> Content:
    from striate.formats import safetensors

    return safetensors.load(path)


def _pth(path: Path) -> Content:
    from striate.formats import pth

    return pth.load(path), {}


WEIGHTS: dict[str, Callable[[Path], Content]] = {".pt": _pth, ".pth": _pth, ".safetensors": _safetensors}
"""Suffix of weights files -> reader."""


def holds_weights(path: str | Path) -> bool:
    """Return whether files with this suffix hold weights, and a network only if Striate wrote them."""
    return Path(path).suffix.lower() in WEIGHTS


def read(path: Path) -> Content:
    """Read a weights file: .safetensors or a PyTorch state dict. Raises UsageError, FormatError."""
    if not holds_weights(path):
        raise UsageError(
            f"{path} is not a weights file",
            where=str(path),
            why=f"its suffix is {path.suffix.lower() or 'missing'}; weights are read from {', '.join(sorted(WEIGHTS))}",
            fix="such as model.safetensors",
        )
    check_file(path)
    return WEIGHTS[path.suffix.lower()](path)


def read_weights(path: str | Path) -> dict[str, Any]:
    """Read the arrays of a weights file by name. Raises UsageError, FormatError."""
    return read(Path(path))[0]


def read_model(path: Path) -> Loaded:
    """Read the model of a .safetensors file that Striate wrote. Raises FormatError for any other weights file.

    That has to be read too: it may be damaged, or hold a program instead of weights.
    """
    try:
        model = model_of(path, *read(path))
    except FormatError as error:
        if path.suffix.lower() != ".safetensors":
            error.why += "; a state dict has weights but no network"
        raise
    if model is not None:
        return model
    raise FormatError(
        f"{path} holds weights but no network",
        where=str(path),
        why="a weights file lists arrays by name; it does not say how they are connected",
        fix=f"give its folder {path.parent}, which holds the network, too"
        if exists(path.parent / folder.CONFIG)
        else "name the network and give it these weights: "
        + by_reader(
            f"st.Model(NETWORK, {setting('weights', path)})",
            f"striate convert NETWORK model.onnx {setting('weights', path)}",
        ),
    )


def model_of(path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> Loaded | None:
    """Build the model of a file from its content; None if the metadata do not describe a network."""
    from striate import weights

    record = folder.read_record(path, metadata)
    if record is None:
        return None
    try:
        net = Network.from_dict(record["network"])
        return Loaded.of(net, weights.prepare(net, arrays), **folder.about(record))
    except (StriateError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} describes a network that does not match its weights",
            where=str(path),
            why=(error.what if isinstance(error, StriateError) else str(error))[:200],
            fix="write it again: "
            + by_reader(
                'st.Model("MODEL", weights="FILE").export("OUT")', "striate convert MODEL OUT --weights FILE"
            ),
        ) from None
