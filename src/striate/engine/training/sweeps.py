"""Passes of kernels over many plain arrays: all gradients, weights and moments."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import sum_of_squares, update
from striate.engine.plan.kernel_calls import Task, cut
from striate.engine.runtime.loaded_plan import assemble_program
from striate.engine.runtime.thread_pool import pool
from striate.engine.target import Target

Array = NDArray[Any]

Entry = tuple[Sequence[Array], Sequence[Array | float]]
"""Outputs and operands of an update."""

TASKS_PER_THREAD = 4
"""Tasks per thread, so that a late thread does not keep the others waiting."""


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of all parameters by full name, in memory that stays valid as long as this object lives."""

    arrays: Mapping[str, Array]


def flat(shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Zeros of these shapes in one block of memory, each array aligned to a cache line."""
    line, places, end = aligned.LINE_BYTES // 4, {}, 0
    for name, shape in shapes.items():
        places[name] = end
        end += -(-math.prod(shape) // line) * line
    numbers = aligned.zeros(end)
    return {
        name: numbers[at : at + math.prod(shapes[name])].reshape(shapes[name]) for name, at in places.items()
    }


def as_kernel_array(array: Array) -> Array:
    """The array itself if kernels can read and write it, else a copy."""
    return np.require(array, np.float32, ("C", "W"))


class Sweep:
    """Kernel calls over plain arrays as one program; they run in parallel unless they wait. Arrays must stay in
    place."""

    def __init__(self, target: Target, threads: int) -> None:
        self._target, self._threads, self._pool = target, threads, pool(target)
        self._steps: list[tuple[int, Array, list[Task], bool]] = []
        self._arrays: list[Any] = []
        self._program: Array | None = None

    def step(self, kernel: Kernel, record: Array, rows: int, waits: bool = False) -> None:
        """Add a step. It reads the record itself, whose numbers may change between runs."""
        code = addresses(self._target, [kernel])[kernel]
        tasks = cut(rows, 1, TASKS_PER_THREAD * self._threads if self._threads > 1 else 1)
        self._steps.append((code, record, tasks, waits))

    def updates(
        self, kinds: str, texts: Sequence[str], entries: Sequence[Entry], waits: bool = False
    ) -> Array:
        """Add a step of `kernels.update` for each entry; returns their records, one per row.

        waits: wait for the steps before.
        """
        kernel = Kernel("update", (kinds, *texts))
        records = np.zeros((len(entries), update.OUT // 8 + len(texts) + len(kinds)), np.int64)
        for k, (outputs, operands) in enumerate(entries):
            values = [aligned.address(x) if isinstance(x, np.ndarray) else x for x in operands]
            to = [aligned.address(array) for array in outputs]
            records[k] = update.arguments(outputs[0].size, to, values, kinds)
            self.step(kernel, records[k], update.rows(outputs[0].size), waits and k == 0)
            self._arrays += [outputs, operands]
        return records

    def squares(self, arrays: Sequence[Array]) -> Array:
        """Add steps for the sums of squares of arrays; returns the array that will hold the sums, float64."""
        rows = [sum_of_squares.rows(array.size) for array in arrays]
        sums, at = aligned.zeros(sum(rows), np.float64), 0
        for array, count in zip(arrays, rows, strict=True):
            to = aligned.address(sums) + 8 * at
            record = sum_of_squares.arguments(aligned.address(array), to, array.size)
            self.step(Kernel("sum_of_squares"), record, count)
            at += count
        self._arrays += arrays
        return sums

    def run(self) -> None:
        """Run all steps."""
        if self._program is None:
            room = self._table(aligned.zeros(8, np.int64))  # no kernel here needs scratch memory
            self._program = assemble_program(self._steps, [room] * self._threads, self._table)
        self._pool.run(aligned.address(self._program), self._threads)

    def _table(self, array: Array) -> int:
        self._arrays.append(aligned.aligned_copy(array))
        return aligned.address(self._arrays[-1])
