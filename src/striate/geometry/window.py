"""The sliding window along one axis, and the policies that choose its padding.

Sizes follow Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (arXiv 1603.07285);
SAME follows TensorFlow (odd pixel at the end; SAME_LOWER: at the start); ceil mode follows PyTorch
(a last window must start inside the input or the padding before it).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from operator import add

from striate.geometry.axis import AxisMap

PADDING_POLICIES = ("same", "same_lower", "valid", "full", "half")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")


def padding_for(policy: str, n: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) that a named policy asks for on an axis of n.

    >>> padding_for("same", 224, 7, 2), padding_for("half", 7, 5), padding_for("full", 5, 3)
    ((2, 3), (2, 2), (2, 2))
    """
    extent = dilation * (kernel - 1) + 1
    match policy:
        case "valid":
            return 0, 0
        case "full":
            return extent - 1, extent - 1
        case "half":
            return (extent - 1) // 2, (extent - 1) // 2
        case "same" | "same_lower":
            total = max((-(-n // stride) - 1) * stride + extent - n, 0)
            less, more = total // 2, total - total // 2
            return (less, more) if policy == "same" else (more, less)
    raise ValueError(policy)


def fold(x: int, n: int, mode: str) -> int | None:
    """Where coordinate x lies on an axis of n under a border mode; None in zero padding.

    >>> [fold(x, 4, "reflect") for x in (-2, -1, 4)], fold(-1, 4, "circular"), fold(-1, 4, "zeros")
    ([2, 1, 2], 3, None)
    """
    if 0 <= x < n:
        return x
    match mode:
        case "circular":
            return x % n
        case "replicate":
            return min(max(x, 0), n - 1)
        case "reflect" if n > 1:
            x %= 2 * (n - 1)
            return min(x, 2 * (n - 1) - x)
        case "reflect":
            return 0
        case "symmetric":
            x %= 2 * n
            return min(x, 2 * n - 1 - x)
    return None


@dataclasses.dataclass(frozen=True)
class Window(AxisMap):
    """Output i reads input i·stride + u·dilation - before, u = 0 … kernel - 1: one axis, every policy resolved.

    `policy` remembers how the padding was chosen ("explicit", "same", …): only the search for fitting sizes asks.
    """

    input: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False
    mode: str = "zeros"
    policy: str = "explicit"

    @classmethod
    def resolve(
        cls,
        n: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: str | tuple[int, int] = (0, 0),
        ceil: bool = False,
        mode: str = "zeros",
    ) -> Window:
        """The window on an axis of n with its padding given as (before, after) or as a policy's name."""
        if isinstance(padding, str):
            before, after = padding_for(padding, n, kernel, stride, dilation)
            return cls(n, kernel, stride, dilation, before, after, ceil, mode, padding)
        return cls(n, kernel, stride, dilation, *padding, ceil, mode)

    @property
    def extent(self) -> int:
        """Positions from the first tap to the last, both counted."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        return self.input + self.before + self.after

    @property
    def slack(self) -> int:
        """Padded size less the extent: how far the window can move; negative when it does not fit once."""
        return self.padded - self.extent

    @property
    def exact(self) -> Fraction:
        """(N + P - F)/S + 1 before any rounding."""
        return Fraction(self.slack, self.stride) + 1

    @functools.cached_property
    def output(self) -> int:
        size = self.slack // self.stride + 1
        if self.ceil:
            size = -(-self.slack // self.stride) + 1
            if (size - 1) * self.stride >= self.input + self.before:
                size -= 1
        return max(size, 0)

    @property
    def remainder(self) -> int:
        """Positions left over by the stride: (N + P - F) mod S."""
        return self.slack % self.stride

    @property
    def overhang(self) -> int:
        """Positions by which the last window of ceil mode reaches past the padded input."""
        return max((self.output - 1) * self.stride + self.extent - self.padded, 0) if self.output else 0

    @property
    def _trailing(self) -> int:
        return max(self.padded - (self.output - 1) * self.stride - self.extent, 0) if self.output else 0

    @property
    def wasted_after(self) -> int:
        """Padded positions at the end that no window reaches."""
        return min(self._trailing, max(self.after, 0))

    @property
    def lost(self) -> int:
        """Real positions after the last window."""
        return min(self._trailing - self.wasted_after, self.input)

    @property
    def wasted_before(self) -> int:
        """Padded positions at the start after the last window: only when the remainder swallows the input."""
        return self._trailing - self.wasted_after - self.lost

    @property
    def wasted_padding(self) -> int:
        return self.wasted_before + self.wasted_after

    @property
    def gap(self) -> int:
        """Positions between neighboring windows that no window reads: stride - extent, when positive."""
        return max(self.stride - self.extent, 0)

    @property
    def formula(self) -> str:
        """The output-size formula with its numbers: ``(7 + 0 - 3)/3 + 1 = 2.33``."""
        pad = self.before + self.after
        pad_text = f"2·{self.before}" if self.before == self.after and pad else str(pad)
        value = self.exact
        value_text = str(value) if value.denominator == 1 else f"{float(value):.2f}"
        return f"({self.input} + {pad_text} - {self.extent})/{self.stride} + 1 = {value_text}"

    @property
    def taps(self) -> int:
        return self.kernel

    @property
    def period(self) -> tuple[int, int]:
        return 1, self.stride

    def raw(self, i: int, u: int) -> int:
        return i * self.stride + u * self.dilation - self.before

    def position(self, i: int, u: int) -> int | None:
        x = self.raw(i, u)
        # Positions beyond the padded end (ceil mode) do not exist, whatever the border mode.
        return None if x >= self.input + self.after else fold(x, self.input, self.mode)

    def padding_only(self) -> tuple[int, ...]:
        """Outputs whose window sees nothing but zero padding."""
        if self.mode != "zeros":
            return ()
        head = range(min(-(-self.before // self.stride), self.output))
        first_late = max(-(-(self.input - self.extent + 1 + self.before) // self.stride), 0)
        edges = sorted({*head, *range(first_late, self.output)})
        return tuple(i for i in edges if not self.reads(i))

    def pull(self, counts: Sequence[int]) -> list[int]:
        # A tap touches a plain stride of inputs: add whole slices, and only fold what lies outside.
        totals = [0] * self.input
        for u in range(self.kernel):
            offset = self.raw(0, u)
            first = max(-(offset // self.stride), 0)
            last = min((self.input - 1 - offset) // self.stride, self.output - 1)
            if first <= last:
                where = slice(offset + first * self.stride, offset + last * self.stride + 1, self.stride)
                totals[where] = map(add, totals[where], counts[first : last + 1])
            if self.mode != "zeros":
                outside = (*range(min(first, self.output)), *range(max(last + 1, first), self.output))
                for i in outside:
                    if (x := self.position(i, u)) is not None:
                        totals[x] += counts[i]
        return totals
