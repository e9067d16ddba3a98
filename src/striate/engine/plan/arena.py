"""One block of memory for all values: two share a place when they never live at the same time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from striate.engine.plan.layout import ALIGN
from striate.engine.plan.steps import Step
from striate.engine.plan.units import Value


@dataclasses.dataclass(frozen=True)
class Arena:
    """Offsets by value (owners of memory only), and how many bytes it takes."""

    offsets: dict[Value, int]
    bytes: int


def epochs(steps: Sequence[Step]) -> list[int]:
    """The epoch of each step. Steps of one epoch run side by side, without waiting: none reads what another writes.

    Steps may write different parts of one value (a border and its inside, pieces of a concatenation).
    """
    found: list[int] = []
    reads: set[Value] = set()
    writes: set[Value] = set()
    epoch = 0
    for step in steps:
        own_reads = {v.root for v in step.reads if not v.outside} - {
            v.root for v in step.writes if step.only_writes
        }
        own_writes = {v.root for v in step.writes if not v.outside}
        if own_reads & writes or own_writes & reads or step.after_all:
            epoch += 1
            reads, writes = set(), set()
        reads |= own_reads
        writes |= own_writes
        found.append(epoch)
    return found


def lives(
    steps: Sequence[Step], when: Sequence[int], stretches: Sequence[tuple[int, int, int]] = ()
) -> dict[Value, tuple[int, int]]:
    """First and last epoch of every value. stretches: (first, turn, end) of stretches that run image by image.

    They do the same for each image, so that their own values live as they do for the first one; what others
    touch, too, lives through all of one.
    """
    life: dict[Value, tuple[int, int]] = {}
    for k, (step, epoch) in enumerate(zip(steps, when, strict=True)):
        span = next((s for s in stretches if s[0] <= k < s[2]), None)
        for root in {value.root for value in (*step.reads, *step.writes)}:
            if root.outside or (span and root.turns and k >= span[1]):
                continue
            start, end = (when[span[0]], when[span[2] - 1]) if span and not root.turns else (epoch, epoch)
            first, last = life.get(root, (start, end))
            life[root] = min(first, start), max(last, end)
    return life


def allot(
    steps: Sequence[Step], when: Sequence[int], stretches: Sequence[tuple[int, int, int]] = ()
) -> Arena:
    """Places by size, the largest first, each as low as those that live with it allow."""
    life = lives(steps, when, stretches)
    placed: list[tuple[int, int, Value]] = []
    for value in sorted(life, key=lambda v: (-v.layout.bytes, life[v])):
        size = value.layout.bytes
        size += -size % ALIGN
        first, last = life[value]
        at = 0
        for start, end, other in sorted((p for p in placed), key=lambda p: p[0]):
            low, high = life[other]
            if high < first or last < low:
                continue
            if at + size <= start:
                break
            at = max(at, end)
        placed.append((at, at + size, value))
    return Arena({value: start for start, _, value in placed}, max((end for _, end, _ in placed), default=0))
