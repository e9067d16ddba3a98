"""What must hold in a plan: each function yields what does not, in words.

These look at units, calls, tasks and memory as a whole. `engine.verify` replays a plan number by number.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import Record
from striate.engine.layout import ALIGN_BYTES
from striate.engine.plan.kernel_calls import KernelCall, Task
from striate.engine.plan.units import Buffer, Unit
from striate.network import Network

Life = Mapping[Buffer, tuple[int, int]]
"""First and last epoch of each buffer that owns memory."""


# ------------------------------------------------------------------ units
def nodes_once(units: Sequence[Unit], net: Network) -> Iterator[str]:
    """Each node is in one unit at most, and units hold nodes of the network only."""
    counts = Counter(name for unit in units for name in unit.nodes)
    names = {node.name for node in net.nodes}
    yield from (f"{name} is in {count} units" for name, count in counts.items() if count > 1)
    yield from (f"{name} is not a node of the network" for name in counts if name not in names)


def one_writer(units: Sequence[Unit]) -> Iterator[str]:
    """Each buffer is the output of one unit."""
    writers = Counter(value for unit in units for value in unit.outputs)
    yield from (f"{value.name} has {count} writers" for value, count in writers.items() if count > 1)


def written_before_read(units: Sequence[Unit]) -> Iterator[str]:
    """Each buffer that a unit reads comes from outside or from an earlier unit, parameters included."""
    written: set[Buffer] = set()
    for unit in units:
        for value in (*unit.reads, *unit.parameters.values()):
            if not value.root.is_input and value.root not in written:
                yield f"{unit.name} reads {value.name}, which no earlier unit writes"
        written |= {value.root for value in unit.outputs}


def inside_homes(units: Sequence[Unit]) -> Iterator[str]:
    """Each buffer with a home lies inside it."""
    for value in dict.fromkeys(v for unit in units for v in (*unit.reads, *unit.outputs)):
        if value.home is None:
            continue
        home, sizes = value.home, (value.images, value.height, value.width)
        if value.flat:
            fits = value.channels * value.height * value.width == home.channels * home.height * home.width
        else:
            fits = sizes == (home.images, home.height, home.width)
            fits &= 0 <= value.offset <= home.channels - value.channels
        if not fits or value.images != home.images:
            yield f"{value.name} does not lie inside {home.name}"


def with_layouts(units: Sequence[Unit]) -> Iterator[str]:
    """Each buffer has a layout, and a residual that of the output that it is added to."""
    for value in dict.fromkeys(v.root for unit in units for v in (*unit.reads, *unit.outputs)):
        if not value.lanes:
            yield f"{value.name} has no layout"
            return
    for unit in units:
        if unit.residual is not None and _strides(unit.residual) != _strides(unit.outputs[0]):
            yield f"{unit.residual.name} has another layout than {unit.outputs[0].name}, to which it is added"


def _strides(value: Buffer) -> tuple[int, ...]:
    layout = value.layout
    return layout.image, layout.block, layout.row, layout.pixel, layout.origin


# ------------------------------------------------------------------ spans
def spans_alone(
    calls: Sequence[KernelCall], spans: Sequence[tuple[int, int, Collection[Buffer]]]
) -> Iterator[str]:
    """Spans (first, end, buffers with one slot for all images) are disjoint and in order, and no other call touches
    their buffers."""
    for (_, before, _), (first, _, _) in itertools.pairwise(spans):
        if first < before:
            yield f"the spans at calls {before} and {first} overlap"
    slots = {value: at for at, (_, _, inner) in enumerate(spans) for value in inner}
    for k, call in enumerate(calls):
        inside = next((at for at, (first, end, _) in enumerate(spans) if first <= k < end), None)
        for root in dict.fromkeys(value.root for value in (*call.reads, *call.writes)):
            if root in slots and slots[root] != inside:
                yield f"{call.unit.name} touches {root.name}, which has one slot for all images of another span"
            elif root.shares_image_slot and inside is None:
                yield f"{call.unit.name} touches {root.name}, which has one slot for all images, outside of a span"


# ------------------------------------------------------------------ calls
def tasks_cover(calls: Sequence[KernelCall]) -> Iterator[str]:
    """The tasks of the calls of a kernel that share a record cover its rows and parts once."""
    groups: dict[tuple[int, Kernel], list[KernelCall]] = {}
    for call in calls:
        groups.setdefault((id(call.record), call.kernel), []).append(call)
    for some in groups.values():
        rows, parts = sum(call.rows for call in some), some[0].parts
        tasks = [task for call in some for task in call.tasks]
        if not _covers(tasks, rows, parts):
            yield f"the tasks of {some[0].unit.name} ({some[0].algorithm}) do not cover its {rows} rows and " \
                f"{parts} parts once"  # fmt: skip


def _covers(tasks: Sequence[Task], rows: int, parts: int) -> bool:
    edges = [
        sorted({0, size, *(n for t in tasks for n in t[at : at + 2])}) for at, size in ((0, rows), (2, parts))
    ]
    if [(axis[0], axis[-1]) for axis in edges] != [(0, rows), (0, parts)]:
        return False
    row_at, part_at = ({edge: k for k, edge in enumerate(axis)} for axis in edges)
    counts = np.zeros((len(row_at) - 1, len(part_at) - 1), np.int64)
    for first, last, part, end in tasks:
        counts[row_at[first] : row_at[last], part_at[part] : part_at[end]] += 1
    return bool((counts == 1).all())


def calls_written_before_read(calls: Sequence[KernelCall]) -> Iterator[str]:
    """Each buffer that a call reads comes from outside, from an earlier call, or is written by the call itself."""
    written: set[Buffer] = set()
    for call in calls:
        written |= {value.root for value in call.writes}
        for value in call.reads:
            if not value.root.is_input and value.root not in written:
                yield f"{call.unit.name} ({call.algorithm}) reads {value.name}, which no earlier call writes"


def epochs_apart(calls: Sequence[KernelCall], epochs: Sequence[int]) -> Iterator[str]:
    """Epochs are in order, and in none of them a call reads what another one writes."""
    if any(b < a for a, b in itertools.pairwise(epochs)):
        yield "the epochs are not in order"
    for epoch, pairs in itertools.groupby(zip(calls, epochs, strict=True), lambda pair: pair[1]):
        some = [call for call, _ in pairs]
        writers: dict[Buffer, list[KernelCall]] = {}
        for call in some:
            for root in dict.fromkeys(value.root for value in call.writes):
                writers.setdefault(root, []).append(call)
        for call in some:
            for root in dict.fromkeys(value.root for value in call.reads):
                if any(other is not call for other in writers.get(root, ())):
                    yield f"{call.unit.name} reads {root.name}, which another call of epoch {epoch} writes"


# ------------------------------------------------------------------ memory
def in_arena(calls: Sequence[KernelCall], offsets: Mapping[Buffer, int], size: int) -> Iterator[str]:
    """Each buffer that owns memory has a place, aligned and inside the arena."""
    roots = dict.fromkeys(v.root for call in calls for v in (*call.reads, *call.writes) if not v.root.outside)
    yield from (f"{value.name} has no memory" for value in roots if value not in offsets)
    yield from (f"{value.name} has memory, but no call uses it" for value in offsets if value not in roots)
    for value, offset in offsets.items():
        if offset % ALIGN_BYTES or offset < 0 or offset + value.layout.bytes > size:
            yield f"{value.name} lies at {offset}, which is not aligned or not inside the arena"


def read_before_overwritten(
    calls: Sequence[KernelCall],
    epochs: Sequence[int],
    offsets: Mapping[Buffer, int],
    lasting: Collection[Buffer] = (),
) -> Iterator[str]:
    """No buffer is read after another was written over it, and no epoch uses two that share memory; `lasting` ones are
    intact at the end."""
    over = _overlaps(offsets)
    first_writer: dict[Buffer, Record] = {}
    intact: set[Buffer] = set()
    for epoch, pairs in itertools.groupby(zip(calls, epochs, strict=True), lambda pair: pair[1]):
        some = [call for call, _ in pairs]
        used = _roots(some, lambda call: (*call.reads, *call.writes))
        for value in used:
            for other in over.get(value, set()) & used:
                yield f"{value.name} and {other.name} share memory in epoch {epoch}"
        for call in some:
            for value in _roots([call], lambda call: call.writes):
                if first_writer.setdefault(value, call.record) is call.record:  # for any image
                    intact.add(value)
                intact -= over.get(value, set())
            for value in _roots([call], lambda call: call.reads):
                if value not in intact:
                    yield f"{call.unit.name} reads {value.name} after its memory was overwritten"
    yield from (
        f"{value.name} is overwritten before the end" for value in lasting if value.root not in intact
    )


def _roots(calls: Sequence[KernelCall], values: Callable[[KernelCall], Sequence[Buffer]]) -> set[Buffer]:
    return {value.root for call in calls for value in values(call) if not value.root.outside}


def _overlaps(offsets: Mapping[Buffer, int]) -> dict[Buffer, set[Buffer]]:
    """Buffers that share memory with each."""
    values = sorted(offsets, key=offsets.__getitem__)
    over: dict[Buffer, set[Buffer]] = {}
    open_: list[Buffer] = []
    for value in values:
        start = offsets[value]
        open_ = [other for other in open_ if offsets[other] + other.layout.bytes > start]
        if value.layout.bytes:
            over[value] = set(open_)
            for other in open_:
                over[other].add(value)
            open_.append(value)
    return over
