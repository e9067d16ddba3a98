"""Export of models: one writer per suffix.

Decides which writer a suffix gets and what it writes; knows no format itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import UsageError, setting, suggest
from striate.formats import folder, weight_files
from striate.formats.loaded import Loaded
from striate.formats.notation import Size
from striate.network import Network

Writer = Callable[[Path, Loaded, bool], None]
"""Writes a file. Arguments: path, model, and whether to leave out the normalization of images."""


def _toml(path: Path, model: Loaded, _raw: bool) -> None:
    from striate.files import write_aside
    from striate.formats import toml

    write_aside(path, toml.format(model).encode())


def _onnx(path: Path, model: Loaded, raw: bool) -> None:
    from striate.formats.onnx.writing import save

    save(path, model.network, model.weights or {}, model.about, raw)


def _safetensors(path: Path, model: Loaded, _raw: bool) -> None:
    from striate.formats.safetensors import save

    record = json.dumps(folder.describe(model.network, **model.about))
    save(path, _tensors(model), {folder.RECORD: record})


def _python(path: Path, model: Loaded, _raw: bool) -> None:
    from striate.files import write_aside
    from striate.formats.torch.python_source import source

    write_aside(path, source(model.network).encode())


def _pth(path: Path, model: Loaded, _raw: bool) -> None:
    from striate.formats.pth import save

    save(path, _tensors(model))


def _tensors(model: Loaded) -> dict[str, Any]:
    from striate.weights import by_file_names

    return by_file_names(model.network, model.weights or {})


WRITERS: dict[str, Writer] = {
    ".onnx": _onnx, ".pt": _pth, ".pth": _pth, ".py": _python, ".safetensors": _safetensors, ".toml": _toml,
}  # fmt: skip
"""Suffix -> writer. A new format is one line here."""
INSTEAD = {
    **dict.fromkeys(
        (".h5", ".hdf5", ".keras", ".pb", ".tflite", ".mlmodel", ".pt2", ".torchscript"), ".onnx"
    ),
    **dict.fromkeys((".bin", ".ckpt", ".npz", ".npy", ".pkl", ".pickle", ".joblib"), ".safetensors"),
    **dict.fromkeys((".yaml", ".yml", ".json", ".cfg", ".txt"), ".toml"),
}
"""Suffix that Striate does not write -> the one that holds the same; other tools convert .onnx files."""
FRAMEWORKS = {
    "torch": ".pth",
    "pytorch": ".pth",
    "keras": ".onnx",
    "tensorflow": ".onnx",
    "tf": ".onnx",
    "python": ".py",
}
"""Name of a framework, taken for a file -> the suffix of its files, or of those that it can read."""
STRUCTURE = (".py", ".toml")
"""Suffixes of files that hold a network without its weights."""


@dataclasses.dataclass(frozen=True)
class Converted:
    """Result of a conversion. out: the file; network: what it holds, None for weights alone.

    tensors: number of weight arrays in the file; weights: their source, empty if there are none; notes: what the file
    leaves out.
    """

    out: str
    network: Network | None
    tensors: int
    weights: str
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return os.stat(self.out).st_size


def convert(
    source: Any, out: str | Path, weights: Mapping[str, Any] | str | Path | None = None, *,
    input: Size | None = None, seed: int = 0, raw: bool = False,
) -> Converted:  # fmt: skip
    """Write a model to the file `out`, in the format of the suffix: m.onnx, m.safetensors, m.pth, m.toml, m.py.

    source: the model, as `striate.Model` takes it, or a file of weights alone, which is written as another one.
    weights: replace the model's; seed: of fresh weights, if it has none; input: the input size; raw: leave the
    normalization of images out of an .onnx file. Raises UsageError for an unsupported suffix and for a file that would
    be overwritten by itself, OpError for a node that the format cannot express, and the errors of `striate.load`.
    """
    path = Path(out)
    write = writer(path)
    for name in (source, weights):
        if isinstance(name, str | Path) and _same(name, path):
            raise UsageError(
                f"{name} would be overwritten",
                where=str(path),
                why="it is also an input file",
                fix="choose another name for the output",
            )
    source_path = str(source) if isinstance(source, str | Path) else ""
    if source_path and weight_files.holds_weights(source_path) and weight_files.holds_weights(path):
        arrays, metadata = weight_files.read(Path(source_path))
        source = weight_files.model_of(Path(source_path), arrays, metadata)
        if source is None:
            _refuse(source_path, input=input, weights=weights)
            _save_weights(path, arrays)
            return Converted(str(out), None, len(arrays), source_path)
    if path.suffix.lower() in STRUCTURE:
        from striate.formats.load_model import load_any

        model = load_any(source, input)
        replaced = path.exists()
        write(path, model, raw)
        has_weights = model.weights is not None or weights is not None
        note = f"{out} does not contain the weights; convert to .safetensors or .onnx to keep them"
        return Converted(
            str(out), model, 0, "", (f"{out} existed and is replaced",) * replaced + (note,) * has_weights
        )
    from striate.formats.with_weights import with_weights

    model = with_weights(source, weights, input=input, seed=seed)
    replaced = path.exists()
    write(path, model, raw)
    origin = "given" if isinstance(weights, Mapping) else str(weights or source_path or model.name)
    weights_source = origin if model.trained else f"fresh, seed {seed}"
    notes = [f"{out} existed and is replaced"] * replaced
    return Converted(str(out), model, len(model.weights or ()), weights_source, tuple(notes))


def _save_weights(path: Path, arrays: Mapping[str, Any]) -> None:
    from striate.formats import pth, safetensors

    (safetensors.save if path.suffix.lower() == ".safetensors" else pth.save)(path, arrays)


def writer(path: str | Path) -> Writer:
    """Return the writer for the suffix of a path. Raises UsageError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        near = suggest(suffix, WRITERS)
        raise UsageError(
            f"{str(path) or 'an empty file name'} has no suffix that Striate writes",
            where=str(path),
            why=f"its suffix is {suffix or 'missing'}; supported suffixes are {', '.join(sorted(WRITERS))}",
            fix=_neighbor(Path(path)) or (f"did you mean {near}?" if near else "such as model.onnx"),
        )
    return WRITERS[suffix]


def _neighbor(path: Path) -> str:
    """The file to write instead of one whose suffix, or whose name without one, is that of another format; or empty."""
    if path.suffix:
        instead = INSTEAD.get(path.suffix.lower())
        return f"write {path.with_suffix(instead)}" if instead else ""
    name = path.name.lower()
    suffix = FRAMEWORKS.get(name) or (f".{name}" if f".{name}" in WRITERS else INSTEAD.get(f".{name}", ""))
    if suffix:
        return f"write {path.with_name(f'model{suffix}')}"
    return f"such as {path}.onnx" if path.name else ""


def _refuse(source: str, **options: Any) -> None:
    """Raise UsageError for options of a network that come with weights alone."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"{source} holds only weights",
                where=source,
                why=f"{setting(name)} applies to a network",
                fix=f"remove it, or name the network and give {setting('weights', source)}",
            )


def _same(one: str | Path, other: Path) -> bool:
    """Return whether two paths are the same file."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is missing or not a file
        return False
