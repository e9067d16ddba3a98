"""The other one-axis maps: transposed windows, adaptive bins, resampling, shifts, listed entries, the whole axis."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from math import gcd

from striate.geometry.axis import AxisMap
from striate.geometry.window import fold

__all__ = [
    "Adaptive",
    "AxisMap",
    "Cubic",
    "Linear",
    "Listed",
    "Nearest",
    "Shift",
    "TransposedWindow",
    "Whole",
]


@dataclasses.dataclass(frozen=True)
class TransposedWindow(AxisMap):
    """Adjoint of a window: input i is spread over outputs i·stride + u·dilation - before."""

    input: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    output_padding: int = 0

    @property
    def extent(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output(self) -> int:
        return max(self._size, 0)

    @property
    def _size(self) -> int:
        """The result of the size formula, below 1 where nothing is left."""
        return (self.input - 1) * self.stride + self.extent - self.before - self.after + self.output_padding

    @property
    def formula(self) -> str:
        """The size formula with its numbers: ``(4 - 1)·2 + 3 - 2 + 1 = 8``."""
        pad = self.before + self.after
        return (
            f"({self.input} - 1)·{self.stride} + {self.extent} - {pad} + {self.output_padding} = {self._size}"
        )

    @property
    def taps(self) -> int:
        return self.kernel

    @property
    def period(self) -> tuple[int, int]:
        return self.stride, 1

    def raw(self, i: int, u: int) -> int | None:
        x, rest = divmod(i + self.before - u * self.dilation, self.stride)
        return None if rest else x


@dataclasses.dataclass(frozen=True)
class Adaptive(AxisMap):
    """Output i reads bins ⌊i·N/M⌋ … ⌈(i+1)·N/M⌉ - 1 (PyTorch's adaptive pooling)."""

    input: int
    size: int

    @property
    def output(self) -> int:
        return self.size

    @property
    def taps(self) -> int:
        # In lowest terms n/m, bin i begins r/m after a pixel, r = 0 … m - 1 in some order; the longest has r = m - 1.
        outputs, inputs = self.period
        return (inputs + 2 * outputs - 2) // outputs

    @property
    def period(self) -> tuple[int, int]:
        common = gcd(self.input, self.size)
        return self.size // common, self.input // common

    def _start(self, i: int) -> int:
        return i * self.input // self.size

    def _end(self, i: int) -> int:
        return -(-(i + 1) * self.input // self.size)

    def raw(self, i: int, u: int) -> int | None:
        x = self._start(i) + u
        return x if x < self._end(i) else None


@dataclasses.dataclass(frozen=True)
class _Resample(AxisMap):
    """Resampling to `size`; `scale` is set when the size follows from the input, and then steps by 1/scale."""

    input: int
    size: int
    scale: Fraction | None = None

    @property
    def output(self) -> int:
        return self.size

    @property
    def ratio(self) -> Fraction:
        """Input pixels per output pixel."""
        return 1 / self.scale if self.scale else Fraction(self.input, self.size)

    @property
    def period(self) -> tuple[int, int]:
        return self.ratio.denominator, self.ratio.numerator


@dataclasses.dataclass(frozen=True)
class Nearest(_Resample):
    """Output i reads ⌊i·N/M⌋ (PyTorch's mode="nearest")."""

    @property
    def taps(self) -> int:
        return 1

    def raw(self, i: int, u: int) -> int:
        return i * self.ratio.numerator // self.ratio.denominator


@dataclasses.dataclass(frozen=True)
class Linear(_Resample):
    """Linear interpolation between two neighbors, half-pixel centers or aligned corners (PyTorch's rule)."""

    align_corners: bool = False

    @property
    def taps(self) -> int:
        return 2

    @property
    def period(self) -> tuple[int, int]:
        if self.align_corners:
            # Corners fix the ends, so no step repeats exactly before the far corner.
            ratio = self._corner_ratio
            return (ratio.denominator, ratio.numerator) if ratio else (1, 0)
        return super().period

    @property
    def _corner_ratio(self) -> Fraction:
        return Fraction(self.input - 1, self.size - 1) if self.size > 1 else Fraction(0)

    def source(self, i: int) -> Fraction:
        """Real-valued source coordinate of output i."""
        if self.align_corners:
            return i * self._corner_ratio
        half = Fraction(1, 2)
        return (i + half) * self.ratio - half

    def raw(self, i: int, u: int) -> int | None:
        x = self.source(i)
        low = x.numerator // x.denominator
        return low if u == 0 else low + 1 if x != low else None

    def position(self, i: int, u: int) -> int | None:
        x = min(max(self.source(i), Fraction(0)), Fraction(self.input - 1))
        low = x.numerator // x.denominator
        return low if u == 0 else low + 1 if x != low else None

    def weight(self, i: int, u: int) -> Fraction:
        """Interpolation weight of tap u of output i."""
        x = min(max(self.source(i), Fraction(0)), Fraction(self.input - 1))
        share = x - x.numerator // x.denominator
        return share if u else 1 - share

    def shares(self) -> list[list[float]]:
        """The share of every input (row) in every output (column)."""
        table = [[0.0] * self.output for _ in range(self.input)]
        for i in range(self.output):
            for u in range(self.taps):
                position = self.position(i, u)
                if position is not None:
                    table[position][i] += float(self.weight(i, u))
        return table


@dataclasses.dataclass(frozen=True)
class Cubic(Linear):
    """Cubic convolution of four neighbors, the border's repeated beyond it (Keys 1981, with PyTorch's A = -3/4)."""

    A = Fraction(-3, 4)

    @property
    def taps(self) -> int:
        return 4

    def raw(self, i: int, u: int) -> int | None:
        x = self.source(i)
        low = x.numerator // x.denominator
        return low + u - 1 if u == 1 or x != low else None

    def position(self, i: int, u: int) -> int | None:
        x = self.raw(i, u)
        return None if x is None else min(max(x, 0), self.input - 1)

    def weight(self, i: int, u: int) -> Fraction:
        """Weight of tap u of output i."""
        x = self.source(i)
        d = abs(x - x.numerator // x.denominator + 1 - u)
        if d <= 1:
            return ((self.A + 2) * d - (self.A + 3)) * d * d + 1
        return (((d - 5) * d + 8) * d - 4) * self.A


@dataclasses.dataclass(frozen=True)
class Shift(AxisMap):
    """Output i reads input i·step - before: slicing (negative before/after) and padding (positive ones).

    fixed: smallest axis on which a slice between fixed indices is whole; 0 where the output's size follows the input.
    """

    input: int
    before: int = 0
    after: int = 0
    step: int = 1
    mode: str = "zeros"
    fixed: int = 0

    @property
    def output(self) -> int:
        return max((self.input + self.before + self.after - 1) // self.step + 1, 0)

    @property
    def taps(self) -> int:
        return 1

    @property
    def period(self) -> tuple[int, int]:
        return 1, self.step

    def raw(self, i: int, u: int) -> int:
        return i * self.step - self.before

    def position(self, i: int, u: int) -> int | None:
        return fold(self.raw(i, u), self.input, self.mode)


@dataclasses.dataclass(frozen=True)
class Listed(AxisMap):
    """Output i reads input entries[i]: any order, with repeats."""

    input: int
    entries: tuple[int, ...]

    @property
    def output(self) -> int:
        return len(self.entries)

    @property
    def taps(self) -> int:
        return 1

    @property
    def period(self) -> tuple[int, int]:
        return len(self.entries), self.input

    def raw(self, i: int, u: int) -> int:
        turns, at = divmod(i, len(self.entries))
        return self.entries[at] + turns * self.input


@dataclasses.dataclass(frozen=True)
class Whole(AxisMap):
    """One output that reads the whole axis: global pooling, flattening, fully connected layers."""

    input: int

    @property
    def output(self) -> int:
        return 1

    @property
    def taps(self) -> int:
        return self.input

    @property
    def period(self) -> tuple[int, int]:
        return 1, 0

    def raw(self, i: int, u: int) -> int:
        return u
