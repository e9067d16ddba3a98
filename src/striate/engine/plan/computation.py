"""Patterns of computation that kernels support."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from striate.geometry import AxisMap, Shift, Window
from striate.statement import Expr


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Sum over channels (of a group) and window taps of input times weight; a fully connected layer has no windows.

    channel: the input axis that is summed over. windows: (height, width). adjoint: the windows address the output.
    weight: (groups·outputs, depth, kernel height, kernel width), or for the adjoint (groups·depth, outputs, …).
    """

    channel: int
    groups: int
    depth: int
    outputs: int
    windows: tuple[Window, Window] | None
    bias: bool
    adjoint: bool = False


@dataclasses.dataclass(frozen=True)
class Pool:
    """Maximum or mean over windows of every channel. maps: (height, width); padded: the mean counts padding, too."""

    reduce: str
    maps: tuple[AxisMap, AxisMap]
    padded: bool = False


@dataclasses.dataclass(frozen=True)
class Elementwise:
    """Each output from the same position of its operands. operands: tensor name -> how it is broadcast.

    "s" same shape; "c1" one number per position along axis 1, and so on; "i" one per image and channel; "p" one per
    pixel.
    """

    value: Expr
    operands: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Alias:
    """The same numbers under another shape. kind: "same", "permute" (axes: output axis -> input axis) or "flat"."""

    kind: str
    axes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Copy:
    """Channels of input `port` from `source` on become output channels from `target` on; rows and columns by `maps`.

    back: the adjoint of such a copy, whose maps they are: each number goes to where the copy read it.
    """

    port: int
    output: int
    source: int
    target: int
    channels: int
    maps: tuple[Shift, Shift] | None = None
    back: bool = False


@dataclasses.dataclass(frozen=True)
class Copies:
    """Outputs assembled from copies of parts of the inputs: concatenation, split, slice, zero padding.

    partly: the makers of other pieces write them in place.
    """

    pieces: tuple[Copy, ...]
    partly: bool = False


@dataclasses.dataclass(frozen=True)
class Softmax:
    """Softmax over one axis, or its logarithm."""

    channel: int
    log: bool


@dataclasses.dataclass(frozen=True)
class Norm:
    """(x - mean)/sqrt(variance + eps), then times weight plus bias if `scaled`.

    groups 0: over axis `channel`, at every position; else over each group of channels and all positions of an image.
    """

    channel: int
    groups: int
    eps: float
    scaled: bool


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm:
    """A function of x0 and of t0, the sum of the squares (or of the numbers) of `size` channels around it."""

    size: int
    value: Expr
    squares: bool = True


Pattern = LocalResponseNorm | Correlation | Pool | Elementwise | Alias | Copies | Softmax | Norm
