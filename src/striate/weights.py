"""Weights: named arrays outside the network, their initialization, and how a model holds them.

A name is node and parameter, as torchvision spells them: ``layer1.0.conv1.weight``. Arrays are float32, C-contiguous.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import (
    FormatError,
    LimitError,
    UnknownNameError,
    leading,
    plural,
    suggest,
    unknown_key,
)
from striate.locks import reentrant
from striate.network import Network, sharing
from striate.tensor import Parameter

Array = NDArray[Any]
Weights = dict[str, Array]

PIECE = 1 << 20
"""Random numbers drawn at a time."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A distribution with mean 0: `std` as given, or from the fan (inputs or outputs of one unit) and a gain."""

    shape: str = "normal"
    fan: str = ""
    gain: float = 1.0
    std: float = 0.0

    def __call__(self, rng: np.random.Generator, parameter: Parameter) -> Array:
        std = self.std
        if self.fan:
            into, out = fans(parameter.shape)
            std = self.gain / math.sqrt({"in": into, "out": out, "mean": (into + out) / 2}[self.fan])
        if self.shape == "uniform":
            limit = std * math.sqrt(3)
            return _draw_in_pieces(parameter.shape, lambda count: rng.uniform(-limit, limit, count))
        if self.shape == "normal":
            return _draw_in_pieces(parameter.shape, lambda count: rng.standard_normal(count) * std)
        values = rng.standard_normal(parameter.shape)
        while (wide := np.abs(values) > 2).any():  # drawn again until inside two standard deviations
            values[wide] = rng.standard_normal(int(wide.sum()))
        return (values * std).astype(np.float32)


def _draw_in_pieces(shape: Sequence[int], draw: Callable[[int], Array]) -> Array:
    """float32 numbers, drawn in float64 a piece at a time: all at once would take three times the layer's memory."""
    values = np.empty(math.prod(shape), np.float32)
    for start in range(0, values.size, PIECE):
        piece = values[start : start + PIECE]
        piece[:] = draw(piece.size)
    return values.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Initializer:
    """Initialization of convolutions, fully connected layers and their biases."""

    conv: Distribution
    linear: Distribution
    bias: str = "zeros"
    source: str = ""


_TORCH = Distribution("uniform", "in", math.sqrt(1 / 3))
_HE_IN, _HE_OUT = Distribution("normal", "in", math.sqrt(2)), Distribution("normal", "out", math.sqrt(2))

INITIALIZERS: Mapping[str, Initializer] = {
    "kaiming": Initializer(_HE_IN, _HE_IN, source="He et al., arXiv 1502.01852"),
    "xavier": Initializer(
        Distribution("uniform", "mean"),
        Distribution("uniform", "mean"),
        source="Glorot & Bengio, AISTATS 2010",
    ),
    "torch": Initializer(_TORCH, _TORCH, "uniform", "torch.nn.Conv2d and torch.nn.Linear"),
    "resnet": Initializer(_HE_OUT, _TORCH, "uniform", "torchvision resnet"),
    "vgg": Initializer(_HE_OUT, Distribution(std=0.01), source="torchvision vgg, mobilenet, regnet"),
    "densenet": Initializer(_HE_IN, _TORCH, source="torchvision densenet"),
    "squeezenet": Initializer(
        Distribution("uniform", "in", math.sqrt(2)), _TORCH, source="torchvision squeezenet"
    ),
    "inception": Initializer(
        Distribution("truncated", std=0.1), Distribution("truncated", std=0.1), source="torchvision inception"
    ),
    "googlenet": Initializer(
        Distribution("truncated", std=0.01),
        Distribution("truncated", std=0.01),
        source="torchvision googlenet",
    ),
    "efficientnet": Initializer(
        _HE_OUT, Distribution("uniform", "out", math.sqrt(1 / 3)), source="torchvision efficientnet"
    ),
    "convnext": Initializer(
        Distribution("truncated", std=0.02),
        Distribution("truncated", std=0.02),
        source="torchvision convnext",
    ),
}


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one unit of a weight (out, in, kernel …), as torch.nn.init counts them."""
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def initialize(net: Network, seed: int = 0, initializer: str = "kaiming") -> Weights:
    """Fresh weights. Each array depends on the seed and its own name only, not on the order of the nodes.

    Raises UnknownNameError for an unknown initializer, LimitError for weights that this machine cannot hold.
    """
    if initializer not in INITIALIZERS:
        near = suggest(initializer, INITIALIZERS)
        raise UnknownNameError(
            f"unknown initializer {initializer!r}",
            why=f"the initializers are {', '.join(INITIALIZERS)}",
            fix=f"write {near!r}" if near else "use kaiming for networks with relu",
        )
    _check_room(net)
    try:
        return _drawn(net, seed, INITIALIZERS[initializer])
    except MemoryError:
        raise _too_large(net, "there is no memory left") from None


def _check_room(net: Network) -> None:
    """Raises LimitError where all of the machine's memory would not do; nothing has been allocated then."""
    with contextlib.suppress(AttributeError, ValueError, OSError):  # a system that does not tell
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if sum(4 * p.elements for p in net.parameters.values()) > memory > 0:
            raise _too_large(net, f"this machine has {memory / 2**30:,.1f} GiB of memory")


def _too_large(net: Network, why: str) -> LimitError:
    size = sum(4 * p.elements for p in net.parameters.values())
    largest = max(net.parameters, key=lambda name: net.parameters[name].elements)
    return LimitError(
        f"the weights of {net.name} take {size / 2**30:,.1f} GiB",
        where=largest,
        why=f"{why}; {largest} has {net.parameters[largest].elements:,} numbers",
        fix=f"give {largest.rpartition('.')[0]} fewer filters, or its input fewer channels",
    )


def _drawn(net: Network, seed: int, scheme: Initializer) -> Weights:
    weights: Weights = {}
    for node, declaration in net.declarations.items():
        weight = next((p for p in declaration.parameters if p.name == "weight"), None)
        for parameter in declaration.parameters:
            if parameter.shared:
                continue
            name = f"{node}.{parameter.name}"
            rng = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogatepass"))])
            if parameter.initial is not None:
                weights[name] = np.full(parameter.shape, parameter.initial, np.float32)
            elif parameter.kind == "bias":
                limit = (
                    1 / math.sqrt(max(fans(weight.shape)[0], 1))
                    if weight and scheme.bias == "uniform"
                    else 0.0
                )
                weights[name] = rng.uniform(-limit, limit, parameter.shape).astype(np.float32)
            else:
                draw = scheme.conv if len(parameter.shape) > 2 else scheme.linear
                weights[name] = draw(rng, parameter)
    return weights


def check(net: Network, weights: Mapping[str, Array]) -> None:
    """Raise FormatError unless the weights are exactly those that the network declares, by name and shape."""
    declared = net.parameters
    missing = [name for name in declared if name not in weights]
    extra = [name for name in weights if name not in declared]
    if missing or extra:
        near = suggest(missing[0], extra) if missing and extra else ""
        parts = [f"{len(missing)} missing ({leading(missing, 3)})" if missing else ""]
        parts.append(f"{len(extra)} unknown ({leading(extra, 3)})" if extra else "")
        raise FormatError(
            f"these weights do not match {net.name}",
            why="; ".join(part for part in parts if part),
            fix=f"rename {near!r} to {missing[0]!r} if that is meant"
            if near
            else "use weights that were saved from this network",
        )
    for name, parameter in declared.items():
        if tuple(weights[name].shape) != parameter.shape:
            inputs = " and ".join(map(str, net.inputs.values()))
            raise FormatError(
                f"weight {name} has shape {tuple(weights[name].shape)}, expected {parameter.shape}",
                why=f"this is its shape in {net.name} with input {inputs}",
                fix="use the number of classes and the input size with which they were saved",
            )


def _by_own_names(net: Network, weights: Mapping[str, Array]) -> Mapping[str, Array]:
    """Weights under the network's own names; a file may have any of a shared tensor's names.

    Raises FormatError if one tensor comes under two names with different numbers.
    """
    if all(name in weights for name in net.parameters) and len(weights) == len(net.parameters):
        return weights
    names = sharing.all_names(net)
    if not any(names.get(name, name) != name for name in weights):
        return weights
    arrays: dict[str, Array] = {}
    sources: dict[str, str] = {}
    for name, array in weights.items():
        full = names.get(name, name)
        if (
            array.ndim == 0 and full in net.parameters
        ):  # PyTorch's numbers may have no axis, tensors here have one
            array = np.reshape(array, 1)
        if full in arrays and not (
            arrays[full].shape == array.shape and np.array_equal(arrays[full], array, equal_nan=True)
        ):
            raise FormatError(
                f"{sources[full]} and {name} differ",
                where=f"weights of {net.name}",
                why=f"both are names of the shared parameter {full}, which has one value",
                fix="remove one of them, or remove `shares` from the node",
            )
        arrays.setdefault(full, array)
        sources.setdefault(full, name)
    return arrays


def prepare(net: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of a network by its own names, float32 and read-only; sealed arrays are not copied.

    Raises FormatError unless they are exactly those that the network declares.
    """
    arrays = _by_own_names(net, weights)
    check(net, arrays)
    return {name: _freeze(arrays[name]) for name in net.parameters}


def by_file_names(net: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights for a file: under every name of the network's source."""
    return {name: weights[full] for name, full in sharing.file_names(net).items()}


class ModelWeights(MutableMapping[str, Array]):
    """The weights of a model: name -> float32 array, to be changed in place or assigned to (which copies).

    Programs pack weights, so changes must be noticed. The arrays that programs read are never written to; reading a
    name returns a copy, which is the weight from then on. `current` compares these copies and adopts those that differ.
    Only copies that are still referenced, also through a view, are watched: weights that are never read cost nothing.
    Thread-safe.

    Raises FormatError for a name or a shape that the network does not declare.
    """

    def __init__(self, net: Network, arrays: Mapping[str, Array]) -> None:
        self._net = net
        self._arrays = prepare(net, arrays)
        self._copies: dict[str, Array] = {}
        self._derived: tuple[dict[str, Array], Any] | None = None
        self._lock = reentrant()

    def __getitem__(self, name: str) -> Array:
        with self._lock:
            if name not in self._copies:
                if name not in self._arrays:
                    raise unknown_key(self._net.name, "weight", name, self._arrays)
                self._copies[name] = self._arrays[name].copy()
            return self._copies[name]

    def __setitem__(self, name: str, value: Any) -> None:
        array = np.asarray(value, np.float32)
        with self._lock:
            if array is self._copies.get(name):  # weights[name] += 1
                return
            check(self._net, {**self._arrays, name: array})
            self._arrays = {**self._arrays, name: _freeze(array)}
            self._copies.pop(name, None)

    def __delitem__(self, name: str) -> None:
        raise FormatError(
            f"weight {name} cannot be removed", why="the network needs it", fix="assign to it instead"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"ModelWeights({plural(len(self), 'array')} of {self._net.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelWeights, (self._net, self.current())

    def current(self) -> dict[str, Array]:
        """Read-only arrays that hold the weights as they are now; the same dict as long as nothing changes."""
        with self._lock:
            if self._copies:
                copies, arrays = self._copies, self._arrays
                new_arrays = {
                    name: _freeze(copies[name]) for name in copies if not _same(copies[name], arrays[name])
                }
                if new_arrays:
                    check(self._net, {**arrays, **new_arrays})
                    self._arrays = {**arrays, **new_arrays}
                self._forget()
            return self._arrays

    def _forget(self) -> None:
        """Drop the copies that are not referenced elsewhere."""
        references = {name: weakref.ref(array) for name, array in self._copies.items()}
        self._copies.clear()
        for name, reference in references.items():
            if (array := reference()) is not None:
                self._copies[name] = array

    def derived(self, make: Callable[[dict[str, Array]], Any]) -> Any:
        """The result of `make` for the current weights; cached until they change."""
        with self._lock:
            now = self.current()
            if self._derived is None or self._derived[0] is not now:
                self._derived = None  # frees its memory before `make` allocates more
                self._derived = now, make(now)
            return self._derived[1]


class _Sealed(np.ndarray[Any, Any]):
    """An array that its only owner has given up."""


def seal(array: Array) -> Array:
    """A read-only array in the same memory.

    For arrays that only the caller references and no longer writes to: programs and models use them without a copy.
    """
    return array if is_sealed(array) else np.asarray(array.view(_Sealed).data.toreadonly())


def is_sealed(array: Array) -> bool:
    """Whether an array cannot be written to: its numbers are sealed, or lie in bytes.

    An array that is merely marked as read-only can be made writeable again by its owner.
    """
    base: Any = None if array.flags.writeable else array
    while isinstance(base, np.ndarray | memoryview) and not isinstance(base, _Sealed):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, bytes | _Sealed)


def _freeze(array: Array) -> Array:
    """A sealed float32 array: the array itself if it is one, else a copy."""
    if array.dtype == np.float32 and array.flags.c_contiguous and is_sealed(array):
        return array
    return seal(np.array(array, np.float32, order="C"))


def _same(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same bits."""
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


def checksum(weights: Mapping[str, Array]) -> int:
    """A number that tells weights apart by their names and bits: CRC-32, against mistakes, not forgery."""
    crc = 0
    for name in sorted(weights):
        crc = zlib.crc32(name.encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(weights[name]).reshape(-1).view(np.uint8).data, crc)
    return crc


def has_learned_weights(net: Network) -> bool:
    """Whether a network has parameters that training has set: all but constants."""
    constant = {f"{node.name}.{name}" for node in net.nodes for name in node.fixed}
    return bool(net.parameters.keys() - constant)
