"""Argument records of step kernels, as data: 64-bit slots that hold addresses, byte strides, counts, or two float32.

A record is made when a step is planned, before anything has an address. Its addresses are declared: of a buffer, of
packed weights, of machine code, or of a table, which is a record itself. `Resolver` makes arrays of records.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.kernel import Kernel

Array = NDArray[Any]
Key = tuple[Any, ...]
Kind = TypeVar("Kind")


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """The address of something, and some bytes more. of: a buffer, a constant, a kernel, or a table (a record)."""

    of: Hashable
    offset: int = 0

    def __add__(self, offset: int) -> Address:
        return Address(self.of, self.offset + int(offset))

    @overload
    def __sub__(self, other: int) -> Address: ...
    @overload
    def __sub__(self, other: Address) -> Offset: ...
    def __sub__(self, other: int | Address) -> Address | Offset:
        return Offset(self, other) if isinstance(other, Address) else self + -other

    @property
    def places(self) -> tuple[Hashable, ...]:
        return (self.of,)

    def number(self, find: Callable[[Hashable], int]) -> int:
        """Its number, from a function that knows where things are."""
        return find(self.of) + self.offset


@dataclasses.dataclass(frozen=True, slots=True)
class Offset:
    """Bytes from `start` to `end`."""

    end: Address
    start: Address

    @property
    def places(self) -> tuple[Hashable, ...]:
        return self.end.of, self.start.of

    def number(self, find: Callable[[Hashable], int]) -> int:
        return self.end.number(find) - self.start.number(find)


Location = int | Address
"""An address that is known, or one that is declared."""
Value = Location | Offset
"""What a slot holds."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """Numbers that follow from weights, in the order of use. make: packs them. Equal keys mean equal numbers."""

    key: Key
    make: Callable[[], Array] = dataclasses.field(compare=False, repr=False)

    def pack(self, code: Mapping[Kernel, int]) -> Array:
        """The numbers. code: addresses of kernels, which some weights need to be packed."""
        return self.make()


@dataclasses.dataclass(frozen=True)
class Record:
    """A record or a table: its bytes, with 0 where a slot holds an address, and those addresses by byte offset."""

    data: bytes
    addresses: tuple[tuple[int, Address | Offset], ...] = ()

    def __hash__(self) -> int:
        return hash(self.data)

    def __getitem__(self, offset: int) -> Value:
        """The address or the whole number at a byte offset."""
        declared = dict(self.addresses).get(offset)
        return struct.unpack_from("<q", self.data, offset)[0] if declared is None else declared

    def places(self, *kinds: type[Kind]) -> list[Kind]:
        """Everything of some kinds whose address it holds, itself or in a table, each once."""
        every = (place for record in self.records() for _, a in record.addresses for place in a.places)
        return list(dict.fromkeys(place for place in every if isinstance(place, kinds)))

    def records(self) -> Iterator[Record]:
        """Itself and its tables, each once."""
        seen: dict[int, Record] = {}
        waiting = [self]
        while waiting:
            record = waiting.pop()
            if id(record) not in seen:
                seen[id(record)] = record
                yield record
                for _, address in record.addresses:
                    waiting += [place for place in address.places if isinstance(place, Record)]


def record(size: int, values: Mapping[int, Value], floats: Mapping[int, float] | None = None) -> Record:
    """A record of `size` bytes with values and float32 at these byte offsets."""
    data = bytearray(size)
    addresses = []
    for offset, value in values.items():
        if isinstance(value, Address | Offset):
            addresses.append((offset, value))
        else:
            struct.pack_into("<q", data, offset, value)
    for offset, number in (floats or {}).items():
        data[offset : offset + 4] = np.float32(number).tobytes()
    return Record(bytes(data), tuple(addresses))


def array_record(size: int, values: Mapping[int, int], floats: Mapping[int, float] | None = None) -> Array:
    """As `record`, as an array of int64: for calls on arrays that exist."""
    return np.frombuffer(record(size, values, floats).data, np.int64).copy()


def table(array: Array) -> Address:
    """The address of an array that is kept as long as the record."""
    return Address(Record(array.tobytes()))


def value_table(values: Sequence[Value]) -> Address:
    """The address of a table of 64-bit slots."""
    return Address(record(8 * len(values), {8 * k: value for k, value in enumerate(values)}))


class Resolver:
    """Makes arrays of records.

    places: address of each buffer, constant and kernel that records refer to. keep: keeps an array as long as the
    resolver's arrays are used, and returns it in its final place. slots: for each of the places in `late`, whose
    addresses are set later, the slots that hold them: array, index, and bytes to add.
    """

    def __init__(
        self,
        places: Mapping[Any, int],
        keep: Callable[[Array], Array],
        late: frozenset[Any] = frozenset(),
    ) -> None:
        self._places, self._keep, self._late = places, keep, late
        self._arrays: dict[int, tuple[Record, Array]] = {}
        self.slots: dict[Any, list[tuple[Array, int, int]]] = {place: [] for place in late}

    def array(self, record: Record) -> Array:
        """The array of a record: the same one for the same record."""
        if id(record) not in self._arrays:
            self._arrays[id(record)] = record, self._resolve(record)
        return self._arrays[id(record)][1]

    def _resolve(self, record: Record) -> Array:
        kind = np.int64 if len(record.data) % 8 == 0 else np.int32
        plain = np.frombuffer(record.data, kind)
        array = self._keep(plain.copy() if record.addresses else plain)
        for offset, address in record.addresses:
            late = [
                place for place in address.places if not isinstance(place, Record) and place in self._late
            ]
            if not late:
                array[offset // 8] = address.number(self._find)
            elif isinstance(address, Address):
                self.slots[late[0]].append((array, offset // 8, address.offset))
            else:
                raise ValueError(f"{address}: an offset within memory that is not there yet")
        return array

    def _find(self, place: Any) -> int:
        return aligned.address(self.array(place)) if isinstance(place, Record) else self._places[place]
