"""Steps: what the compiled driver runs. Each is one kernel, its argument record, and the tasks it is divided into."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.code import Kernel
from striate.engine.plan.units import Unit, Value
from striate.engine.target import Target

if TYPE_CHECKING:
    from striate.engine.plan.packing import Packing

Array = NDArray[Any]
Task = tuple[int, int, int, int]
"""Rows from, to; parts from, to."""


class Memory(abc.ABC):
    """Addresses, once they are known."""

    @abc.abstractmethod
    def start(self, value: Value) -> int:
        """Of the memory that a value lies in (its root's)."""

    @abc.abstractmethod
    def constant(self, key: tuple[Any, ...], make: Callable[[], Array]) -> int:
        """Of packed weights; made once for a key and kept, whatever the batch size."""

    def packed(self, key: tuple[Any, ...], packing: Callable[[], Packing]) -> int:
        """Of weights that a kernel packs; as `constant`."""
        return self.constant(key, lambda: packing().made(self.kernel))

    @abc.abstractmethod
    def kept(self, array: Array) -> Array:
        """A small array that belongs to one step, where it stays."""

    def table(self, array: Array) -> int:
        """Of such an array."""
        return aligned.address(self.kept(array))

    @abc.abstractmethod
    def kernel(self, kernel: Kernel) -> int:
        """Of machine code."""

    def base(self, value: Value) -> int:
        """Of a value's first block, border included."""
        return self.start(value) + value.begin

    def at(self, value: Value) -> int:
        """Of a value's first number inside its border."""
        return self.base(value) + value.layout.origin


@dataclasses.dataclass(eq=False)
class Step:
    """One kernel over some rows and parts. record: its arguments; tasks: disjoint pieces that cover all of it.

    flops, bytes: for the roofline; `bytes` counts weights and values once.
    """

    unit: Unit
    algorithm: str
    tile: str
    kernel: Kernel
    record: Callable[[Memory], Array]
    rows: int
    parts: int
    reads: list[Value]
    writes: list[Value]
    uses: tuple[Kernel, ...] = ()
    scratch: int = 0
    flops: float = 0.0
    weights: int = 0
    whole: bool = False
    """Tasks take all rows."""
    by_parts: bool = False
    """Divide into parts rather than into rows: each core then reads its own share of the weights."""
    only_writes: bool = False
    """It touches only bytes that no other step touches (a border)."""
    after_all: bool = False
    """It must not run beside the steps before."""
    tasks: list[Task] = dataclasses.field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.weights + sum(value.layout.bytes for value in (*self.reads, *self.writes))


@dataclasses.dataclass(frozen=True)
class Context:
    """What builders of steps know: the processor, the number of threads, and whether errors must stay smallest."""

    target: Target
    threads: int
    strict: bool = False
    cache: int = 1 << 20
    last: int = 8 << 20
    """Bytes of the second-level cache, and of the last one."""
    flops: float = 1e11
    memory: float = 2.2e10
    """Floating-point operations a second of one thread, bytes a second that weights come with: for choosing, not for
    promising."""

    def reading(self, weights: int) -> Context:
        """The same for a network with so many bytes of weights: few of them stay in the last cache between two runs."""
        near = SPREAD * weights <= self.last
        return dataclasses.replace(self, memory=NEAR if near else self.memory)


def divided(step: Step, threads: int) -> list[Task]:
    """Tasks for a number of threads: a few for each, so that a late one does not keep the others waiting."""
    rows, parts, by_parts = step.rows, step.parts, step.by_parts
    flops = max(step.flops, step.bytes / 4)
    if not rows or not parts:
        return []
    wanted = 1 if threads == 1 or flops < SMALL else threads * (4 if flops > 8 * SMALL else 2)
    return cut(rows, parts, wanted, by_parts, step.whole)


def cut(rows: int, parts: int, wanted: int, by_parts: bool = False, whole: bool = False) -> list[Task]:
    """About so many tasks: rows are cut first, parts if there are too few (`by_parts`: the other way round).

    whole: what is cut second stays in one piece.
    """
    first, second = (parts, rows) if by_parts else (rows, parts)
    outer = min(wanted, first)
    inner = min(-(-wanted // outer), second) if outer < wanted and not whole else 1
    a, b = _cuts(first, outer), _cuts(second, inner)
    pairs = [(x, y) for x in a for y in b]
    return [(*y, *x) if by_parts else (*x, *y) for x, y in pairs]


SPREAD = 4
"""Winograd's weights take up to four times the memory."""
NEAR = 6e10
"""Bytes a second from the last cache."""
SMALL = 1e6
"""Floating-point operations below which handing work over costs more than it saves (about 10 µs)."""


def _cuts(size: int, count: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, size, count + 1).round().astype(int).tolist()
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]
