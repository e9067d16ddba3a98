"""Networks and weights as files that others read: one writer for each suffix, one reader for each file of weights.

Decides which suffix is written how; refuses to know any format itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, LimitError, StriateError, UsageError, suggest
from striate.formats import folder
from striate.formats.files import check_file, exists
from striate.formats.tokens import MAX_TEXT
from striate.network import Network

About = Mapping[str, Any]
"""What a model knows beside its network and weights: `classes` and `transform`, as `folder.describe` takes them."""
Writer = Callable[[Path, Network | None, Mapping[str, Any], About], None]
"""Writes a file; a network that is None: weights alone."""
RECORD = "striate"
"""The key under which a file's own metadata holds a model without its numbers (JSON)."""


def _toml(path: Path, net: Network | None, _weights: Mapping[str, Any], _about: About) -> None:
    from striate.files import write_aside
    from striate.formats import toml

    write_aside(path, toml.format(_needed(net)).encode())


def _onnx(path: Path, net: Network | None, weights: Mapping[str, Any], about: About) -> None:
    from striate.formats.onnx.writing import save

    save(path, _needed(net), weights, {RECORD: json.dumps(about)} if any(about.values()) else {})


def _safetensors(path: Path, net: Network | None, weights: Mapping[str, Any], about: About) -> None:
    from striate.weights import save

    save(path, weights, None if net is None else {RECORD: json.dumps(folder.describe(net, **about))})


def _python(path: Path, net: Network | None, _weights: Mapping[str, Any], _about: About) -> None:
    from striate.files import write_aside
    from striate.formats.torch.source import source

    write_aside(path, source(_needed(net)).encode())


def _pth(path: Path, _net: Network | None, weights: Mapping[str, Any], _about: About) -> None:
    from striate.formats import pth

    pth.save(path, weights)


def _needed(net: Network | None) -> Network:
    assert net is not None  # the caller has seen to it
    return net


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


def holds_network(path: str | Path) -> bool:
    """Whether a file of weights says which network they are of, as those that Striate wrote from one."""
    return Path(path).suffix.lower() == ".safetensors" and RECORD in _metadata(Path(path))


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
    check_file(Path(path))
    return WEIGHTS[suffix](Path(path))


def writer(path: str | Path) -> Writer:
    """What writes a file of this suffix. Raises UsageError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        near = suggest(suffix, WRITERS)
        raise UsageError(
            f"{str(path) or 'the empty name'} names no format that is written",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; written are {', '.join(sorted(WRITERS))}",
            fix=f"did you mean {near}?" if near else "such as model.onnx",
        )
    return WRITERS[suffix]


def read_about(source: str | Path) -> dict[str, Any]:
    """Classes and transformation that a folder or a file keeps with its weights; empty where it has none."""
    path = Path(str(source).strip())
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return folder.about(_record(path, _metadata(path)))
    if suffix == ".onnx":
        from striate.formats.onnx.own import metadata

        return folder.about(_record(path, metadata(path)))
    if exists(path / folder.CONFIG):
        return folder.about(folder.read(path)[1])
    return folder.about(None)


def read_safetensors(path: Path) -> Network:
    """The network, with its weights, of a .safetensors file that Striate wrote. Raises FormatError for another."""
    from striate import weights

    check_file(path)
    arrays, metadata = weights.load(path)
    record = _record(path, metadata)
    if record is None:
        raise weights_alone(path)
    try:
        net = Network.from_dict(record["network"])
        weights.check(net, arrays)
    except (StriateError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} describes another network than that of its weights",
            where=str(path),
            why=(error.what if isinstance(error, StriateError) else str(error))[:200],
            fix="write it again: striate convert MODEL OUT --weights FILE",
        ) from None
    return dataclasses.replace(net, weights=arrays)


def weights_alone(path: Path) -> FormatError:
    """The error for a file of weights where a network is asked for."""
    check_file(path)
    return FormatError(
        f"{path} holds weights, and no network",
        where=str(path),
        why="arrays by name do not say what is computed with them",
        fix=f"name the network and give it these weights: striate convert NETWORK model.onnx --weights {path}",
    )


def _metadata(path: Path) -> Mapping[str, str]:
    from striate.weights import load

    check_file(path)
    return load(path)[1]


def _record(path: Path, metadata: Mapping[str, str]) -> Any:
    """What Striate keeps in a file's metadata; None where it wrote nothing."""
    if RECORD not in metadata:
        return None
    if len(metadata[RECORD]) > MAX_TEXT:
        raise LimitError(
            f"{path} describes a model in {len(metadata[RECORD]):,} characters",
            where=str(path),
            why=f"at most {MAX_TEXT:,} are read",
            fix="write it again",
        )
    try:
        return json.loads(metadata[RECORD])
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is damaged",
            where=str(path),
            why=f"its metadata {RECORD!r} is no JSON: {str(error)[:100]}",
            fix="write it again",
        ) from None
