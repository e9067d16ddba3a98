"""Pickled numbers without pickle: reads dicts, lists, text and plain numpy arrays; everything else is refused.

`pickle.load` runs whatever a file asks for, and a subclass of its Unpickler still trusts what it lets through. Here
nothing can run: the opcodes are listed by `pickletools`, and the few that data needs are followed below. A call is
understood only where it rebuilds a numpy array, and then it is this module that builds it.
"""

from __future__ import annotations

import io
import math
import pickletools
from typing import Any

import numpy as np

from striate.diagnostics import FormatError

#: The calls that appear in pickled arrays, and their meaning here. Both spellings of numpy's module are in use.
_CALLS = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "numpy.core.numeric _frombuffer": "buffer",  # protocol 5
    "numpy._core.numeric _frombuffer": "buffer",
    "_codecs encode": "bytes",
    "__builtin__ bytes": "no bytes",  # how protocols 0 to 2 spell b""
}
_TYPES = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8", "b1"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_VALUES = frozenset(
    {
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
    }
    | {
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
    }
    | {"BINBYTES8", "BYTEARRAY8"}
)


class _Mark:
    pass


class _Call:
    """A name from _CALLS that was looked up."""

    def __init__(self, means: str) -> None:
        self.means = means


class _Dtype:
    """What was said about a number type so far."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"


class _Array:
    """What was said about an array so far; `data` once its state was set."""

    def __init__(self, data: Any = None) -> None:
        self.data = data


class _Refused(Exception):
    pass


def read_pickle(data: bytes, name: str) -> Any:
    """The value in a pickle of plain data. Raises FormatError; runs nothing."""
    try:
        return _plain(_follow(data), {})
    except _Refused as error:
        raise FormatError(
            f"{name} is a pickle with more than data in it",
            where=name,
            why=f"{error}; nothing of it was executed",
            fix="use the file only if you know who made it; save the arrays as .npz",
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
            f"{name} is no whole pickle",
            where=name,
            why=(str(error) or type(error).__name__)[:200],
            fix="fetch it again",
        ) from None


def _follow(data: bytes) -> Any:
    """The stack machine of pickle, as far as data needs it."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, place in pickletools.genops(io.BytesIO(data)):
        op = opcode.name
        if op in _VALUES:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _EMPTY:
            stack.append(_EMPTY[op]())
        elif op == "EMPTY_TUPLE":
            stack.append(())
        elif op == "MARK":
            stack.append(_Mark())
        elif op in _TUPLES:
            count = _TUPLES[op]
            stack[-count:] = [tuple(stack[-count:])]
        elif op == "TUPLE":
            stack.append(tuple(_to_mark(stack)))
        elif op == "LIST":
            stack.append(_to_mark(stack))
        elif op == "DICT":
            stack.append(_pairs({}, _to_mark(stack)))
        elif op == "APPEND":
            value = stack.pop()
            _of(list, stack[-1]).append(value)
        elif op == "APPENDS":
            values = _to_mark(stack)
            _of(list, stack[-1]).extend(values)
        elif op == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _pairs(_of(dict, stack[-1]), [key, value])
        elif op == "SETITEMS":
            values = _to_mark(stack)
            _pairs(_of(dict, stack[-1]), values)
        elif op in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[_of(int, argument)] = stack[-1]
        elif op == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif op in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[_of(int, argument)])
        elif op == "GLOBAL":
            stack.append(_look_up(str(argument)))
        elif op == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_look_up(f"{module} {attribute}"))
        elif op == "REDUCE":
            arguments, call = stack.pop(), stack.pop()
            stack.append(_rebuild(call, arguments))
        elif op == "BUILD":
            state = stack.pop()
            _set_state(stack[-1], state)
        elif op == "STOP":
            return stack.pop()
        elif op not in ("PROTO", "FRAME"):
            raise _Refused(f"{op} at byte {place}")
    raise ValueError("it stops before its end")


def _to_mark(stack: list[Any]) -> list[Any]:
    values = []
    while not isinstance(stack[-1], _Mark):
        values.append(stack.pop())
    stack.pop()
    return values[::-1]


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected a {kind.__name__}")
    return value


def _pairs(into: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    for key, value in zip(values[::2], values[1::2]):
        if not isinstance(key, str | bytes | int):
            raise ValueError("a key that is neither text nor a number")
        into[key] = value
    return into


def _look_up(name: str) -> _Call:
    if name not in _CALLS:
        raise _Refused(f"it asks for {name.replace(' ', '.')!r}")
    return _Call(_CALLS[name])


def _rebuild(call: Any, arguments: Any) -> Any:
    means = call.means if isinstance(call, _Call) else None
    if means == "array" and isinstance(arguments[0], _Call) and arguments[0].means == "ndarray":
        return _Array()
    if means == "dtype":
        code = arguments[0].decode("ascii") if isinstance(arguments[0], bytes) else arguments[0]
        if code not in _TYPES:
            raise _Refused(f"an array of type {code!r}")
        return _Dtype(code)
    if means == "buffer":
        return _Array(_array(*arguments))
    if means == "no bytes" and arguments == ():
        return b""
    if means == "bytes" and arguments[1] in ("latin1", "latin-1") and isinstance(arguments[0], str):
        return arguments[0].encode("latin-1")
    raise _Refused("a call that builds no array")


def _set_state(target: Any, state: Any) -> None:
    if isinstance(target, _Dtype):
        if state[1] not in ("<", ">", "|", "=") or any(part not in (None, -1, 0) for part in state[2:]):
            raise _Refused("an array type with parts")
        target.order = state[1]
    elif isinstance(target, _Array):
        _, shape, kind, fortran, data = state
        target.data = _array(data, kind, shape, "F" if fortran else "C")
    else:
        raise _Refused("an object with a state")


def _array(data: Any, kind: Any, shape: Any, order: Any) -> Any:
    if not isinstance(kind, _Dtype) or not isinstance(data, bytes | bytearray | str):
        raise _Refused("an array of objects")
    data = data.encode("latin-1") if isinstance(data, str) else data  # Python 2 had one type for both
    sizes = tuple(_of(int, size) for size in _of(tuple, shape))
    dtype = np.dtype(kind.order + kind.code)
    needed = math.prod(sizes) * dtype.itemsize
    if min(sizes, default=0) < 0 or needed != len(data):
        raise ValueError(f"an array of shape {sizes} needs {needed:,} bytes and has {len(data):,}")
    return np.frombuffer(data, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _plain(value: Any, done: dict[int, Any], depth: int = 0) -> Any:
    """The value without the helpers above; text of Python 2 becomes str, as keys and labels are asked for.

    `done`: what is met twice is made once, so that a file cannot multiply itself.
    """
    if depth > 20:
        raise _Refused("values nested more than 20 deep")
    if id(value) in done:
        return done[id(value)]
    plain: Any
    if isinstance(value, _Array):
        if value.data is None:
            raise ValueError("an array without numbers")
        plain = value.data
    elif isinstance(value, dict):
        plain = {_text(key): _plain(part, done, depth + 1) for key, part in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(part, done, depth + 1) for part in value]
    elif isinstance(value, _Call | _Mark | _Dtype):
        raise ValueError("a value that is no data")
    else:
        return _text(value)
    done[id(value)] = plain
    return plain


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
