"""How the work of one call is divided, and what planning knows of the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.plan.support import CONTEXT, buffer, call
from striate.engine.plan.kernel_calls import (
    LONG_STEP_FLOPS,
    MIN_PARALLEL_PLAN_FLOPS,
    MIN_TASK_FLOPS,
    cut,
    divide_tasks,
    useful_threads,
)


@pytest.mark.parametrize(
    ("arguments", "tasks"),
    [
        ((4, 1, 2), [(0, 2, 0, 1), (2, 4, 0, 1)]),
        ((5, 1, 2), [(0, 2, 0, 1), (2, 5, 0, 1)]),
        ((1, 4, 2), [(0, 1, 0, 2), (0, 1, 2, 4)]),  # too few rows: parts as well
        ((2, 3, 4), [(0, 1, 0, 2), (0, 1, 2, 3), (1, 2, 0, 2), (1, 2, 2, 3)]),
        ((2, 3, 4, False, True), [(0, 1, 0, 3), (1, 2, 0, 3)]),  # cut_once: rows only
        ((4, 2, 2, True), [(0, 4, 0, 1), (0, 4, 1, 2)]),
        ((4, 1, 2, True), [(0, 2, 0, 1), (2, 4, 0, 1)]),
        ((4, 1, 2, True, True), [(0, 4, 0, 1)]),  # cut_once: parts only
        ((3, 3, 1), [(0, 3, 0, 3)]),
    ],
)
def test_cut(arguments, tasks):
    assert cut(*arguments) == tasks


@pytest.mark.parametrize(
    ("flops", "threads", "tasks"),
    [
        (100 * LONG_STEP_FLOPS, 1, 1),
        (1.9 * MIN_TASK_FLOPS, 8, 1),
        (3 * MIN_TASK_FLOPS, 8, 3),
        (0.9 * LONG_STEP_FLOPS, 8, 8),
        (LONG_STEP_FLOPS, 8, 16),
        (8 * LONG_STEP_FLOPS, 8, 16),
        (9 * LONG_STEP_FLOPS, 8, 32),
    ],
)
def test_a_few_tasks_per_thread_where_there_is_enough_to_do(flops, threads, tasks):
    step = call([], [], rows=64, flops=flops)
    assert len(divide_tasks(step, threads)) == tasks


def test_moving_bytes_is_work_too():
    large = buffer("large", (1, 16, 256, 256))  # 4 MiB: as much as a million operations
    assert len(divide_tasks(call([], [large], rows=256), 2)) == 4
    assert len(divide_tasks(call([], [buffer()], rows=256), 2)) == 1
    assert call([buffer()], [buffer()], weights=8).bytes == 8 + 2 * 1024


def test_a_plan_that_takes_as_long_as_waking_a_thread_has_one():
    half = call([], [], flops=0.5 * MIN_PARALLEL_PLAN_FLOPS)
    assert useful_threads([half], 4) == 1
    assert useful_threads([half, half], 4) == 4
    assert useful_threads([half, half], 1) == useful_threads([], 4) == 1


def test_no_rows_or_parts_are_no_tasks():
    assert divide_tasks(call([], [], rows=0), 4) == divide_tasks(call([], [], parts=0), 4) == []


@given(
    some.integers(0, 300), some.integers(0, 40), some.integers(1, 64), some.booleans(), some.booleans(),
    some.floats(0, 1e10),
)  # fmt: skip
def test_tasks_cover_a_step_once(rows, parts, threads, by_parts, all_rows, flops):
    step = call([], [], rows=rows, parts=parts, by_parts=by_parts, all_rows=all_rows, flops=flops)
    seen = [0] * (rows * parts)
    for first, last, part, end in divide_tasks(step, threads):
        assert not (all_rows and by_parts) or (first, last) == (0, rows)
        for row in range(first, last):
            for at in range(part, end):
                seen[row * parts + at] += 1
    assert seen == [1] * (rows * parts)


def test_the_context_knows_where_weights_come_from():
    """Winograd's take four times their memory: 2 MiB of them fill 8 MiB of cache."""
    near, far = CONTEXT.reading(2 << 20), CONTEXT.reading((2 << 20) + 1)
    assert far == CONTEXT and near.memory > 2 * CONTEXT.memory
