"""Receptive fields along one axis, exact for windows, transposed windows and resampling alike.

After Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill 2019).
Transposed windows and resampling make neighboring units see differently, so a field is kept as the spans of
one period of units and the step from period to period; a plain stack of windows has a period of one unit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd, lcm

from striate.geometry.axis import AxisMap
from striate.geometry.window import Window

LONGEST_PERIOD = 4096
"""Units of a period that are always kept; longer ones only as far as the axis goes."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Unit i of a value sees input coordinates lo … hi = `span(i)`, borders not clipped.

    spans: (lo, hi) of the units of one period; step: input pixels from one period to the next,
    0 for a unit that has no neighbors (it sees the whole axis).
    """

    spans: tuple[tuple[int, int], ...] = ((0, 0),)
    step: int = 1

    @property
    def size(self) -> int:
        """Input pixels that a unit sees (the most, where units differ)."""
        return max(hi - lo for lo, hi in self.spans) + 1

    @property
    def jump(self) -> Fraction:
        """Input pixels between neighboring units."""
        return Fraction(self.step, len(self.spans))

    @property
    def start(self) -> int:
        """First input coordinate of unit 0's field; negative when it begins in the padding."""
        return self.spans[0][0]

    def span(self, i: int) -> tuple[int, int]:
        """Input coordinates (first, last) of unit i's field."""
        turns, phase = divmod(i, len(self.spans))
        lo, hi = self.spans[phase]
        return lo + turns * self.step, hi + turns * self.step

    def center(self, i: int = 0) -> Fraction:
        lo, hi = self.span(i)
        return Fraction(lo + hi, 2)

    @property
    def offset(self) -> Fraction:
        """Mean center over a period, unit 0's place in the grid taken out: what alignment compares."""
        period = len(self.spans)
        return sum((self.center(i) - i * self.jump for i in range(period)), Fraction(0)) / period

    def through(self, axis: AxisMap) -> ReceptiveField:
        """The field of the units after one more map; its jump is rounded if no period fits the axis."""
        if isinstance(axis, Window) and len(self.spans) == 1 and self.size:
            (lo, hi) = self.spans[0]
            first, last = axis.raw(0, 0), axis.raw(0, axis.kernel - 1)
            return ReceptiveField(((lo + first * self.step, hi + last * self.step),), self.step * axis.stride)
        units, advance = axis.period
        turns = len(self.spans) // gcd(len(self.spans), advance) if advance else 1
        # A scale such as 1.2345 repeats after more units than there are: those that exist are enough.
        count = min(units * turns, max(axis.output, LONGEST_PERIOD))
        spans = []
        for i in range(count):
            coordinates = (axis.raw(i, u) for u in range(axis.taps))
            spans.append(_hull(self.span(x) for x in coordinates if x is not None))
        step = round(self.jump * advance / units * count)
        return ReceptiveField(_fill_holes(spans), step)

    @staticmethod
    def union(fields: Sequence[ReceptiveField]) -> ReceptiveField:
        """Hull of several fields of the same units (a merge); fields must agree in their jump to be exact."""
        moving = [field for field in fields if field.step] or list(fields)
        if len({field.jump for field in moving}) > 1:
            moving = [max(moving, key=lambda field: field.jump)]
        period = lcm(*(len(field.spans) for field in moving))
        spans = []
        for i in range(period):
            constant_spans = (field.span(0) for field in fields if not field.step)
            spans.append(_hull((*(field.span(i) for field in moving), *constant_spans)))
        return ReceptiveField(_fill_holes(spans), moving[0].step * (period // len(moving[0].spans)))


def _hull(spans: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    real_spans = [(lo, hi) for lo, hi in spans if lo <= hi]
    return (min(lo for lo, _ in real_spans), max(hi for _, hi in real_spans)) if real_spans else None


def _fill_holes(spans: list[tuple[int, int] | None]) -> tuple[tuple[int, int], ...]:
    """The spans; units that see nothing (transposed stride > kernel) get an empty span next to their neighbor's."""
    last = next((span for span in spans if span is not None), (0, -1))
    result = []
    for span in spans:
        last = span or (last[0], last[0] - 1)
        result.append(last)
    return tuple(result)
