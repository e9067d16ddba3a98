"""The driver: each task of each step runs once, after all tasks of the steps that its step waits for."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.kernels.support import targets
from striate.engine import aligned
from striate.engine.codegen import llvm, loader
from striate.engine.codegen.emit import Code
from striate.engine.kernels import driver
from striate.engine.runtime.loaded_plan import assemble_program
from striate.engine.runtime.thread_pool import pool

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels here")
RUNS = 60


def witness(target):
    """kernel: counts each of its rows, and notes for it the sum of the counts of the step before."""
    code = Code(target, "piiiip")
    arguments, row, end, *_ = code.arguments
    own, before, rows, seen = (
        arguments.pointer(0),
        arguments.pointer(8),
        arguments.int(16),
        arguments.pointer(24),
    )
    with code.loop(row, end) as at:
        total = code.variable(0)
        with code.loop(0, rows) as k:
            total.set(total.get() + code.shared(before + k * 8))
        (seen + at * 8).store(total.get())
        (own + at * 8).store((own + at * 8).int() + 1)
    return code.finish()


@functools.cache
def address(target):
    (found,) = loader.load([loader.parse(llvm.object_code(target, witness(target)))])
    return found


class Steps:
    """A program of some steps, each of a number of tasks of one row, and what they have seen."""

    def __init__(self, target, numbers, threads):
        self.kept, self.counts, self.seen = [], [], []
        entries, before = [], np.zeros(1, np.int64)
        for k, number in enumerate(numbers):
            counts, seen = np.zeros(max(number, 1), np.int64), np.zeros(max(number, 1), np.int64)
            record = np.array([self.keep(counts), self.keep(before), len(before), self.keep(seen)], np.int64)
            tasks = [(row, row + 1, 0, 1) for row in range(number)]
            entries.append((address(target), record, tasks, k > 0))
            self.kept.append(record)
            self.counts.append(counts[:number])
            self.seen.append(seen[:number])
            before = counts
        self.program = assemble_program(entries, [0] * threads, self.keep)
        self.threads = threads

    def keep(self, array):
        self.kept.append(array)
        return aligned.address(array)

    def check(self, run):
        for counts, seen, before in zip(self.counts, self.seen, [np.zeros(0), *self.counts], strict=False):
            assert counts.tolist() == [run] * len(counts)
            assert seen.tolist() == [run * len(before)] * len(seen)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@given(numbers=some.lists(some.integers(0, 9), min_size=1, max_size=12), threads=some.integers(1, 5))
def test_every_task_runs_once_after_those_before(target, numbers, threads):
    steps = Steps(target, numbers, threads)
    for run in range(1, RUNS + 1):
        pool(target).run(aligned.address(steps.program), threads)
        steps.check(run)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_without_workers_one_thread_runs_all_tasks(target):
    """As while another program uses them."""
    steps, workers = Steps(target, [3, 8, 1, 0, 5], 4), pool(target)
    with workers._busy:
        for run in range(1, RUNS + 1):
            workers.run(aligned.address(steps.program), 4)
            steps.check(run)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_runs_are_counted_in_a_circle(target):
    steps = Steps(target, [4, 4, 4], 2)
    steps.program[driver.RUN // 8] = driver.RUNS - 3
    for run in range(1, 9):
        pool(target).run(aligned.address(steps.program), 2)
        steps.check(run)
    assert steps.program[driver.RUN // 8] == 5
