"""Patterns of computation that kernels support."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from striate.geometry import AxisMap, Shift, Window
from striate.statement import Expr

AXES_IN_ORDER = ("n", "nc", "ncw", "nchw", "ncdhw")
"""Roles of the axes of a map, by rank, unless a permutation changes them: n image, c channel, d h w space."""


class WholeMaps:
    """A pattern whose kernels read and write whole maps."""

    def fits(self, roles: Sequence[str]) -> bool:
        """Whether kernels can read the inputs. roles: of the axes of each."""
        return all(axes in AXES_IN_ORDER for axes in roles)


class OverChannels:
    """A pattern that goes over the channels of each pixel, on whichever axis they are."""

    channel: int

    def fits(self, roles: Sequence[str]) -> bool:
        """Whether kernels can read the input. roles: of its axes."""
        return roles[0][self.channel : self.channel + 1] == "c"


@dataclasses.dataclass(frozen=True)
class Correlation(OverChannels):
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

    def fits(self, roles: Sequence[str]) -> bool:
        return super().fits(roles) and (self.windows is None or roles[0] in ("nchw", "ncw"))

    @property
    def reads_pixels(self) -> bool:
        """Whether its kernel can also read an image whose channels lie pixel by pixel."""
        return self.groups == 1 and not self.adjoint and self.windows is not None


@dataclasses.dataclass(frozen=True)
class Pool(WholeMaps):
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

    def view(self, roles: str, flat: bool) -> str | None:
        """Roles of the axes of the output as a view of the input's memory; None if it cannot be one.

        roles: of the input's axes; flat: whether it is itself a flattened map.
        """
        if self.kind == "same":
            return roles
        if flat or not roles:
            return None
        if self.kind == "flat":
            return "nc" if roles in AXES_IN_ORDER else None
        permuted = "".join(roles[axis] for axis in self.axes)
        return permuted if permuted.replace("c", "") == roles.replace("c", "") else None


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
class Copies(WholeMaps):
    """Outputs assembled from copies of parts of the inputs: concatenation, split, slice, zero padding.

    partly: the makers of other pieces write them in place.
    """

    pieces: tuple[Copy, ...]
    partly: bool = False


@dataclasses.dataclass(frozen=True)
class Softmax(OverChannels):
    """Softmax over one axis, or its logarithm."""

    channel: int
    log: bool


@dataclasses.dataclass(frozen=True)
class Norm(OverChannels):
    """(x - mean)/sqrt(variance + eps), then times weight plus bias if `scaled`.

    groups 0: over axis `channel`, at every position; else over each group of channels and all positions of an image.
    """

    channel: int
    groups: int
    eps: float
    scaled: bool


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm(WholeMaps):
    """A function of x0 and of t0, the sum of the squares (or of the numbers) of `size` channels around it."""

    size: int
    value: Expr
    squares: bool = True


Pattern = LocalResponseNorm | Correlation | Pool | Elementwise | Alias | Copies | Softmax | Norm
