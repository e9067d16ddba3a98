"""Detect nodes that share a tensor of the file.

Exporters store equal tensors once, whether a module was called twice or two modules happen to hold the same values.
Separately learned tensors are never equal; constant ones often are (scales of 1, shifts of 0). So a tensor with several
readers is shared if its elements differ; if they are all equal, only if the file also says that the operators come from
one module.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from striate.formats.importing import Unknown
from striate.formats.onnx.names import module_path
from striate.formats.onnx.proto import Call
from striate.formats.onnx.site import Array
from striate.formats.tied import Sources
from striate.network import Network


@dataclasses.dataclass(frozen=True)
class _Use:
    """Use of a tensor of the file as a node's parameter. even: all elements are equal; module: of the call."""

    tensor: Hashable
    even: bool
    module: str


class Uses:
    """The parameters of all nodes by full name, and their tensors in the file."""

    def __init__(self, bindings: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self._bindings, self._origins = bindings, origins
        self._uses: dict[str, _Use] = {}
        self._parts: dict[str, dict[str, tuple[Hashable, int]]] = {}
        """Tensor of the file -> the parameters that it, or a part of it, holds."""

    def add(self, call: Call, full: str, array: Array, learned: bool) -> None:
        """Record an array that a call's node has as a parameter.

        Raises Unknown for a learned tensor that is used in two layouts at once.
        """
        constants = [name for name in call.inputs if isinstance(self._bindings.get(name), np.ndarray)]
        direct = [name for name in constants if _address(self._bindings[name]) == _address(array)]
        alike = direct or [name for name in constants if self._bindings[name].size == array.size]
        tensor: Hashable = (_address(array), array.shape, array.strides)
        if not direct and alike:  # computed from a constant
            numbers = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
            tensor = (self._origins.get(alike[0], alike[0]), array.shape, numbers)
        if alike and learned:
            origin = self._origins.get(alike[0], alike[0])
            parts = self._parts.setdefault(origin, {})
            sizes = {key: size for key, size in parts.values() if key != tensor}
            if (
                sizes
                and sum(sizes.values()) + array.size > self._bindings[alike[0]].size
                and not _even(array)
            ):
                raise Unknown(f"{origin} is used in two layouts")
            parts[full] = tensor, array.size
        self._uses[full] = _Use(tensor, _even(array), module_path(call))

    def forget(self, full: str) -> None:
        """Remove the record of a parameter."""
        self._uses.pop(full, None)
        for parts in self._parts.values():
            parts.pop(full, None)

    def used_elements(self, origin: str) -> int:
        """Number of elements of a tensor of the file that are parameters of nodes."""
        return sum(dict(self._parts.get(origin, {}).values()).values())

    def sources(self, net: Network) -> Sources:
        """Sharing among the parameters of an imported network."""
        result = Sources()
        first: dict[Hashable, str] = {}
        for name, declaration in net.inference.declarations.items():
            uses = {
                p.name: self._uses[f"{name}.{p.name}"]
                for p in declaration.parameters
                if f"{name}.{p.name}" in self._uses
            }
            twins = [first[use.tensor] for use in uses.values() if not use.even and use.tensor in first]
            for parameter, use in uses.items():
                twin = next((f"{twin}.{parameter}" for twin in twins), "")
                even: Hashable = (use.tensor, use.module or name)
                if twin in self._uses and self._uses[twin].tensor == use.tensor:
                    even = result.tensors[twin]
                result.tensors[f"{name}.{parameter}"] = even if use.even else use.tensor
                if not use.even:
                    first.setdefault(use.tensor, name)
        return result


def _even(array: Array) -> bool:
    return not array.size or bool((array == array.flat[0]).all())


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
