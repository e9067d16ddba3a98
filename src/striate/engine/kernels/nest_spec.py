"""What a generic loop nest is made of, as data, and its text: the parameter of the kernel `nest`.

Variables are loops by their number, then those that tables define (`Let`); -1 is a variable that is always 0. The plan
names them first (`Name` is then a string).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

Name = TypeVar("Name")


@dataclasses.dataclass(frozen=True)
class AffineAxis(Generic[Name]):
    """An index (Σ variable·factor + offset) // divisor % modulus, which is tested against a limit (0: always inside).

    lanes: channels per block (0: not split), of which each is 4 bytes from the next; block: bytes to the next block;
    step: bytes to the next number. modulus 0: none.
    """

    terms: tuple[tuple[Name, int], ...]
    offset: int
    divisor: int
    modulus: int
    limit: int
    lanes: int
    block: int
    step: int

    @property
    def variables(self) -> tuple[Name, ...]:
        return tuple(name for name, _ in self.terms)

    @property
    def tested(self) -> bool:
        return bool(self.limit)

    def numbered(self, names: Mapping[Name, int]) -> AffineAxis[int]:
        """With the variables by number."""
        terms = tuple((names[name], factor) for name, factor in self.terms)
        numbers = self.offset, self.divisor, self.modulus, self.limit, self.lanes, self.block, self.step
        return AffineAxis(terms, *numbers)

    def data(self) -> list[Any]:
        """As a list that starts with its kind."""
        return [
            0, self.terms, self.offset, self.divisor, self.modulus, self.limit, self.lanes, self.block, self.step
        ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TableAxis(Generic[Name]):
    """An index whose offset, in numbers, a table has at position out·taps + tap; tested: negative means outside."""

    table: int
    out: Name
    taps: int
    tap: Name
    tested: bool

    @property
    def variables(self) -> tuple[Name, ...]:
        return self.out, self.tap

    def numbered(self, names: Mapping[Name, int]) -> TableAxis[int]:
        """With the variables by number."""
        out, tap = names.get(self.out, -1), names.get(self.tap, -1)
        return TableAxis(self.table, out, self.taps, tap, self.tested)

    def data(self) -> list[Any]:
        """As a list that starts with its kind."""
        return [1, self.table, self.out, self.taps, self.tap, int(self.tested)]


@dataclasses.dataclass(frozen=True)
class Access(Generic[Name]):
    """One number of a tensor or table. slot: its address in the record; outside: value where an axis is outside.

    stride: bytes from lane to lane, -1 where it is irregular; tested: whether a test depends on the lane.
    """

    slot: int
    outside: float
    axes: tuple[AffineAxis[Name] | TableAxis[Name], ...]
    stride: int = 0
    tested: bool = False

    def numbered(self, names: Mapping[Name, int]) -> Access[int]:
        """With the variables by number."""
        axes = tuple(axis.numbered(names) for axis in self.axes)
        return Access(self.slot, self.outside, axes, self.stride, self.tested)

    def data(self) -> list[Any]:
        """As a list."""
        axes = [axis.data() for axis in self.axes]
        return [self.slot, self.outside, axes, self.stride, int(self.tested)]


@dataclasses.dataclass(frozen=True)
class Let(Generic[Name]):
    """A variable that a table defines: its number at position·slots + slot."""

    table: int
    position: Name
    slot: Name
    slots: int

    def numbered(self, names: Mapping[Name, int]) -> Let[int]:
        """With the variables by number."""
        return Let(self.table, names.get(self.position, -1), names.get(self.slot, -1), self.slots)

    def data(self) -> list[Any]:
        """As a list."""
        return [self.table, self.position, self.slot, self.slots]


@dataclasses.dataclass(frozen=True)
class NestSpec:
    """One nest. loops: extents, the `free` ones first, of which the first `rows` make the rows; vector: the loop whose
    neighbors are lanes, `width` of them.

    fill: channels and lanes of the target where zeros fill the last block; value, start: expressions over the numbers
    that `reads` and `starts` load; reduce: "sum", "max" or "" for none.
    """

    loops: tuple[int, ...]
    free: int
    rows: int
    vector: int
    width: int
    lets: tuple[Let[int], ...]
    target: Access[int]
    fill: tuple[int, ...]
    value: str
    reads: tuple[Access[int], ...]
    reduce: str
    start: str
    starts: tuple[Access[int], ...]

    @property
    def text(self) -> str:
        """The nest as JSON, which `parse` reads."""
        parts = {field.name: _data(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return json.dumps(parts, separators=(",", ":"))


def _data(part: Any) -> Any:
    if isinstance(part, tuple):
        return [_data(one) for one in part]
    return part.data() if isinstance(part, Access | Let) else part


@functools.lru_cache(maxsize=256)
def parse(source: str) -> NestSpec:
    """The nest of a text."""
    spec = json.loads(source)
    return NestSpec(
        tuple(spec["loops"]), spec["free"], spec["rows"], spec["vector"], spec["width"],
        tuple(Let(*let) for let in spec["lets"]), _access(spec["target"]), tuple(spec["fill"]),
        spec["value"], tuple(map(_access, spec["reads"])), spec["reduce"],
        spec["start"], tuple(map(_access, spec["starts"])),
    )  # fmt: skip


def _access(data: list[Any]) -> Access[int]:
    slot, outside, axes, stride, tested = data
    return Access(slot, outside, tuple(map(_axis, axes)), stride, bool(tested))


def _axis(data: list[Any]) -> AffineAxis[int] | TableAxis[int]:
    kind, *rest = data
    if kind:
        table, out, taps, tap, tested = rest
        return TableAxis(table, out, taps, tap, bool(tested))
    terms, *numbers = rest
    return AffineAxis(tuple((name, factor) for name, factor in terms), *numbers)
