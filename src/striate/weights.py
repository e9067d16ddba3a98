"""Weights: named arrays outside the network, their initialization, and how a model holds them.

A name is node and parameter, as torchvision spells them: ``layer1.0.conv1.weight``. Arrays are float32, C-contiguous.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, UnknownNameError, leading, plural, suggest, unknown_key
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
            bound = std * math.sqrt(3)
            return _pieces(parameter.shape, lambda count: rng.uniform(-bound, bound, count))
        if self.shape == "normal":
            return _pieces(parameter.shape, lambda count: rng.standard_normal(count) * std)
        drawn = rng.standard_normal(parameter.shape)
        while (wide := np.abs(drawn) > 2).any():  # drawn again until inside two standard deviations
            drawn[wide] = rng.standard_normal(int(wide.sum()))
        return (drawn * std).astype(np.float32)


def _pieces(shape: Sequence[int], draw: Callable[[int], Array]) -> Array:
    """float32 of what is drawn in float64, a piece at a time: a large layer would take three times its memory."""
    made = np.empty(math.prod(shape), np.float32)
    for start in range(0, made.size, PIECE):
        piece = made[start : start + PIECE]
        piece[:] = draw(piece.size)
    return made.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Initializer:
    """How convolutions, fully connected layers and their biases start."""

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

    Raises UnknownNameError for an unknown initializer.
    """
    if initializer not in INITIALIZERS:
        near = suggest(initializer, INITIALIZERS)
        raise UnknownNameError(
            f"unknown initializer {initializer!r}",
            why=f"the initializers are {', '.join(INITIALIZERS)}",
            fix=f"write {near!r}" if near else "use kaiming for networks with relu",
        )
    chosen = INITIALIZERS[initializer]
    weights: Weights = {}
    for node, declaration in net.declarations.items():
        weight = next((p for p in declaration.parameters if p.name == "weight"), None)
        for parameter in declaration.parameters:
            if parameter.shared:
                continue
            name = f"{node}.{parameter.name}"
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            if parameter.initial is not None:
                weights[name] = np.full(parameter.shape, parameter.initial, np.float32)
            elif parameter.kind == "bias":
                bound = (
                    1 / math.sqrt(max(fans(weight.shape)[0], 1))
                    if weight and chosen.bias == "uniform"
                    else 0.0
                )
                weights[name] = rng.uniform(-bound, bound, parameter.shape).astype(np.float32)
            else:
                draw = chosen.conv if len(parameter.shape) > 2 else chosen.linear
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


def resolved(net: Network, weights: Mapping[str, Array]) -> Mapping[str, Array]:
    """Weights under the network's own names, whichever of a shared tensor's names a file has.

    Raises FormatError where one tensor comes under two names with different numbers.
    """
    if all(name in weights for name in net.parameters) and len(weights) == len(net.parameters):
        return weights
    names = sharing.all_names(net)
    if not any(names.get(name, name) != name for name in weights):
        return weights
    made: dict[str, Array] = {}
    came: dict[str, str] = {}
    for name, array in weights.items():
        full = names.get(name, name)
        if (
            array.ndim == 0 and full in net.parameters
        ):  # PyTorch's numbers may have no axis, tensors here have one
            array = np.reshape(array, 1)
        if full in made and not (
            made[full].shape == array.shape and np.array_equal(made[full], array, equal_nan=True)
        ):
            raise FormatError(
                f"{came[full]} and {name} differ",
                where=f"weights of {net.name}",
                why=f"both are names of the shared parameter {full}, which has one value",
                fix="remove one of them, or remove `shares` from the node",
            )
        made.setdefault(full, array)
        came.setdefault(full, name)
    return made


def fitting(net: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of a network by its own names, float32 and read-only; sealed arrays are not copied.

    Raises FormatError unless they are exactly those that the network declares.
    """
    arrays = resolved(net, weights)
    check(net, arrays)
    return {name: _frozen(arrays[name]) for name in net.parameters}


def written(net: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights as files hold them: under every name of the network's source."""
    return {name: weights[full] for name, full in sharing.file_names(net).items()}


class ModelWeights(MutableMapping[str, Array]):
    """The weights of a model: name -> float32 array, to be changed in place or assigned to (which copies).

    Programs pack weights, so a change has to be noticed. The arrays that programs read are never written to; whoever
    reads a name is lent a copy, which is the weight from then on. `current` compares the copies that were lent and
    takes over what differs. It goes on watching only those that somebody still holds, or holds a view of: weights that
    are never read cost nothing. Thread-safe.

    Raises FormatError for a name or a shape that the network does not declare.
    """

    def __init__(self, net: Network, arrays: Mapping[str, Array]) -> None:
        self._net = net
        self._kept = fitting(net, arrays)
        self._lent: dict[str, Array] = {}
        self._derived: tuple[dict[str, Array], Any] | None = None
        self._lock = reentrant()

    def __getitem__(self, name: str) -> Array:
        with self._lock:
            if name not in self._lent:
                if name not in self._kept:
                    raise unknown_key(self._net.name, "weight", name, self._kept)
                self._lent[name] = self._kept[name].copy()
            return self._lent[name]

    def __setitem__(self, name: str, value: Any) -> None:
        array = np.asarray(value, np.float32)
        with self._lock:
            if array is self._lent.get(name):  # weights[name] += 1
                return
            check(self._net, {**self._kept, name: array})
            self._kept = {**self._kept, name: _frozen(array)}
            self._lent.pop(name, None)

    def __delitem__(self, name: str) -> None:
        raise FormatError(
            f"weight {name} cannot be removed", why="the network needs it", fix="assign to it instead"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"ModelWeights({plural(len(self), 'array')} of {self._net.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelWeights, (self._net, self.current())

    def current(self) -> dict[str, Array]:
        """Read-only arrays that hold the weights as they are now; the same dict as long as nothing changes."""
        with self._lock:
            if self._lent:
                lent, kept = self._lent, self._kept
                changed = {name: _frozen(lent[name]) for name in lent if not _same(lent[name], kept[name])}
                if changed:
                    check(self._net, {**kept, **changed})
                    self._kept = {**kept, **changed}
                self._forget()
            return self._kept

    def _forget(self) -> None:
        """Let go of the copies; those that are still there after that are held by others."""
        held = {name: weakref.ref(array) for name, array in self._lent.items()}
        self._lent.clear()
        for name, reference in held.items():
            if (array := reference()) is not None:
                self._lent[name] = array

    def derived(self, make: Callable[[dict[str, Array]], Any]) -> Any:
        """What `make` gives for the weights as they are now; kept until they change."""
        with self._lock:
            now = self.current()
            if self._derived is None or self._derived[0] is not now:
                self._derived = None  # its memory is free before more is asked for
                self._derived = now, make(now)
            return self._derived[1]


class _Sealed(np.ndarray[Any, Any]):
    """Numbers whose only holder has let them go."""


def sealed(array: Array) -> Array:
    """The numbers of an array as one that cannot be written to, in the same memory.

    For arrays that the caller alone holds, and gives up: programs and models use them without a copy.
    """
    return array if is_sealed(array) else np.asarray(array.view(_Sealed).data.toreadonly())


def is_sealed(array: Array) -> bool:
    """Whether an array cannot be written to: its numbers are sealed, or lie in bytes.

    An array that is merely marked as read-only can be made writeable again by whoever holds it.
    """
    base: Any = None if array.flags.writeable else array
    while isinstance(base, np.ndarray | memoryview) and not isinstance(base, _Sealed):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, bytes | _Sealed)


def _frozen(array: Array) -> Array:
    """A sealed float32 array: the array itself where it is one, else a copy."""
    if array.dtype == np.float32 and array.flags.c_contiguous and is_sealed(array):
        return array
    return sealed(np.array(array, np.float32, order="C"))


def _same(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same bits."""
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


def checksum(weights: Mapping[str, Array]) -> int:
    """A number that tells weights apart by their names and bits: CRC-32, against mistakes and not against forgers."""
    found = 0
    for name in sorted(weights):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(np.ascontiguousarray(weights[name]).reshape(-1).view(np.uint8).data, found)
    return found


def learned(net: Network) -> bool:
    """Whether a network has parameters that training has set: all but constants."""
    constant = {f"{node.name}.{name}" for node in net.nodes for name in node.fixed}
    return bool(net.parameters.keys() - constant)
