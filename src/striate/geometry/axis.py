"""The protocol of a one-axis map: which input positions each output position reads."""

from __future__ import annotations

import abc
from collections.abc import Sequence


class AxisMap(abc.ABC):
    """Output position i reads input positions `position(i, u)` for the taps u = 0 … taps - 1.

    `period` = (units, advance): moving `units` outputs further moves every tap `advance` inputs further.
    """

    input: int

    @property
    @abc.abstractmethod
    def output(self) -> int:
        """Number of output positions; 0 when there is none."""

    @property
    @abc.abstractmethod
    def taps(self) -> int:
        """The most inputs that one output reads."""

    @property
    @abc.abstractmethod
    def period(self) -> tuple[int, int]: ...

    @abc.abstractmethod
    def raw(self, i: int, u: int) -> int | None:
        """Coordinate that tap u of output i touches, perhaps outside the input; None where the tap does not exist."""

    def position(self, i: int, u: int) -> int | None:
        """Input index that tap u of output i reads, or None when it reads nothing real."""
        x = self.raw(i, u)
        return x if x is not None and 0 <= x < self.input else None

    def reads(self, i: int) -> tuple[int, ...]:
        """The input indices that output i reads, in tap order, with repeats where a border mode repeats."""
        return tuple(x for u in range(self.taps) if (x := self.position(i, u)) is not None)

    def pull(self, counts: Sequence[int]) -> list[int]:
        """Adjoint: what each input collects when every output hands its count to each input that it reads."""
        totals = [0] * self.input
        for i, count in enumerate(counts):
            for x in self.reads(i):
                totals[x] += count
        return totals

    def coverage(self) -> tuple[int, ...]:
        """How many windows use each input position."""
        return tuple(self.pull([1] * self.output))

    @property
    def unread(self) -> tuple[int, ...]:
        """Input positions that no output reads."""
        return tuple(x for x, count in enumerate(self.coverage()) if not count)
