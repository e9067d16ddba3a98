"""Interpret pickles without executing them: numbers, text, containers, and calls that a reader allows by name.

Nothing can run: `pickletools` lists the opcodes, and the few that data needs are interpreted here. A global is a text,
and a call is a value that the reader builds from that text and its arguments.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sized
from typing import Any, BinaryIO


class _Unwalked:
    """Container of a pickle without repr, hash or comparison: containers that hold each other twice, sixty levels deep,
    would make a full walk endless.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __repr__(self: Sized) -> str:
        return f"a {type(self).__name__.lower()} of {len(self):,}"


class Tuple(_Unwalked, tuple[Any, ...]):  # type: ignore[misc]
    """A tuple of a pickle."""

    __slots__ = ()


class List(_Unwalked, list[Any]):
    """A list of a pickle."""

    __slots__ = ()


class Dict(_Unwalked, dict[Any, Any]):
    """A dict of a pickle."""

    __slots__ = ()


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": Dict,
    "EMPTY_LIST": List,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": Tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BYTEARRAY8",
}  # fmt: skip
MAX_ITEMS = 4_000_000
"""Maximum opcodes of one pickle; a state dict has about forty per tensor."""


MAX_NAME = 1000
"""Maximum characters of a module or attribute name."""


class Refused(Exception):
    """A pickle that asks for more than data."""


class Name(str):
    """A global of the pickle: module and attribute, joined by a dot."""

    __slots__ = ()


class _Mark:
    pass


def refuse_external(key: Any) -> Any:
    """Default `persistent`, for pickles without persistent ids: raise Refused."""
    raise Refused(f"it refers to an external object {str(key)[:80]!r}")


def refuse_state(target: Any, _state: Any) -> None:
    """Default `state`, for pickles whose values have no state; the state of a container is ignored."""
    if not isinstance(target, dict):
        raise Refused(f"a state for a {type(target).__name__}")


def follow(
    stream: BinaryIO,
    call: Callable[[Name, tuple[Any, ...]], Any],
    persistent: Callable[[Any], Any] = refuse_external,
    state: Callable[[Any, Any], None] = refuse_state,
    most: int = MAX_ITEMS,
) -> Any:
    """Interpret the pickle at the stream's position; at most `most` opcodes.

    call: returns the value of a named call, or raises Refused; persistent: returns the value of a persistent id; state:
    sets a state on a value. Raises Refused, or ValueError and similar errors for a damaged pickle.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for count, (opcode, argument, place) in enumerate(pickletools.genops(stream)):
        op = opcode.name
        if count > most:
            raise ValueError(f"more than {most:,} opcodes")
        if op in _VALUES:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _EMPTY:
            stack.append(_EMPTY[op]())
        elif op == "MARK":
            stack.append(_Mark())
        elif op in _TUPLES:
            if len(stack) < _TUPLES[op]:
                raise ValueError("a tuple with missing items")
            stack[-_TUPLES[op] :] = [Tuple(stack[-_TUPLES[op] :])]
        elif op in ("TUPLE", "LIST", "DICT"):
            stack.append(_container(op, _to_mark(stack)))
        elif op in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"):
            _extend(op, stack)
        elif op in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[_place(argument)] = stack[-1]
        elif op == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif op in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[_place(argument)])
        elif op == "GLOBAL":
            stack.append(Name(str(argument).replace(" ", ".", 1)))
        elif op == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_name(module, attribute))
        elif op == "BINPERSID":
            stack.append(persistent(stack.pop()))
        elif op == "REDUCE":
            arguments, name = stack.pop(), stack.pop()
            if not isinstance(name, Name) or not isinstance(arguments, tuple):
                raise Refused("a call of something that is not a name")
            stack.append(call(name, arguments))
        elif op == "BUILD":
            attributes = stack.pop()
            state(stack[-1], attributes)
        elif op == "POP":
            stack.pop()
        elif op == "STOP":
            return stack.pop()
        elif op not in ("PROTO", "FRAME"):
            raise Refused(f"the opcode {op} at byte {place}")
    raise ValueError("it ends too early")


def _name(module: Any, attribute: Any) -> Name:
    if not all(isinstance(part, str) and len(part) < MAX_NAME for part in (module, attribute)):
        raise ValueError("a name that is not a short text")
    return Name(f"{module}.{attribute}")


def _to_mark(stack: list[Any]) -> list[Any]:
    values = []
    while not isinstance(stack[-1], _Mark):
        values.append(stack.pop())
    stack.pop()
    return values[::-1]


def _place(argument: Any) -> int:
    place = int(argument or 0)
    if not 0 <= place < 2**31:
        raise ValueError(f"memo index {place:.3g}")
    return place


def _keys(values: list[Any]) -> list[Any]:
    """Keys whose hashes a file cannot choose: numbers above 2^61 could all be given the same one."""
    for value in values:
        if not isinstance(value, str | bytes | type(None)) and not (
            isinstance(value, int) and abs(value) < 2**60
        ):
            raise ValueError("a key that is neither a text nor an integer")
    return values


def _container(op: str, values: list[Any]) -> Any:
    if op == "DICT":
        return Dict(zip(_keys(values[::2]), values[1::2]))
    return Tuple(values) if op == "TUPLE" else List(values)


def _extend(op: str, stack: list[Any]) -> None:
    if op == "APPEND":
        values = [stack.pop()]
    elif op == "SETITEM":
        value, key = stack.pop(), stack.pop()
        values = [key, value]
    else:
        values = _to_mark(stack)
    target = stack[-1]
    if op.startswith("SET") and isinstance(target, dict):
        target.update(zip(_keys(values[::2]), values[1::2]))
    elif op.startswith("APP") and isinstance(target, list):
        target.extend(values)
    elif op == "ADDITEMS" and isinstance(target, set):
        target.update(_keys(values))
    else:
        raise ValueError(f"{op} on a {type(target).__name__}")
