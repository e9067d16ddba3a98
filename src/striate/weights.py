"""Weights: named arrays outside the network, how they start, and the one file format they are kept in.

A name is node and parameter, as torchvision spells them: ``layer1.0.conv1.weight``. Arrays are float32, C-contiguous.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import mmap
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, SourceError, UnknownNameError, plural, suggest, unknown_key
from striate.files import write_aside
from striate.locks import reentrant
from striate.network import Network, sharing
from striate.tensor import Parameter

Array = NDArray[Any]
Weights = dict[str, Array]

PIECE = 1 << 20
"""Numbers that are drawn at a time."""


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
    """Weights to start from: those that the network came with, else fresh ones.

    Each fresh array depends on the seed and its own name only, not on the order of the nodes.
    Raises UnknownNameError for an unknown initializer.
    """
    if initializer not in INITIALIZERS:
        near = suggest(initializer, INITIALIZERS)
        raise UnknownNameError(
            f"no initialization {initializer!r}",
            why=f"known: {', '.join(INITIALIZERS)}",
            fix=f"write {near!r}" if near else "kaiming suits relu networks",
        )
    if net.weights is not None:
        given = resolved(net, net.weights)
        check(net, given)
        return {name: np.array(given[name], np.float32) for name in net.parameters}
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
        parts = [f"{len(missing)} missing ({_some(missing)})" if missing else ""]
        parts.append(f"{len(extra)} unknown ({_some(extra)})" if extra else "")
        raise FormatError(
            f"these weights are not those of {net.name}",
            why="; ".join(part for part in parts if part),
            fix=f"is {near!r} meant for {missing[0]!r}?" if near else "give weights saved from this network",
        )
    for name, parameter in declared.items():
        if tuple(weights[name].shape) != parameter.shape:
            inputs = " and ".join(map(str, net.inputs.values()))
            raise FormatError(
                f"weight {name} has shape {tuple(weights[name].shape)}, {parameter.shape} expected",
                why=f"{net.name} on input {inputs} declares it so",
                fix="the same number of classes and the same input as when they were saved",
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
                why=f"both are {full}, which nodes share: it has one value",
                fix="leave one of them out, or remove shares from the node",
            )
        made.setdefault(full, array)
        came.setdefault(full, name)
    return made


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
        arrays = resolved(net, arrays)
        check(net, arrays)
        self._net = net
        self._kept = {name: _frozen(arrays[name]) for name in net.parameters}
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


class _Held(mmap.mmap):
    """Memory that was filled from a file and is never written to afterwards."""


def _ground(array: Array) -> Any:
    """What an array's numbers lie in; None where they are its own."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    return base


def _frozen(array: Array) -> Array:
    """A read-only copy; the array itself if it is read-only already.

    An array that owns its numbers can be made writeable again by whoever holds it; one that lies in bytes, or in what
    was read from a file, cannot.
    """
    if array.dtype == np.float32 and array.flags.c_contiguous and isinstance(_ground(array), bytes | _Held):
        return array
    whole = np.ascontiguousarray(array, np.float32)
    return np.frombuffer(whole.tobytes(), np.float32).reshape(array.shape)


def _same(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same bits."""
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def save(
    path: str | os.PathLike[str], weights: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file: aside first, flushed to the disk, then renamed over the old one.

    Equal arguments give equal bytes (the safetensors package would write the metadata in a random order).
    """
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # every tensor stays aligned
    words = {np.dtype(kind): word for word, kind in _DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        dtype = words[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    tensors = (
        arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False).tobytes() for name in names
    )
    write_aside(path, len(text).to_bytes(8, "little"), text, *tensors)


_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
MAX_HEADER = 100_000_000
"""Bytes that say what is in a file; the limit of the safetensors package, too."""


def checksum(weights: Mapping[str, Array]) -> int:
    """A number that tells weights apart by their names and bits: CRC-32, against mistakes and not against forgers."""
    found = 0
    for name in sorted(weights):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(np.ascontiguousarray(weights[name]).reshape(-1).view(np.uint8).data, found)
    return found


def load(path: str | os.PathLike[str]) -> tuple[Weights, dict[str, str]]:
    """Weights and metadata of a safetensors file; half and double precision become float32. Arrays may be read-only.

    Raises SourceError when it cannot be read, FormatError when its content does not hold together.
    """
    target = Path(path)
    try:
        content = _content(target)
    except OSError as error:
        raise SourceError(
            f"{target} cannot be read", why=error.strerror or str(error), fix="check the path"
        ) from None
    try:
        return _parsed(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{target} is not a safetensors file, or damaged",
            why=str(error)[:200] or type(error).__name__,
            fix="save or download it again",
        ) from None


LARGE = 4 << 20
"""From this size on, 2 MB pages are requested: fetching small ones takes longer than copying a file's content."""


def _content(path: Path) -> bytes | memoryview:
    """Read a file into memory, so that later changes to it do not matter."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
            return file.readall()
        room = _Held(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a system without them
            room.madvise(mmap.MADV_HUGEPAGE)
        view, at = memoryview(room), 0
        while at < size and (count := file.readinto(view[at:])):
            at += count
        return view[:at].toreadonly()


def _parsed(content: Any) -> tuple[Weights, dict[str, str]]:
    """Arrays and metadata; the arrays lie in `content`. Raises what a wrong header makes it raise."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError("it is shorter than its header says")
    if start > MAX_HEADER:
        raise ValueError(f"its header has more than {MAX_HEADER:,} bytes")
    header = json.loads(bytes(content[8:start]))
    metadata = {str(key): str(value) for key, value in header.pop("__metadata__", {}).items()}
    spans = sorted((*entry["data_offsets"], name) for name, entry in header.items())
    end = 0
    for begin, stop, name in spans:
        if begin != end or stop < begin:
            raise ValueError(f"the numbers of {name} do not begin where those before them end")
        end = stop
    if start + end != len(content):
        raise ValueError(f"it has {len(content) - start} bytes of numbers, the header says {end}")
    weights = {}
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        weights[name] = _array(entry["dtype"], entry["shape"], content, start + begin, stop - begin)
    return weights, metadata


def _array(kind: str, shape: list[int], content: Any, start: int, size: int) -> Array:
    if kind not in _DTYPES and kind != "BF16":
        raise ValueError(f"it has numbers of type {kind}, read are BF16, {', '.join(_DTYPES)}")
    dtype = np.dtype("<u2" if kind == "BF16" else _DTYPES[kind])
    if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{size} bytes are not an array {shape} of {kind}")
    array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
    if kind == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array.astype(np.float32, copy=False) if kind.startswith("F") else array


def learned(net: Network) -> bool:
    """Whether a network has parameters that training has set: all but constants."""
    constant = {f"{node.name}.{name}" for node in net.nodes for name in node.fixed}
    return bool(net.parameters.keys() - constant)
