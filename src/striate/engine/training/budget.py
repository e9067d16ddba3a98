"""The training plan that fits into some memory: what is kept for the way back, and what is computed again."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from striate.diagnostics import LimitError, UsageError, plural, setting
from striate.engine.learner import Rule, Store
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.steps import Context
from striate.engine.training.ledger import Unsupported
from striate.engine.training.plan import STEP, TrainingPlan, declared, planned, recorded
from striate.engine.training.recompute import Flow
from striate.network import Network

Kept = frozenset[int]

STEPS, RATIO = 16, 1.5
"""How many lengths of segments are tried, each so much shorter than the one before."""
TRIED = 2
"""Choices that are looked at closely."""
GRAIN = 0.004
"""Share of the memory below which nobody looks for what need not be dropped."""
ROUNDS = 5
LARGE = 2 << 20
"""Bytes of a plan from which on one that was not taken is collected at once, which takes a while in a large process."""


class NoRoom(Exception):
    """No plan fits. smallest: bytes that the smallest one needs."""

    def __init__(self, smallest: int) -> None:
        super().__init__(f"{smallest} bytes are needed")
        self.smallest = smallest


def fitted(net: Network, context: Context, room: int) -> TrainingPlan:
    """The plan with the least to compute again whose memory (`TrainingPlan.bytes`) is `room` bytes at most.

    Raises NoRoom, Unsupported, and OpError as declarations do.
    """
    declarations = declared(net)
    tape = recorded(net, declarations, context)
    flow = Flow(tape.units, tape.turn, set(tape.gradients.values()))
    made = planned(net, tape, context)
    if made.bytes <= room:
        return made
    flow.measured(made)
    smallest, large = made.bytes, len(made.steps) * STEP > LARGE
    more = smallest - flow.needs(())[0]
    del made, tape

    def real(dropped: Kept) -> TrainingPlan:
        if large:
            gc.collect()  # the plans before this one, whose parts know each other
        return planned(net, recorded(net, declarations, context), context, [flow.made[v] for v in dropped])

    found = {dropped: flow.needs(dropped) for dropped in choices(flow)}
    target = room - more
    for _ in range(ROUNDS):
        fitting = sorted((c for c in found if found[c][0] <= target), key=lambda c: found[c][1])
        if not fitting:
            break
        over = []
        for dropped in sorted(
            {restored(flow, c, target) for c in fitting[:TRIED]}, key=lambda c: (flow.needs(c)[1], sorted(c))
        ):
            made = real(dropped)
            if made.bytes <= room:
                return made
            over.append(made.bytes - room)
            del made
        target = min(target - min(over), int(0.995 * target))
    for dropped in sorted(found, key=lambda c: found[c])[:TRIED]:
        made = real(dropped)
        if made.bytes <= room:
            return made
        smallest = min(smallest, made.bytes)
        del made
    raise NoRoom(smallest)


def within(net: Network, context: Context, memory: int, beside: int) -> TrainingPlan:
    """`fitted`, where `beside` of some bytes of memory are taken. Raises LimitError with what is enough, UsageError."""
    try:
        return fitted(net, context, memory - beside)
    except NoRoom as error:
        images = next(iter(net.inputs.values())).shape[0]
        enough = beside + error.smallest
        raise LimitError(
            f"a training step of {plural(images, 'image')} does not fit into {_amount(memory)} of memory",
            where="memory",
            why=f"weights and moments take {_amount(beside)}; the step takes {_amount(error.smallest)} besides, with "
            "everything computed again that can be",
            fix=f"{setting('memory', _amount(enough))}, or a smaller {setting('batch_size')}",
        ) from None
    except Unsupported as error:
        raise UsageError(
            f"{net.name} cannot be trained within an amount of memory",
            where="memory",
            why=f"{error} has no gradient in machine code, and numpy keeps everything for the way back",
            fix=f"leave {setting('memory')} out",
        ) from None


def _amount(size: int) -> str:
    """Rounded up, as the setting memory takes it."""
    return f"{-(-size // 10**6)}MB" if size >= 10**7 else f"{-(-size // 10**3)}KB"


def held(net: Network, rule: Rule, store: Store, moments: int) -> int:
    """Bytes that a learner holds beside its program: weights, their moving average, moments, and gradients where those
    of several batches are added up.
    """
    weights = sum(array.nbytes for array in store.weights.values())
    learned = sum(4 * p.elements for p in net.parameters.values() if p.trainable)
    return weights * (1 + (store.average is not None)) + learned * (moments + (rule.accumulate > 1))


def choices(flow: Flow) -> list[Kept]:
    """Sets of values to drop: what passes over memory give again; then all but what crosses from one segment to the
    next, in ever shorter segments.
    """
    total = sum(flow.sizes[v] for v in flow.waiting)
    lengths = [total / RATIO**k for k in range(STEPS)]
    crossing = list(_crossing(flow))
    return list(dict.fromkeys([cheap(flow), *(_segments(flow, crossing, length) for length in lengths)]))


def cheap(flow: Flow) -> Kept:
    """Values that need no product: made from what is kept anyway, or from each other."""
    near: set[int] = set()
    for v in sorted(flow.repeatable):
        unit = flow.maker[v]
        if not isinstance(flow.units[unit].body, Correlation) and all(
            r in near or r in flow.waiting or r not in flow.repeatable for r in flow.reads[unit]
        ):
            near.add(v)
    return frozenset(near & flow.waiting)


def _crossing(flow: Flow) -> Iterator[list[int]]:
    """Behind each unit of the forward run, what was made before and is read later in it."""
    until = {v: at for at in range(flow.turn) for v in flow.reads[at]}
    live: set[int] = set()
    for at in range(flow.turn):
        live |= {v for v in flow.writes[at] if v in flow.repeatable}
        live = {v for v in live if until.get(v, -1) > at}
        yield sorted(live)


def _segments(flow: Flow, crossing: Sequence[list[int]], length: float) -> Kept:
    """All that can be repeated but what crosses the borders of segments of about so many waiting bytes."""
    kept: set[int] = set()
    start = half = held = 0
    waiting = [sum(flow.sizes[v] for v in writes if v in flow.waiting) for writes in flow.writes[: flow.turn]]
    for at in range(flow.turn):
        held += waiting[at]
        if held < length / 2:
            half = at + 1
        if held < length:
            continue
        cut = min(range(half, at + 1), key=lambda k: (sum(flow.sizes[v] for v in crossing[k]), -k))
        kept.update(crossing[cut])
        start = half = cut + 1
        held = sum(waiting[start : at + 1])
    return frozenset((flow.waiting & flow.repeatable) - kept)


def restored(flow: Flow, dropped: Kept, target: float) -> Kept:
    """The same without what need not be dropped, what saves the least for its work first."""
    now = dropped

    def worth(v: int) -> float:
        return flow.sizes[v] / max(flow.seconds[flow.maker[v]], 1e-9)

    def keep(some: list[int]) -> None:
        nonlocal now
        if flow.needs(now - set(some))[0] <= target:
            now = now - set(some)
        elif len(some) > 1 and sum(flow.sizes[v] for v in some) > GRAIN * target:
            keep(some[: len(some) // 2])
            keep(some[len(some) // 2 :])

    keep(sorted(dropped, key=worth))
    return now
