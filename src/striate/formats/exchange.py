"""Export of networks and weights: one writer per suffix, one reader per weights format.

Decides which writer a suffix gets; knows no format itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import (
    FormatError,
    LimitError,
    SourceError,
    StriateError,
    UsageError,
    by_reader,
    plural,
    setting,
    suggest,
)
from striate.files import check_file, exists
from striate.formats import folder
from striate.formats.tokens import MAX_TEXT
from striate.network import Network

About = Mapping[str, Any]
"""Metadata of a model: classes, transformation, loss, as `folder.describe` takes them."""
Writer = Callable[..., None]
"""Writes a file. Arguments: path, network (None: weights alone), weights, metadata, and whether to leave out the
normalization of images (default: no).
"""


def _toml(
    path: Path, net: Network | None, _weights: Mapping[str, Any], _about: About, _raw: bool = False
) -> None:
    from striate.files import write_aside
    from striate.formats import toml

    write_aside(path, toml.format(_needed(net)).encode())


def _onnx(
    path: Path, net: Network | None, weights: Mapping[str, Any], about: About, raw: bool = False
) -> None:
    from striate.formats.onnx.writing import save

    save(path, _needed(net), weights, about, raw)


def _safetensors(
    path: Path, net: Network | None, weights: Mapping[str, Any], about: About, _raw: bool = False
) -> None:
    from striate.formats.safetensors import save
    from striate.weights import written

    if net is None:
        save(path, weights, None)
    else:
        save(path, written(net, weights), {folder.RECORD: json.dumps(folder.describe(net, **about))})


def _python(
    path: Path, net: Network | None, _weights: Mapping[str, Any], _about: About, _raw: bool = False
) -> None:
    from striate.files import write_aside
    from striate.formats.torch.source import source

    write_aside(path, source(_needed(net)).encode())


def _pth(
    path: Path, net: Network | None, weights: Mapping[str, Any], _about: About, _raw: bool = False
) -> None:
    from striate.formats import pth
    from striate.weights import written

    pth.save(path, weights if net is None else written(net, weights))


def _needed(net: Network | None) -> Network:
    assert net is not None  # the caller has seen to it
    return net


def _read_safetensors(path: Path) -> dict[str, Any]:
    from striate.formats.safetensors import load

    return load(path)[0]


def _read_pth(path: Path) -> dict[str, Any]:
    from striate.formats import pth

    return pth.load(path)


WRITERS: dict[str, Writer] = {
    ".onnx": _onnx, ".pt": _pth, ".pth": _pth, ".py": _python, ".safetensors": _safetensors, ".toml": _toml,
}  # fmt: skip
"""Suffix -> writer. A new format is one line here."""
STRUCTURE = (".py", ".toml")
"""Suffixes of files that hold a network without its weights."""
WEIGHTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".pt": _read_pth, ".pth": _read_pth, ".safetensors": _read_safetensors,
}  # fmt: skip
"""Suffix of files that hold weights alone -> reader."""


TRAINED = (".onnx", ".keras", ".h5", ".hdf5")
"""Suffixes of files of other frameworks that hold a network with its weights."""


def holds_weights(path: str | Path) -> bool:
    """Return whether files with this suffix hold weights alone."""
    return Path(path).suffix.lower() in WEIGHTS


def holds_network(path: str | Path) -> bool:
    """Return whether a weights file also describes its network, as files that Striate wrote do."""
    return Path(path).suffix.lower() == ".safetensors" and folder.RECORD in _metadata(Path(path))


def read_weights(path: str | Path) -> dict[str, Any]:
    """Read a weights file by name: .safetensors or a PyTorch state dict. Raises UsageError, FormatError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WEIGHTS:
        raise UsageError(
            f"{path} is not a weights file",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; weights are read from {', '.join(sorted(WEIGHTS))}",
            fix="such as model.safetensors",
        )
    check_file(Path(path))
    return WEIGHTS[suffix](Path(path))


def network_of(source: Any, input: Any = None, weights: Mapping[str, Any] | None = None) -> Network:
    """Load the network that `Model` was given: a notation text, a path, a torch.nn.Module or a function.

    weights: weights that it will get; a catalogue network takes its number of classes from them.
    """
    from striate.formats import load
    from striate.formats.python import of_value

    if not isinstance(source, str | Path):
        return of_value(source, type(source).__name__.lower(), input)
    net = load(source, input)
    last = next(reversed(net.parameters), "") if weights and not net.inference.problems else ""
    if not weights or last not in weights or net.weights is not None or not net.parameters[last].shape:
        return net
    count = int(weights[last].shape[0]) if len(weights[last].shape) else 0
    if count in (0, net.parameters[last].shape[0]):
        return net
    from striate.models import catalogue

    try:
        sizes: Any = net.input.without_batch  # create judges their number
        return catalogue.create(str(source).strip(), input=sizes, num_classes=count)
    except StriateError:  # no catalogue network, or none with this number of classes: the weights do not fit
        return net


def read_trained(source: str | Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read the weights of a file or folder, and its description of the model (or None).

    Raises SourceError where there are no weights, UsageError for another kind of file.
    """
    from striate.formats import load

    path = Path(source)
    suffix = path.suffix.lower()
    if suffix in WEIGHTS and not path.is_dir():
        record = _metadata(path) if suffix == ".safetensors" else {}
        return read_weights(path), folder.about(
            read_record(path, record)
        ) if folder.RECORD in record else None
    if suffix not in TRAINED and not exists(path / folder.CONFIG):
        return read_weights(path), None  # which says what is read
    net = load(str(source))
    if net.weights is None:
        raise SourceError(
            f"{source} holds no weights",
            where=str(source),
            why="the file contains no weights, or some could not be read",
            fix="name the folder of a finished run, or a file such as model.safetensors",
        )
    return dict(net.weights), None if net.about is None else dict(net.about)


def writer(path: str | Path) -> Writer:
    """Return the writer for the suffix of a path. Raises UsageError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        near = suggest(suffix, WRITERS)
        raise UsageError(
            f"{str(path) or 'an empty file name'} has no suffix that Striate writes",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; supported suffixes are {', '.join(sorted(WRITERS))}",
            fix=f"did you mean {near}?" if near else "such as model.onnx",
        )
    return WRITERS[suffix]


def read_safetensors(path: Path) -> Network:
    """Read the network and weights of a .safetensors file that Striate wrote. Raises FormatError for any other file."""
    from striate import weights
    from striate.formats import safetensors

    check_file(path)
    arrays, metadata = safetensors.load(path)
    record = read_record(path, metadata)
    if record is None:
        raise weights_alone(path)
    try:
        net = Network.from_dict(record["network"])
        arrays = dict(weights.resolved(net, arrays))
        weights.check(net, arrays)
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
    return dataclasses.replace(net, weights=arrays, about=folder.about(record))


def weights_alone(path: Path) -> FormatError:
    """The error for a weights file given in place of a network."""
    check_file(path)
    return FormatError(
        f"{path} holds weights but no network",
        where=str(path),
        why="a weights file lists arrays by name; it does not say how they are connected",
        fix="name the network and give it these weights: "
        + by_reader(
            f"st.Model(NETWORK, {setting('weights', path)})",
            f"striate convert NETWORK model.onnx {setting('weights', path)}",
        ),
    )


def _metadata(path: Path) -> Mapping[str, str]:
    from striate.formats.safetensors import load

    check_file(path)
    return load(path)[1]


def read_record(path: Path, metadata: Mapping[str, str]) -> Any:
    """Read Striate's record from a file's metadata; None if there is no record."""
    if folder.RECORD not in metadata:
        return None
    if len(metadata[folder.RECORD]) > MAX_TEXT:
        raise LimitError(
            f"{path} has a model description of {plural(len(metadata[folder.RECORD]), 'character')}",
            where=str(path),
            why=f"at most {MAX_TEXT:,} are read",
            fix="write it again",
        )
    try:
        return json.loads(metadata[folder.RECORD])
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is damaged",
            where=str(path),
            why=f"its metadata {folder.RECORD!r} is not JSON: {str(error)[:100]}",
            fix="write it again",
        ) from None
