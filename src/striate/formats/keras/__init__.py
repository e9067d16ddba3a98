"""Import of Keras files: `.keras` archives and whole models in `.h5`. Keras itself is not needed; nothing is executed.

archive    a file as plain data, within limits           graph      its configuration: layers and who calls whom
variables  weights out of HDF5 (needs h5py)              reading    the network, call by call
site       one call: its values and their axes           layers     the meaning of each layer, one file per family

Keras images are height x width x channels, Striate's channels first: weights are transposed once, on reading. The
architecture of a `.keras` file needs no package; weights and `.h5` files need h5py, the optional part [keras].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from striate.diagnostics import FormatError, setting
from striate.formats import notation
from striate.formats.loaded import Loaded


class MissingWeights(Mapping[str, Any]):
    """Placeholder for weights that were not read because h5py is missing: reading one raises the error."""

    def __init__(self, path: str) -> None:
        self._path = path

    def _refuse(self) -> NoReturn:
        from striate.formats.keras.archive import missing

        raise missing(
            f"the weights of {self._path} are missing",
            "the architecture was read without h5py",
        )

    def __getitem__(self, name: str) -> Any:
        self._refuse()

    def __contains__(self, name: object) -> bool:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()


def read(path: str | Path, input: Any = None) -> Loaded:
    """Read the network of a file, with its weights. `input`: as `striate.load` takes it; open sizes need it.

    Unsupported layers, and layers defined by Python code (Lambda, custom classes), become `opaque` nodes with the
    shapes that the file gives (rule X001). Without h5py, access to the weights raises MissingExtraError. Raises a
    StriateError for any fault of a file.
    """
    from striate.formats.keras.archive import opened
    from striate.formats.keras.graph import input_shapes, parse
    from striate.formats.keras.reading import Reader
    from striate.formats.python import with_input_size
    from striate.formats.tied import seal_weights

    with opened(Path(path)) as content:
        graph = parse(content.config, content.version, str(path))
        shapes = input_shapes(graph, str(path))  # without the batch, channels first; None where open
        closed = all(None not in shape for shape in shapes.values())
        request = {} if closed or input is None else _requested_sizes(shapes, input)
        sizes = {}
        for name, shape in shapes.items():
            sides = request.get(name, shape)
            if None in sides:
                raise _open_size_error(str(path), name, shape, len(shapes) > 1)
            sizes[name] = tuple(n for n in sides if n is not None)
        net, weights = Reader(graph, sizes, content.variables, Path(path).stem, str(path)).read()
    arrays: Mapping[str, Any] | None = None
    if content.without:
        arrays = MissingWeights(str(path))
    elif weights is not None:
        arrays = seal_weights(net, weights)
    model = Loaded.of(net, arrays)
    return with_input_size(model, input) if closed else model


def _requested_sizes(shapes: Mapping[str, tuple[int | None, ...]], input: Any) -> dict[str, tuple[int, ...]]:
    """The requested sizes, by input name."""
    return notation.requested_shapes({name: tuple(n or 1 for n in s) for name, s in shapes.items()}, input)


def _open_size_error(path: str, name: str, shape: tuple[int | None, ...], several: bool) -> FormatError:
    text = "x".join("?" if n is None else str(n) for n in (*shape[1:], shape[0]))
    return FormatError(
        f"{path} leaves the size of its input open",
        where=f"{path}: {name[:80]} is {text}",
        why="sizes, receptive fields and costs depend on the input size",
        fix=f"name it: {setting('input', {name[:80]: '224x224x3'} if several else '224x224x3')}",
    )


__all__ = ["MissingWeights", "read"]
