"""The training plan that fits a memory budget: which values are kept for the backward pass, which are recomputed."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from striate.diagnostics import LimitError, UsageError, plural, setting
from striate.engine.learner import OptimizerState, UpdateRule
from striate.engine.plan.computation import Correlation
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.plan.units import Copied
from striate.engine.training.recompute import Flow
from striate.engine.training.taped_node import Unsupported
from striate.engine.training.training_plan import (
    CALL_BYTES,
    TrainingPlan,
    plan_tape,
    record_tape,
    training_declarations,
)
from striate.network import Network
from striate.units import format_bytes

Values = frozenset[int]

SEGMENT_LENGTHS, SEGMENT_RATIO = 16, 1.5
"""Number of segment lengths to try, and the ratio of each to the next."""
CLOSE_TRIALS = 2
"""Number of choices that are planned in full."""
MIN_BUDGET_SHARE = 0.004
"""Share of the budget below which the search for values to keep stops."""
MAX_ROUNDS = 5
COLLECT_MIN_BYTES = 2 << 20
"""Rejected plans larger than this many bytes are garbage-collected immediately; gc is slow in a large process."""


class NoRoom(Exception):
    """No plan fits. smallest: bytes that the smallest one needs."""

    def __init__(self, smallest: int) -> None:
        super().__init__(f"{smallest} bytes are needed")
        self.smallest = smallest


def fit_plan(net: Network, context: PlanContext, room: int) -> TrainingPlan:
    """The plan with the least recomputation that needs at most `room` bytes (`TrainingPlan.bytes`).

    Raises NoRoom, Unsupported, and OpError as declarations do.
    """
    taped, copied = record_tape(net, training_declarations(net), context), Copied()
    flow = Flow(taped.units, taped.first_backward, set(taped.buffers.gradients.values()))
    plan = plan_tape(taped, context, copied=copied)
    if plan.bytes <= room:
        return plan
    flow.measure(plan, copied)
    smallest, large = plan.bytes, len(plan.steps) * CALL_BYTES > COLLECT_MIN_BYTES
    more = smallest - flow.needs(())[0]
    del plan, copied

    def real(dropped: Values) -> TrainingPlan:
        if large:
            gc.collect()  # earlier plans, whose parts refer to each other
        return plan_tape(taped, context, [flow.producers[v] for v in dropped])

    estimates = {dropped: flow.needs(dropped) for dropped in choices(flow)}
    target = room - more
    for _ in range(MAX_ROUNDS):
        fitting = sorted((c for c in estimates if estimates[c][0] <= target), key=lambda c: estimates[c][1])
        if not fitting:
            break
        over = []
        for dropped in sorted(
            {restore(flow, c, target) for c in fitting[:CLOSE_TRIALS]},
            key=lambda c: (flow.needs(c)[1], sorted(c)),
        ):
            plan = real(dropped)
            if plan.bytes <= room:
                return plan
            over.append(plan.bytes - room)
            del plan
        target = min(target - min(over), int(0.995 * target))
    for dropped in sorted(estimates, key=lambda c: estimates[c])[:CLOSE_TRIALS]:
        plan = real(dropped)
        if plan.bytes <= room:
            return plan
        smallest = min(smallest, plan.bytes)
        del plan
    raise NoRoom(smallest)


def plan_within(net: Network, context: PlanContext, memory: int, reserved: int) -> TrainingPlan:
    """The plan that `fit_plan` finds for `memory` bytes, of which `reserved` are already used. Raises LimitError with a
    sufficient budget, UsageError."""
    try:
        return fit_plan(net, context, memory - reserved)
    except NoRoom as error:
        images = next(iter(net.inputs.values())).shape[0]
        enough = reserved + error.smallest
        raise LimitError(
            f"a training step of {plural(images, 'image')} does not fit into {format_bytes(memory)} of memory",
            where="memory",
            why=f"weights and moments take {format_bytes(reserved)}; the step takes "
            f"{format_bytes(error.smallest)} besides, with everything computed again that can be",
            fix=f"{setting('memory', format_bytes(enough))}, or a smaller {setting('batch_size')}",
        ) from None
    except Unsupported as error:
        raise UsageError(
            f"{net.name} cannot be trained within an amount of memory",
            where="memory",
            why=f"{error} has no gradient in machine code, and numpy keeps everything for the backward pass",
            fix=f"leave {setting('memory')} out",
        ) from None


def learner_bytes(net: Network, rule: UpdateRule, store: OptimizerState, moments: int) -> int:
    """Bytes of a learner without its program: weights, their moving average, moments, and gradients if those of several
    batches are accumulated.
    """
    weights = sum(array.nbytes for array in store.weights.values())
    learned = sum(4 * p.elements for p in net.parameters.values() if p.trainable)
    return weights * (1 + (store.average is not None)) + learned * (moments + (rule.accumulate > 1))


def choices(flow: Flow) -> list[Values]:
    """Sets of values to drop: those that elementwise passes recompute; then, for shorter and shorter segments, all but
    those that cross from one segment to the next.
    """
    total = sum(flow.sizes[v] for v in flow.waiting)
    lengths = [total / SEGMENT_RATIO**k for k in range(SEGMENT_LENGTHS)]
    crossing = list(_crossing(flow))
    return list(dict.fromkeys([cheap(flow), *(_segments(flow, crossing, length) for length in lengths)]))


def cheap(flow: Flow) -> Values:
    """Values that are recomputed without products, from values that are kept anyway or from each other."""
    near: set[int] = set()
    for v in sorted(flow.repeatable):
        unit = flow.maker[v]
        if not isinstance(flow.units[unit].body, Correlation) and all(
            r in near or r in flow.waiting or r not in flow.repeatable for r in flow.reads[unit]
        ):
            near.add(v)
    return frozenset(near & flow.waiting)


def _crossing(flow: Flow) -> Iterator[list[int]]:
    """After each unit of the forward pass: values computed before it and read later in the same pass."""
    until = {v: at for at in range(flow.first_backward) for v in flow.reads[at]}
    live: set[int] = set()
    for at in range(flow.first_backward):
        live |= {v for v in flow.writes[at] if v in flow.repeatable}
        live = {v for v in live if until.get(v, -1) > at}
        yield sorted(live)


def _segments(flow: Flow, crossing: Sequence[list[int]], length: float) -> Values:
    """All repeatable values except those that cross borders of segments of about `length` bytes of waiting values."""
    borders: set[int] = set()
    start = half = size = 0
    waiting = [
        sum(flow.sizes[v] for v in writes if v in flow.waiting)
        for writes in flow.writes[: flow.first_backward]
    ]
    for at in range(flow.first_backward):
        size += waiting[at]
        if size < length / 2:
            half = at + 1
        if size < length:
            continue
        cut = min(range(half, at + 1), key=lambda k: (sum(flow.sizes[v] for v in crossing[k]), -k))
        borders.update(crossing[cut])
        start = half = cut + 1
        size = sum(waiting[start : at + 1])
    return frozenset((flow.waiting & flow.repeatable) - borders)


def restore(flow: Flow, dropped: Values, target: float) -> Values:
    """Remove from the set the values that need not be dropped, beginning with those that save the least per second."""
    now = dropped

    def worth(v: int) -> float:
        return flow.sizes[v] / max(flow.seconds[flow.maker[v]], 1e-9)

    def keep(some: list[int]) -> None:
        nonlocal now
        if flow.needs(now - set(some))[0] <= target:
            now = now - set(some)
        elif len(some) > 1 and sum(flow.sizes[v] for v in some) > MIN_BUDGET_SHARE * target:
            keep(some[: len(some) // 2])
            keep(some[len(some) // 2 :])

    keep(sorted(dropped, key=worth))
    return now
