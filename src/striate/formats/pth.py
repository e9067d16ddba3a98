"""Read and write PyTorch state dicts, `.pth`, without torch and without executing a pickle.

Decides which calls build a tensor; any other request of a file is refused by name. Reads both layouts: the zip archive
(since PyTorch 1.6) and the older stream. A file cannot expand: entries must be stored uncompressed, and tensors must
lie inside their storage.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, LimitError, plural
from striate.files import aside, check_file
from striate.formats.pickles import Dict, Name, Refused, follow
from striate.formats.safetensors import raw_bytes
from striate.weights import Array, Weights, seal

_STORAGES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "i1", "Byte": "u1", "Bool": "?",
}  # fmt: skip
"""torch storage class without its suffix -> numpy type; bfloat16 is the upper half of a float32."""
_MAGIC = 0x1950A86A20F9469CFC6C
MAX_PICKLE = 64 * 1024**2
MAX_BYTES = 16 * 1024**3
MAX_BYTE_REPEATS = 8
"""Maximum number of times that tensors may share the bytes of a file, as tied weights do."""
HOLDERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "net", "weights")
"""Keys under which training scripts keep the state dict in a checkpoint."""


class _Storage:
    def __init__(self, kind: str, key: str, size: int) -> None:
        self.kind, self.key, self.size = kind, key, size


class _Tensor:
    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride


def load(path: str | os.PathLike[str]) -> Weights:
    """Read the arrays of a state dict by name; floating-point types become float32, integers stay.

    Counters of batch normalization (num_batches_tracked) are left out. Raises SourceError when it cannot be read,
    FormatError when it is not a state dict or asks for more than tensors, LimitError when it is too large.
    """
    target = Path(path)
    check_file(target)
    try:
        arrays = _zip(target) if zipfile.is_zipfile(target) else _stream(target)
        return {name: array for name, array in arrays if not name.endswith("num_batches_tracked")}
    except Refused as error:
        raise FormatError(
            f"{target} holds more than tensors",
            where=str(target),
            why=f"{error}; no code of the file was executed",
            fix="save the state dict alone: torch.save(model.state_dict(), path); "
            "in Python, st.from_torch(model) reads a whole module",
        ) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, UnicodeError, MemoryError,
            EOFError, OSError, RecursionError, NotImplementedError, RuntimeError, struct.error,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise FormatError(
            f"{target} is not a state dict, or damaged",
            where=str(target),
            why=(str(error) or type(error).__name__)[:200],
            fix="save it again: torch.save(model.state_dict(), path)",
        ) from None


# ---------------------------------------------------------------------------------------------------- the two layouts


def _zip(path: Path) -> Iterator[tuple[str, Array]]:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        if any(os.path.basename(name) == "constants.pkl" for name in entries):
            raise FormatError(
                f"{path} is a TorchScript archive, a program",
                where=str(path),
                why="no code of the file was executed",
                fix="save the state dict of its module: torch.save(torch.jit.load(path).state_dict(), other_path)",
            )
        if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
            raise ValueError("its entries are compressed, which torch.save never does")
        if sum(info.file_size for info in entries.values()) > size:
            raise ValueError("its entries are larger than the file")
        root = next((name[: -len("data.pkl")] for name in entries if name.endswith("data.pkl")), None)
        if root is None:
            raise ValueError("it contains no data.pkl")
        if entries[f"{root}data.pkl"].file_size > MAX_PICKLE:
            raise ValueError(f"its data.pkl is larger than {MAX_PICKLE:,} bytes")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        content = follow(io.BytesIO(archive.read(f"{root}data.pkl")), _call, _storage)
        yield from _arrays(content, lambda storage: archive.read(f"{root}data/{storage.key}"), size)


def _stream(path: Path) -> Iterator[tuple[str, Array]]:
    """Read the old layout: magic number, version, system, the pickle, the storage keys, and each storage after its
    size.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise LimitError(
            f"{path} has {size:,} bytes",
            why=f"at most {MAX_BYTES:,} are read",
            fix="give a state dict",
        )
    with path.open("rb") as stream:
        start = stream.read(64)
        if not start.startswith(b"\x80"):
            raise ValueError("it is neither a zip archive nor a pickle")
        stream.seek(0)
        if follow(stream, _call, _storage) != _MAGIC:
            raise ValueError("it is a pickle that torch.save did not write")
        for _ in range(2):
            follow(stream, _call, _storage)
        storages: dict[str, _Storage] = {}

        def storage(key: Any) -> _Storage:
            entry = _storage(key)
            return storages.setdefault(entry.key, entry)

        content = follow(stream, _call, storage)
        data = {}
        for key in follow(stream, _call, _storage):
            (count,) = struct.unpack("<q", stream.read(8))
            declared = storages[key]
            if count != declared.size:
                raise ValueError(f"storage {key} has {plural(count, 'element')}; {declared.size} expected")
            length = count * np.dtype(_STORAGES[declared.kind]).itemsize
            if not 0 <= length <= size - stream.tell():
                raise ValueError(f"storage {key} reaches past the end")
            data[key] = stream.read(length)
        yield from _arrays(content, lambda storage: data[storage.key], size)


# ---------------------------------------------------------------------------------------------------- what calls mean


def _call(name: Name, arguments: tuple[Any, ...]) -> Any:
    """Return the value of a call that a state dict may contain; refuse any other."""
    if name in ("collections.OrderedDict", "builtins.dict", "__builtin__.dict"):
        return _dict(arguments[0]) if arguments else Dict()
    if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        storage, offset, shape, stride = arguments[:4]
        return _Tensor(_is(_Storage, storage), _is(int, offset), _sizes(shape), _sizes(stride))
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return _is(_Tensor, arguments[0])
    if name == "torch.Size":
        return _sizes(arguments[0])
    raise Refused(f"it asks for {str(name)[:80]!r}")


def _dict(pairs: Any) -> Dict:
    """A dict from a list of pairs, as Python 2 wrote an OrderedDict. The list is consumed, so that a second reference
    cannot multiply it.
    """
    result = Dict((_is(str, key), value) for key, value in _is(list, pairs))
    pairs.clear()
    return result


def _storage(key: Any) -> _Storage:
    word, kind, name, _, size = _is(tuple, key)[:5]
    text = str(kind)[:80].removeprefix("torch.").removesuffix("Storage")
    if word != "storage" or not isinstance(kind, Name) or text not in _STORAGES:
        raise Refused(f"it stores numbers in {str(kind)[:80]!r}")
    return _Storage(text, _is(str, name), _is(int, size))


def _is(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"a {type(value).__name__} instead of {kind.__name__}")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > 16:
        raise ValueError("a shape with more than 16 axes, or none")
    sizes = tuple(_is(int, size) for size in value)
    if any(size < 0 for size in sizes):
        raise ValueError(f"the shape {sizes}")
    return sizes


def _arrays(content: Any, read: Any, size: int) -> Iterator[tuple[str, Array]]:
    """The tensors of a state dict, which may be inside a checkpoint, in order."""
    state = _state(content)
    data: dict[str, Array] = {}
    budget = MAX_BYTE_REPEATS * size
    for name, tensor in state.items():
        storage = tensor.storage
        kind = np.dtype(_STORAGES[storage.kind])
        if storage.key not in data:
            numbers = read(storage)
            if storage.size * kind.itemsize > len(numbers):
                raise ValueError(
                    f"{name} needs {storage.size * kind.itemsize:,} bytes; its storage has {len(numbers):,}"
                )
            data[storage.key] = np.frombuffer(numbers, kind, count=storage.size)
        yield name, _view(name, tensor, data[storage.key])
        budget -= math.prod(tensor.shape) * kind.itemsize
        if budget < 0:
            raise ValueError("its tensors are larger than the file")


def _state(content: Any) -> dict[str, _Tensor]:
    if isinstance(content, dict):
        tensors = {key: value for key, value in content.items() if isinstance(value, _Tensor)}
        if tensors and all(isinstance(key, str) for key in tensors):
            # torch.nn.DataParallel puts its own name before every other.
            return {key.removeprefix("module."): value for key, value in tensors.items()}
        for holder in HOLDERS:
            if isinstance(content.get(holder), dict):
                return _state(content[holder])
        if not content:
            return {}
    raise ValueError("it contains no named tensors")


def _view(name: str, tensor: _Tensor, storage: Array) -> Array:
    shape, stride, offset = tensor.shape, tensor.stride, tensor.offset
    reach = offset + sum((n - 1) * s for n, s in zip(shape, stride)) + 1
    elements = math.prod(shape)
    if (
        len(shape) != len(stride)
        or offset < 0
        or (elements and reach > storage.size)
        or elements > storage.size
    ):
        raise ValueError(f"{name} reaches past its storage")
    steps = tuple(s * storage.itemsize for s in stride)
    if not elements:
        return np.zeros(shape, np.float32)
    view = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
    if elements == storage.size and view.dtype == np.float32 and view.flags.c_contiguous:
        return storage.reshape(shape)  # as the file has it
    if tensor.storage.kind == "BFloat16":
        return seal((view.astype("<u4", order="C") << 16).view("<f4"))
    return seal(np.array(view, np.float32 if view.dtype.kind == "f" else None, order="C"))


# ---------------------------------------------------------------------------------------------------- writing


def save(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write a state dict that `torch.load(path, weights_only=True)` reads; float32, or int64 for whole numbers.

    Equal weights give equal bytes. Written one array after the other, aside, then renamed.
    """
    stem = "archive"
    pickle = [b"\x80\x02", _name("collections", "OrderedDict"), b")R"]
    with aside(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        if weights:
            pickle.append(b"(")
        for key, (name, values) in enumerate(weights.items()):
            array = np.asarray(values)
            integral = array.dtype.kind in "iu"
            array = np.asarray(array, "<i8" if integral else "<f4", order="C")
            pickle += [_text(name), _tensor(array, "LongStorage" if integral else "FloatStorage", str(key))]
            archive.writestr(zipfile.ZipInfo(f"{stem}/data/{key}"), raw_bytes(array))
        pickle.append(b"u." if weights else b".")
        archive.writestr(zipfile.ZipInfo(f"{stem}/data.pkl"), b"".join(pickle))
        archive.writestr(zipfile.ZipInfo(f"{stem}/byteorder"), b"little")
        archive.writestr(zipfile.ZipInfo(f"{stem}/version"), b"3\n")


def _tensor(array: Array, storage: str, key: str) -> bytes:
    """torch._utils._rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())."""
    strides = [s // array.itemsize for s in array.strides]
    place = (
        b"("
        + _text("storage")
        + _name("torch", storage)
        + _text(key)
        + _text("cpu")
        + _int(array.size)
        + b"tQ"
    )
    parts = [
        place, _int(0), b"(" + b"".join(map(_int, array.shape)) + b"t", b"(" + b"".join(map(_int, strides)) + b"t",
        b"\x89", _name("collections", "OrderedDict") + b")R",
    ]  # fmt: skip
    return _name("torch._utils", "_rebuild_tensor_v2") + b"(" + b"".join(parts) + b"tR"


def _name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)
