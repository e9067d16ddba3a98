"""Weights from HDF5: arrays that are stored plainly in the file, and nothing else.

Decides what may be followed: groups and datasets by hard links; no external or soft links, no data in other files or
virtual ones, no filters, no shape beyond what is stored. h5py is imported here only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError

Array = NDArray[Any]
MAX_OBJECTS = 100_000
ALIASES = {"kernel": ("kernel", "depthwise_kernel"), "depthwise_kernel": ("depthwise_kernel", "kernel")}
"""Names of one variable in Keras 3 and before."""


class Variables:
    """Arrays of a file by layer: Keras 3 numbers them within a layer's group, older files name them."""

    def __init__(self, stream: Any, path: str) -> None:
        import h5py

        self._h5py, self._path = h5py, path
        try:
            self._file = h5py.File(stream, "r")
        except Exception as error:  # what the library raises depends on the damage
            raise self._damaged(str(error)) from None
        self.named = "layers" not in self._file and "_layer_checkpoint_dependencies" not in self._file
        self._lists: dict[str, dict[tuple[str, ...], Any]] = {}
        self._size = stream.seek(0, 2)

    def __enter__(self) -> Variables:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self._size)

    def _damaged(self, why: str) -> FormatError:
        return FormatError(
            f"the weights of {self._path} are damaged",
            where=self._path,
            why=" ".join(why.split())[:200],
            fix="save it again: model.save('model.keras')",
        )

    def _refusal(self, where: str, why: str) -> FormatError:
        return FormatError(
            f"the weights of {self._path} are refused",
            where=f"{self._path}: {where[:120]}",
            why=f"{why}; Keras writes plain arrays inside the file",
            fix="save it again with Keras: model.save('model.keras')",
        )

    def get(
        self, path: Sequence[str], names: Sequence[str], groups: Sequence[str], name: str
    ) -> Array | None:
        """The variable `name` of a layer; None if it is absent. float32, or whole numbers as they are.

        path: names of the nested models and the layer; groups: the same path with Keras 3's class counters; names: all
        variables of the layer in Keras' order.
        """
        try:
            if self.named:
                return self._by_name(path, name)
            places = [f"layers/{place}" for place in groups]
            for prefix in ("layers", "_layer_checkpoint_dependencies"):
                inner = "/".join(places).replace("layers/", f"{prefix}/")
                dataset = self._follow(f"{inner}/vars/{names.index(name)}")
                if dataset is not None:
                    return self._array(dataset, inner)
            return None
        except FormatError:
            raise
        except Exception as error:
            raise self._damaged(str(error)) from None

    def numbers(self, path: Sequence[str], groups: Sequence[str]) -> int:
        """Total float elements of a layer and the layers inside it; the arrays are not read."""
        if self.named:
            root = "model_weights" if "model_weights" in self._file else ""
            tops = ["/".join(filter(None, (root, path[0])))]
        else:
            places = [f"layers/{place}" for place in groups]
            prefixes = ("layers", "_layer_checkpoint_dependencies")
            tops = ["/".join(places).replace("layers/", f"{prefix}/") for prefix in prefixes]
        arrays: dict[tuple[str, ...], Any] = {}
        for top in tops:
            group = self._follow(top)
            if group is not None:
                self._collect(group, (path[-1],), arrays)
        return sum(
            math.prod(array.shape or ())
            for array in arrays.values()
            if isinstance(array, self._h5py.Dataset) and array.dtype.kind in "fV"
        )

    def _follow(self, path: str) -> Any:
        """The object at a path, reached by hard links only; None if it is absent."""
        at = self._file
        for part in path.split("/"):
            if not isinstance(at, self._h5py.Group):
                raise self._refusal(path, "an array stands where a group belongs")
            if not part or part not in at:
                link = at.get(part, getlink=True) if part else None
                if not isinstance(link, self._h5py.ExternalLink | self._h5py.SoftLink):
                    return None
            at = self._child(at, part, path)
        return at

    def _child(self, group: Any, name: str, path: str) -> Any:
        link = group.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            kind = "an external link" if isinstance(link, self._h5py.ExternalLink) else "a soft link"
            raise self._refusal(path, f"{name[:80]} is {kind}")
        return group[name]

    def _array(self, dataset: Any, path: str) -> Array:
        if not isinstance(dataset, self._h5py.Dataset):
            raise self._refusal(path, "a group stands where an array belongs")
        kind, shape = dataset.dtype, dataset.shape
        if dataset.external:
            raise self._refusal(path, "its data is in another file")
        if dataset.is_virtual:
            raise self._refusal(path, "it is a virtual dataset, assembled from other arrays")
        if dataset.id.get_create_plist().get_nfilters():
            raise self._refusal(path, "its data is compressed or filtered")
        brain = kind.kind == "V" and kind.itemsize == 2  # bfloat16: the upper half of a float
        if shape is None or not (kind.kind in "fiu" or brain) or kind.itemsize > 8:
            raise self._refusal(path, f"it holds {str(kind)[:40]} instead of numbers")
        length = math.prod(shape) * kind.itemsize
        if len(shape) > 8 or length > self.size or (length and dataset.id.get_storage_size() != length):
            size = f"{'x'.join(map(str, shape[:8]))} needs {length:,} bytes"
            raise self._refusal(path, f"{size}; {dataset.id.get_storage_size():,} are stored")
        array = np.asarray(dataset[()])
        if brain:
            return (array.view("<u2").astype("<u4") << 16).view("<f4")
        return array.astype(np.float32) if kind.kind == "f" else array

    # ------------------------------------------------------------------------------------------ files before Keras 3

    def _by_name(self, path: Sequence[str], name: str) -> Array | None:
        """The array in the outermost layer's group whose path ends with the layer's and the variable's names."""
        top = path[0]
        if top not in self._lists:
            root = "model_weights" if "model_weights" in self._file else ""
            group = self._follow(f"{root}/{top}" if root else top)
            self._lists[top] = {}
            if group is not None:
                self._collect(group, (top,), self._lists[top])
        for word in ALIASES.get(name, (name,)):
            ends = [k for k in self._lists[top] if k[-1] == word and "/".join(k[:-1]).endswith(path[-1])]
            if ends:  # nested layers may share a name: take the one whose path has most in common
                best = max(ends, key=lambda key: (key[-2] == path[-1], len({*key} & {*path})))
                return self._array(self._lists[top][best], "/".join(best))
        return None

    def _collect(self, group: Any, path: tuple[str, ...], arrays: dict[tuple[str, ...], Any]) -> None:
        stack = [(group, path)]
        while stack:
            at, names = stack.pop()
            if not isinstance(at, self._h5py.Group):
                arrays[(*names[:-1], names[-1].partition(":")[0])] = at
                continue
            if len(names) > 64 or len(arrays) + len(stack) > MAX_OBJECTS:
                raise self._refusal("/".join(names[:4]), "its groups are nested too deeply, or form a cycle")
            stack += [(self._child(at, name, "/".join(names)), (*names, name)) for name in at]
