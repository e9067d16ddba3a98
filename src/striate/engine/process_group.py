"""Processes that train one network together: one, unless torchrun started more (environment variables say so)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError

Array = NDArray[Any]


class ProcessGroup:
    """This process is number `rank` of `size`. The default is a single process: collectives are no-ops.

    The other processes call the same methods in the same order.
    """

    rank: int = 0
    size: int = 1

    def sum(self, values: Array) -> Array:
        """Sum of these numbers over the processes: float64, bit-identical in all of them."""
        return values

    def wait(self) -> None:
        """Return when every process has come here."""

    def share(self, count: int) -> slice:
        """This process's share of `count` items; the first processes take the remainder."""
        quotient, remainder = divmod(count, self.size)
        start = self.rank * quotient + min(self.rank, remainder)
        return slice(start, start + quotient + (self.rank < remainder))


SINGLE_PROCESS = ProcessGroup()


def launch_environment() -> tuple[int, int]:
    """Rank and world size from the environment (torchrun's RANK and WORLD_SIZE); (0, 1) without them.

    Raises UsageError if they contradict each other.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise UsageError(
            f"process {rank} of {size} cannot be",
            where="RANK and WORLD_SIZE in the environment",
            fix="start with torchrun, which sets both, or unset them",
        )
    return int(rank), int(size)


def restart_count() -> int:
    """Number of times torchrun has restarted these processes because one of them was lost."""
    value = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return int(value) if value.isdecimal() else 0


def total(process_group: ProcessGroup, *values: float) -> list[float]:
    """Sums of these numbers over the processes."""
    return [float(value) for value in process_group.sum(np.array(values, np.float64))]
