"""Load anything that the command line calls MODEL as one record: a network and the other contents of its source.

Decides which form a text has (notation, file, Python attribute, catalogue name) and reports what cannot be read; knows
no format itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from striate.diagnostics import (
    FormatError,
    SourceError,
    StriateError,
    UnknownNameError,
    by_reader,
    few,
    plural,
)
from striate.elsewhere import FILES
from striate.files import exists, refuse_address
from striate.formats import folder, notation
from striate.formats.loaded import Loaded, structure
from striate.formats.notation import Size
from striate.formats.text_files import read_text
from striate.network import Network
from striate.signatures import explain_misuse

KINDS = ".toml, .onnx, .keras, .h5, .py, .safetensors that Striate wrote"
"""Files that hold a network."""
KERAS = (".keras", ".h5", ".hdf5")
_ONNX = 'write an .onnx file with the tool that wrote it, in PyTorch torch.onnx.export(module, (x,), "model.onnx")'
_STATE = 'save its numbers: torch.save(module.state_dict(), "weights.pth"), or read the module: st.from_torch(module)'
PROGRAMS = {
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib"),
        ("a pickle", "a pickle is a program, and Striate executes none", _STATE),
    ),
    **dict.fromkeys(
        (".torchscript", ".pt2"),
        ("a program of PyTorch", "TorchScript and exported programs are not read", _ONNX),
    ),
    **dict.fromkeys(
        (".pb", ".tflite", ".mlmodel"),
        ("a file of another framework", f"networks are read from {KINDS}", _ONNX),
    ),
    **dict.fromkeys(
        (".ckpt", ".bin"),
        (
            "a checkpoint of PyTorch, by its name",
            "weights are read from .pth files",
            "rename it to .pth, or " + _STATE,
        ),
    ),
}
"""Suffix of other files with models -> what they are, why they are not read, and what to do."""
TRAINED = (".onnx", *KERAS)
"""Suffixes of files of other frameworks that hold a network with its weights."""


@explain_misuse
def load(source: str | Path, input: Size | None = None) -> Loaded:
    """Load the network of `source`, with its weights, classes and image transform if the source has them.

    source: a notation (it contains ``->``), a file (.toml, .py, .onnx, .keras, .h5, .safetensors that Striate wrote),
    the folder of a saved model or a run, ``module:attribute`` or ``file.py:attribute``, or a name of the catalogue.
    input: replaces the network's input size: "224x224x3", "224x224" or "224" (pixels; the channels stay), or a tuple
    (C, H, W); of several inputs by name: ``{"left": "32x32x3", "right": (64,)}``.

    The result is accepted wherever a network is, and `striate.Model` of it keeps its weights. Raises NotationError for
    a text, SourceError for a missing file, FormatError for inconsistent content, UnknownNameError (with near names) for
    an unknown name.

    >>> import striate as st
    >>> st.load("lenet5").specs["conv1"].shape
    (1, 6, 28, 28)
    """
    text = str(source).strip()
    refuse_address(text)
    text = os.path.expanduser(text)
    return _read(text, input).with_parts(source=text)


def _read(text: str, input: Size | None) -> Loaded:
    path_exists = exists(Path(text))  # a file may have any name
    if notation.is_notation(text) and not path_exists:
        return structure(notation.parse(text, input=input))
    path, colon, attribute = text.rpartition(":")
    if path_exists or not (colon and path and attribute.replace(".", "").isidentifier()):
        path, attribute = text, ""
    if path_exists and exists(Path(text) / folder.CONFIG):  # whatever the folder is called
        from striate.formats.python import with_input_size

        return with_input_size(folder.load(Path(text)), input)
    suffix = Path(path).suffix.lower()
    if attribute or suffix == ".py":
        from striate.formats import python

        if suffix == ".py":
            return python.from_file(Path(path), attribute, input)
        return python.from_module(path, attribute, input)
    if suffix == ".toml":
        from striate.formats import toml

        return structure(toml.parse(read_text(Path(text)), input=input, file=text))
    if suffix == ".onnx":
        from striate.formats import onnx

        return onnx.read(text, input)
    if suffix in KERAS:
        from striate.formats import keras

        return keras.read(text, input)
    if suffix in (".safetensors", ".pth", ".pt"):
        from striate.formats.python import with_input_size
        from striate.formats.weight_files import read_model

        return with_input_size(read_model(Path(text)), input)
    return structure(_from_catalogue(text, input))


def load_any(source: Any, input: Size | None = None) -> Loaded:
    """Load a network from anything that names or is one: a text, a path, a Network, a torch.nn.Module, a function."""
    if isinstance(source, str | Path):
        return load(source, input)
    from striate.formats import python

    return python.from_value(source, type(source).__name__.lower(), input)


def _from_catalogue(text: str, input: Size | None) -> Network:
    from striate.models import catalogue

    try:
        entry = catalogue.get(text)
    except UnknownNameError as error:
        raise _unknown(text, error) from None
    if input is None:
        return catalogue.create(text)
    shape: Any = notation.with_size({"input": entry.input}, input)[
        "input"
    ]  # create judges the number of sizes
    return catalogue.create(text, input=shape)


def _unknown(text: str, error: StriateError) -> StriateError:
    """The error for a `text` that is not a model: a directory, another kind of file, an input without stages, a
    misspelling.
    """
    if not text:
        return SourceError(
            "no model is given", why="the text is empty", fix="such as resnet18 or '32x32x3 -> conv 3x3'"
        )
    if len(text) > 200:
        return SourceError(
            f"{text[:60]!r}... is not a model",
            why=f"it has {plural(len(text), 'character')}",
            fix="such as resnet18 or net.toml",
        )
    if exists(Path(text)):
        if Path(text).is_dir():
            return SourceError(
                f"{text} is a directory",
                where=text,
                why=f"there is no {folder.CONFIG} in it, as in the folder of a saved model",
                fix=_of_folder(Path(text)),
            )
        if told := PROGRAMS.get(Path(text).suffix.lower()):
            return FormatError(f"{text} is {told[0]}", where=text, why=told[1], fix=told[2])
        return FormatError(
            f"{text} is not a network file",
            where=text,
            why=f"networks are read from {KINDS}",
            fix="rename it, or give a notation: striate show '32x32x3 -> conv 3x3'",
        )
    if text[0].isdigit():
        return SourceError(
            f"{text!r} is not a model",
            why="a notation is an input and at least one stage, joined by ->",
            fix="such as '32x32x3 -> conv 3x3' (in quotes, so that the shell leaves > alone)",
        )
    if "/" in text or "\\" in text:
        return SourceError(
            f"there is no file {text}",
            where=text,
            why="no such path",
            fix=f"give the path of a file of one of these kinds: {KINDS}",
        )
    if text.lower().endswith(FILES):
        return SourceError(
            f"there is no file {text}",
            where=text,
            why=f"networks are read from {KINDS}",
            fix="check the name and the current directory, or give a name of `striate models`",
        )
    if "." in text:
        return SourceError(
            f"there is no model or file {text}",
            where=text,
            why="a network inside a Python module is written module:attribute",
            fix=f"{text.rpartition('.')[0]}:{text.rpartition('.')[2] or 'net'}",
        )
    error.why = f"{error.why}; no file or folder has this name"
    return error


def _of_folder(path: Path) -> str:
    """What to do about a folder without a network."""
    if (path / folder.RUN_CONFIG).is_file() and (path / folder.LINES).is_file():
        curves = by_reader(f'st.draw("{path}", "training")', f"striate draw {path} --kind training")
        return f"restore {folder.CONFIG} of this run; its curves need none: {curves}"
    return "give a file inside it, or the folder of a run"


def no_run(error: UnknownNameError) -> UnknownNameError:
    """The error of a name that is neither a model nor a folder, where weights are wanted: it says what a run is."""
    folders = sorted({*Path().glob(f"*/{folder.CONFIG}"), *Path().glob(f"*/*/{folder.CONFIG}")})
    error.why = f"{error.why}; a run is a folder that training writes"
    near = few([str(path.parent) for path in folders])
    start = by_reader(
        'model.fit("digits", out="runs/first")', "striate train --data digits --model lenet5 --out runs/first"
    )
    error.fix = f"give one of the folders here: {near}" if folders else f"such as {start}"
    return error
