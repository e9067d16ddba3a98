"""What every windowed op shares: loop variables per spatial axis, resolved windows, and the no-output error.

Loop variables: n batch, c / k in / out channel, g group, i j l output positions, u v w taps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from striate.diagnostics import OpError, ShapeError
from striate.geometry import AxisMap, Window
from striate.op import Declaration, Op, Windowed
from striate.statement import Domain, Expr, Statement, Tap, index, load
from striate.tensor import Parameter, TensorSpec

OUT = ("i", "j", "l")
TAPS = ("u", "v", "w")


def need_spatial(op: Op, x: TensorSpec) -> int:
    """Number of spatial axes; an error when there is none to slide over."""
    if not x.spatial:
        raise OpError(
            f"{op.word} needs height and width after the channels",
            why=f"its input {x} has the axes {' '.join(x.axes)}",
            fix="move it before flatten, or use fc",
        )
    return len(x.spatial)


def nearest_divisor(size: int, wish: int) -> int:
    """The divisor of `size` nearest to a wish.

    >>> nearest_divisor(96, 7), nearest_divisor(64, 3)
    (6, 2)
    """
    small = [d for d in range(1, math.isqrt(size) + 1) if size % d == 0]
    return min((*small, *(size // d for d in small)), key=lambda d: abs(d - wish))


def need_groups(groups: int, size: int, what: str = "channels") -> int:
    """Channels (or filters) in each group; an error when the groups do not divide them."""
    if size % groups:
        raise OpError(
            f"groups {groups} do not divide {size} {what}",
            why=f"{size}/{groups} = {size / groups:.2f}; all groups need the same number",
            fix=f"groups {nearest_divisor(size, groups)} · {what} {-(-size // groups) * groups}",
        )
    return size // groups


def windows(op: Windowed, x: TensorSpec) -> list[Window]:
    """The resolved window of a sliding op along every spatial axis; ShapeError G001 when one has no output."""
    need_spatial(op, x)
    axes = op.windows_over(x)
    for axis, window in zip(x.spatial_axes, axes, strict=True):
        if not window.output:
            least = window.extent - window.before - window.after
            raise ShapeError(
                f"{op.word} has no output",
                why=f"along {axis}: {window.formula}; the filter covers {window.extent}, the padded input is "
                f"{window.padded} long",
                fix=f"input of at least {least} along {axis} · pad {-(-(window.extent - window.input) // 2)}"
                f" · a kernel of at most {max((window.padded - 1) // window.dilation + 1, 0)}",
            )
    return axes


def slide(maps: Sequence[AxisMap]) -> tuple[tuple[Tap, ...], dict[str, int], dict[str, int]]:
    """Taps of every spatial axis, with the ranges of their output and tap variables."""
    taps = tuple(Tap(m, i, u) for m, i, u in zip(maps, OUT, TAPS, strict=False))
    out = {tap.out: tap.map.output for tap in taps}
    return taps, out, {tap.tap: tap.map.taps for tap in taps}


def variables(x: TensorSpec) -> dict[str, str]:
    """Loop variable of every axis: n, c, and i j l over space."""
    space = iter(OUT)
    return {axis: {"N": "n", "C": "c"}.get(axis) or next(space) for axis in x.axes}


def ranges(x: TensorSpec) -> dict[str, int]:
    """Loop variable of every axis, and its size."""
    return dict(zip(variables(x).values(), x.shape, strict=True))


def elementwise(op: Op, x: TensorSpec, value: Callable[[Expr], Expr], *weights: Parameter) -> Declaration:
    """One number in, one number out, at every position; `value` may load weights by the channel variable c."""
    free = ranges(x)
    y = Statement("y0", index(*free), value(load("x0", *free)), Domain(free))
    return Declaration(op, (x,), (x,), weights, (y,))


def same_shape(declaration: Declaration) -> str:
    """Why an op that moves numbers without changing their order does nothing: its output has the input's shape."""
    return "its output equals its input" if declaration.inputs[0] == declaration.outputs[0] else ""


class Pointwise(Op):
    """y = f(x) at every position; input and output have the same shape (N, …)."""

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return elementwise(self, inputs[0], self.function)

    def function(self, x: Expr) -> Expr:
        """The scalar function."""
        raise TypeError(f"{self.word} declares no function")
