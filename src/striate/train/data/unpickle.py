"""Pickled numbers without pickle: dicts, lists, text and plain numpy arrays; everything else is refused.

`formats.pickles` follows the opcodes and runs nothing. Only calls that rebuild a numpy array are accepted, and this
module builds the array.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, plural
from striate.formats.pickles import Name, Refused, follow

#: The calls that appear in pickled arrays, and their meaning here. Both spellings of numpy's module are in use.
_CALLS = {
    "numpy.core.multiarray._reconstruct": "array",
    "numpy._core.multiarray._reconstruct": "array",
    "numpy.dtype": "dtype",
    "numpy.core.numeric._frombuffer": "buffer",  # protocol 5
    "numpy._core.numeric._frombuffer": "buffer",
    "_codecs.encode": "bytes",
    "__builtin__.bytes": "no bytes",  # how protocols 0 to 2 spell b""
}
_TYPES = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8", "b1"}


MAX_AXES, MAX_STATE = 32, 9
MAX_BYTE_REPEATS = 4
"""Maximum size of the arrays as a multiple of the pickle's size."""


class _Dtype:
    """A number type under construction."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"


class _Array:
    """An array under construction; `data` is set with its state."""

    def __init__(self, data: Any = None) -> None:
        self.data = data


def read_pickle(data: bytes, name: str) -> Any:
    """The value in a pickle of plain data. Raises FormatError; runs nothing."""
    try:
        builder = _Builder(MAX_BYTE_REPEATS * len(data))
        return _plain(follow(io.BytesIO(data), builder.call, state=builder.state, most=len(data)), {})
    except Refused as error:
        raise FormatError(
            f"{name} is a pickle that contains more than data",
            where=name,
            why=f"{error}; no code of the file was executed",
            fix="use the file only if you trust its source; save the arrays as .npz",
        ) from None
    except (
        ValueError,
        IndexError,
        TypeError,
        KeyError,
        UnicodeError,
        OverflowError,
        AttributeError,
    ) as error:
        raise FormatError(
            f"{name} is not a complete pickle",
            where=name,
            why=(str(error) or type(error).__name__)[:200],
            fix="download it again",
        ) from None


class _Builder:
    """Evaluates calls and states of one pickle. room: bytes that may still be decoded from its text.

    A text in the file can be referenced any number of times, so the total is limited.
    """

    def __init__(self, room: int) -> None:
        self.room = room

    def call(self, name: Name, args: tuple[Any, ...]) -> Any:
        """The value of a call that rebuilds an array."""
        means = _CALLS.get(name)
        if means is None:
            raise Refused(f"it asks for {str(name)[:80]!r}")
        if means == "array" and isinstance(args[0], Name) and args[0] == "numpy.ndarray":
            return _Array()
        if means == "dtype":
            code = args[0].decode("ascii") if isinstance(args[0], bytes) else args[0]
            if not isinstance(code, str) or code not in _TYPES:
                raise Refused(f"an array of type {str(code)[:80]!r}")
            return _Dtype(code)
        if means == "buffer":
            return _Array(self._array(*args))
        if means == "no bytes" and not args:
            return b""
        if means == "bytes" and args[1] in ("latin1", "latin-1") and isinstance(args[0], str):
            return self._encode(args[0])
        raise Refused("a call that does not build an array")

    def state(self, target: Any, state: Any) -> None:
        if isinstance(target, _Dtype):
            if (
                len(state) > MAX_STATE
                or state[1] not in ("<", ">", "|", "=")
                or any(part not in (None, -1, 0) for part in state[2:])
            ):
                raise Refused("a structured array type")
            target.order = state[1]
        elif isinstance(target, _Array):
            _, shape, kind, fortran, data = state
            target.data = self._array(data, kind, shape, "F" if fortran else "C")
        else:
            raise Refused("an object with a state")

    def _encode(self, text: str) -> bytes:
        self.room -= len(text)
        if self.room < 0:
            raise ValueError("its arrays are larger than the file")
        return text.encode("latin-1")

    def _array(self, data: Any, kind: Any, shape: Any, order: Any) -> Any:
        if not isinstance(kind, _Dtype) or not isinstance(data, bytes | bytearray | str):
            raise Refused("an array of objects")
        data = self._encode(data) if isinstance(data, str) else data  # Python 2 had one type for both
        if len(_of(tuple, shape)) > MAX_AXES:
            raise ValueError(f"an array of {plural(len(shape), 'axis', 'axes')}")
        sizes = tuple(_of(int, size) for size in shape)
        dtype = np.dtype(kind.order + kind.code)
        byte_count = math.prod(sizes) * dtype.itemsize
        if min(sizes, default=0) < 0 or byte_count != len(data):
            raise ValueError(f"an array of shape {sizes} needs {byte_count:,} bytes and has {len(data):,}")
        return np.frombuffer(data, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"expected a {kind.__name__}")
    return value


def _plain(value: Any, memo: dict[int, Any], depth: int = 0) -> Any:
    """The value without the helpers above; text of Python 2 becomes str, because keys and labels are looked up as str.

    memo: converted values by id, so that a value that is referenced twice is converted once.
    """
    if depth > 20:
        raise Refused("values nested more than 20 deep")
    if id(value) in memo:
        return memo[id(value)]
    plain: Any
    if isinstance(value, _Array):
        if value.data is None:
            raise ValueError("an array without numbers")
        plain = value.data
    elif isinstance(value, dict):
        plain = {_plain(key, memo, depth): _plain(part, memo, depth + 1) for key, part in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(part, memo, depth + 1) for part in value]
    elif isinstance(value, bytes):
        plain = value.decode("utf-8", "replace")
    elif type(value) in (str, bytearray, int, float, bool, type(None)):
        return value
    else:
        raise ValueError("a value that is not data")
    memo[id(value)] = plain
    return plain
