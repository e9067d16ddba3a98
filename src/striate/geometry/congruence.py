"""Input sizes that fit exactly, as congruences: N = residue (mod modulus), N >= minimum.

Along an axis every size is an affine law of the input's N for as long as everything fits, so each window only
asks for one more congruence. Policies that round (SAME) split the inputs into classes first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fractions import Fraction
from math import gcd

from striate.geometry.axis import AxisMap
from striate.geometry.maps import Adaptive, Listed, Shift, TransposedWindow, Whole, _Resample
from striate.geometry.window import Window


@dataclasses.dataclass(frozen=True, slots=True)
class SizeLaw:
    """Size of an axis as a function of the input's N: slope·N + offset."""

    slope: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def at(self, n: int) -> Fraction:
        return self.slope * n + self.offset

    def then(self, scale: Fraction | int, shift: Fraction | int) -> SizeLaw:
        """The law of scale·size + shift."""
        return SizeLaw(self.slope * scale, self.offset * scale + shift)


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """Inputs N = residue (mod modulus) with N >= minimum; modulus 0 means the one size `residue`."""

    modulus: int = 1
    residue: int = 0
    minimum: int = 1

    @property
    def smallest(self) -> int:
        if not self.modulus:
            return self.residue
        return self.minimum + (self.residue - self.minimum) % self.modulus

    def admits(self, n: int) -> bool:
        on_class = n == self.residue if not self.modulus else n % self.modulus == self.residue
        return on_class and n >= self.minimum

    def congruent(self, law: SizeLaw, shift: int, modulus: int) -> Condition | None:
        """The inputs among these for which law(N) + shift is a multiple of modulus."""
        base = law.at(self.residue) + shift
        slope = law.slope * self.modulus
        if slope.denominator != 1 or base.denominator != 1:
            raise ArithmeticError("a size law that is not whole on its own class")
        a, b = int(slope), int(base)
        common = gcd(a, modulus)
        if b % common:
            return None
        period = modulus // common
        turns = -(b // common) * pow(a // common, -1, period) % period if period > 1 else 0
        wide = self.modulus * period
        residue = self.residue + self.modulus * turns
        return Condition(wide, residue % wide if wide else residue, self.minimum)

    def at_least(self, law: SizeLaw, size: int | Fraction) -> list[Condition]:
        """The inputs among these for which law(N) >= size; a falling law leaves single sizes."""
        if not law.slope or not self.modulus:
            return [self] if law.at(self.residue) >= size else []
        threshold = (size - law.offset) / law.slope
        if law.slope < 0:
            last = threshold.numerator // threshold.denominator
            return [Condition(0, n) for n in range(self.smallest, last + 1, self.modulus)]
        least = -(-threshold.numerator // threshold.denominator)
        return [dataclasses.replace(self, minimum=max(self.minimum, least))]

    def equal(self, one: SizeLaw, other: SizeLaw) -> Condition | None:
        """The inputs among these for which two laws give the same size."""
        if one == other:
            return self
        if one.slope == other.slope:
            return None
        n = (other.offset - one.offset) / (one.slope - other.slope)
        return Condition(0, int(n), 1) if n.denominator == 1 and self.admits(int(n)) else None


def solve(axis: AxisMap, law: SizeLaw, condition: Condition) -> list[tuple[SizeLaw, Condition]]:
    """The conditions on the input under which a map fits exactly, with the law of its output size.

    Fits exactly: no remainder, and a stride still has something to stride over (it shrinks its axis).
    """
    match axis:
        case Window(policy="same" | "same_lower", stride=stride) if stride > 1:
            return _solve_same(axis, law, condition)
        case Window(policy="same" | "same_lower"):
            return [(law, condition)]
        case Window():
            pad = axis.before + axis.after
            if axis.policy == "full":
                pad = 2 * (axis.extent - 1)
            shift = pad - axis.extent
            fitting = _all(condition.congruent(law, shift, axis.stride), law, _smallest(axis.stride, shift))
            return [
                (law.then(Fraction(1, axis.stride), Fraction(shift, axis.stride) + 1), c) for c in fitting
            ]
        case TransposedWindow():
            shift = axis.output - axis.input * axis.stride
            out = law.then(axis.stride, shift)
            return [(out, c) for c in _all(condition, out, 1)]
        case _Resample(scale=Fraction() as scale):
            fitting = _all(condition.congruent(law, 0, scale.denominator), law, 1)
            return [(law.then(scale, 0), c) for c in fitting]
        case Shift(fixed=0):
            shift = axis.before + axis.after - 1
            fitting = _all(condition.congruent(law, shift, axis.step), law, -shift)
            return [(law.then(Fraction(1, axis.step), Fraction(shift, axis.step) + 1), c) for c in fitting]
        case Shift():
            fitting = _all(condition, law, axis.fixed)
            return [(SizeLaw(Fraction(0), Fraction(axis.output)), c) for c in fitting]
        case Listed(entries=entries):
            fitting = _all(condition, law, max(entries) + 1)
            return [(SizeLaw(Fraction(0), Fraction(axis.output)), c) for c in fitting]
        case Adaptive() | _Resample() | Whole():
            return [(SizeLaw(Fraction(0), Fraction(axis.output)), condition)]
    raise TypeError(type(axis).__name__)


def _solve_same(axis: Window, law: SizeLaw, condition: Condition) -> list[tuple[SizeLaw, Condition]]:
    """SAME rounds up to a multiple of the stride; it fits if the padding splits evenly."""
    solutions = []
    for short in range(axis.stride):
        total = axis.extent - axis.stride + short
        if total >= 0 and total % 2 == 0:
            for c in _all(condition.congruent(law, short, axis.stride), law, short // (axis.stride - 1) + 1):
                solutions.append((law.then(Fraction(1, axis.stride), Fraction(short, axis.stride)), c))
    return solutions


def _smallest(stride: int, shift: int) -> int:
    """Smallest axis on which a window fits at least once and, when it strides, gives fewer positions than it reads."""
    fits = max(-shift, 1)
    return max(fits, (shift + stride) // (stride - 1) + 1) if stride > 1 else fits


def _all(condition: Condition | None, law: SizeLaw, size: int) -> Iterable[Condition]:
    return condition.at_least(law, size) if condition else ()
