"""The processes that train one network together: one, unless torchrun has started more (and says so by variables)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError

Array = NDArray[Any]


class World:
    """This process is number `rank` of `size`. By itself it is alone, and nothing waits for anybody.

    The other processes call the same methods in the same order.
    """

    rank: int = 0
    size: int = 1

    def sum(self, values: Array) -> Array:
        """These numbers, added up over the processes: float64, the same to the bit in all of them."""
        return values

    def wait(self) -> None:
        """Return when every process has come here."""

    def share(self, count: int) -> slice:
        """This process's part of so many things in a row; the first processes get what does not divide."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))


ALONE = World()


def asked() -> tuple[int, int]:
    """Rank and number of processes that the environment speaks of (torchrun's RANK and WORLD_SIZE); (0, 1) without.

    Raises UsageError where they have no meaning.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise UsageError(
            f"process {rank} of {size} has no meaning",
            where="RANK and WORLD_SIZE in the environment",
            fix="start with torchrun, which sets both, or unset them",
        )
    return int(rank), int(size)


def restarts() -> int:
    """How often torchrun has started these processes again, because one of them was lost."""
    said = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return int(said) if said.isdecimal() else 0


def total(world: World, *values: float) -> list[float]:
    """Numbers added up over the processes."""
    return [float(value) for value in world.sum(np.array(values, np.float64))]
