"""The plan's working form: buffers with their layout, and units (fused nodes) that read and write them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels.argument_record import Address, Offset
from striate.engine.layout import Layout
from striate.engine.plan.algebra import affine
from striate.engine.plan.computation import (
    AXES_IN_ORDER,
    Copies,
    Correlation,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.op import Declaration
from striate.statement import Expr, Statement

Array = NDArray[Any]
Fold = tuple[Expr, str, dict[str, Array]]

ROLES = dict(enumerate(AXES_IN_ORDER, 1))
"""Role of each axis of a buffer, by rank, unless a permutation changes it."""


@dataclasses.dataclass(eq=False)
class Buffer:
    """Tensor of the plan that units read and write.

    roles: letter per axis: n image, c channel, d h w space. home: the buffer that this one aliases, or None. offset:
    first channel within home. flat: True if it flattens its home (C, H, W) and keeps its memory layout.
    """

    name: str
    shape: tuple[int, ...]
    roles: str
    home: Buffer | None = None
    offset: int = 0
    flat: bool = False
    lanes: int = 0
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    keep: bool = False
    """A result of the program: it must not be fused away."""
    is_input: bool = False
    is_result: bool = False
    """An input of the program, or the copy of a result: the caller owns the memory."""
    shares_image_slot: bool = False
    """Its images use the same memory, one after another (`plan.per_image`)."""

    @property
    def outside(self) -> bool:
        return self.is_input or self.is_result

    def size(self, role: str) -> int:
        return _size(self.shape, self.roles, role)

    @property
    def images(self) -> int:
        return self.size("n")

    @property
    def channels(self) -> int:
        return self.size("c")

    @property
    def height(self) -> int:
        return self.size("d") * self.size("h")

    @property
    def width(self) -> int:
        return self.size("w")

    @property
    def root(self) -> Buffer:
        """The buffer that owns the memory."""
        value = self
        while value.home is not None:
            value = value.home
        return value

    @property
    def shaped(self) -> Buffer:
        """The buffer that a flattened one flattens, or itself."""
        value = self
        while value.flat and value.home is not None:
            value = value.home
        return value

    @property
    def first(self) -> int:
        """Its first channel within its root."""
        return self.offset + (self.home.first if self.home is not None else 0)

    @property
    def layout(self) -> Layout:
        """The layout of its root, with its own number of channels."""
        root = self.root
        channels = None if root is self else self.channels
        return _layout(root.shape, root.roles, root.lanes, root.pads, root.shares_image_slot, channels)

    @property
    def start_address(self) -> Address:
        """Of its root's memory."""
        return Address(self)

    @property
    def base_address(self) -> Address:
        """Of its first block, border included."""
        return Address(self, self.begin)

    @property
    def address(self) -> Address:
        """Of its first number inside its border."""
        return self.base_address + self.layout.origin

    @property
    def begin(self) -> int:
        """Offset in bytes of its first block, from the start of its root's memory."""
        return self.first // self.root.lanes * self.root.layout.block


@functools.lru_cache(maxsize=4096)
def _size(shape: tuple[int, ...], roles: str, role: str) -> int:
    return math.prod(n for n, r in zip(shape, roles, strict=True) if r == role)


@functools.lru_cache(maxsize=4096)
def _layout(
    shape: tuple[int, ...], roles: str, lanes: int, pads: tuple[int, int, int, int], shares: bool,
    channels: int | None,
) -> Layout:  # fmt: skip
    """channels: of a part of a buffer with this shape, or None for the whole."""
    images, whole, rows, columns = (
        _size(shape, roles, "n"), _size(shape, roles, "c"),
        _size(shape, roles, "d") * _size(shape, roles, "h"), _size(shape, roles, "w"),
    )  # fmt: skip
    layout = Layout(images, whole, rows, columns, lanes, *pads, shares_image_slot=shares)
    return layout if channels is None else dataclasses.replace(layout, channels=channels, apart=layout.image)


@dataclasses.dataclass(eq=False)
class Unit:
    """One or more nodes computed together.

    body: what is computed. declaration: the first node's, or None for copies; weights: its parameters. folds: affine
    functions of each output channel that are folded into the weights: an expression, the operand in which it is affine,
    and its other operands. low, high: clamp. epilogue: expression of one operand `x0` applied last. residual: value
    added before the clamp. parameters: in training, the buffers of a product's parameters; its `weights` then only have
    their shapes.
    """

    nodes: list[str]
    body: Body
    inputs: list[Buffer]
    outputs: list[Buffer]
    declaration: Declaration | None
    weights: dict[str, Array]
    folds: list[Fold] = dataclasses.field(default_factory=list)
    residual: Buffer | None = None
    low: float = -math.inf
    high: float = math.inf
    epilogue: Expr | None = None
    order: int = 0
    parameters: dict[str, Buffer] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return " + ".join(self.nodes)

    @property
    def scaling(self) -> tuple[Array, Array] | None:
        """Scale and shift of each output channel, in float64, from the current weights; None without folds."""
        total: tuple[Array, Array] | None = None
        for fold in self.folds:
            scale, shift = (np.broadcast_to(part, self.outputs[0].channels) for part in affine(*fold))
            total = (scale, shift) if total is None else (scale * total[0], shift + scale * total[1])
        return total

    @property
    def derived(self) -> bool:
        """Whether another unit computes the weight in every run, so that a separate call must pack it."""
        return "weight" in self.parameters and not self.parameters["weight"].is_input

    @property
    def residual_offset(self) -> Offset | None:
        """From an output to the number that is added to it."""
        return None if self.residual is None else self.residual.address - self.outputs[0].address

    @property
    def clamped(self) -> bool:
        return self.low != -math.inf or self.high != math.inf

    def clamp(self, low: float, high: float) -> bool:
        """Clamp the results of a sum of products before they are stored; False if that cannot be done."""
        low, high = max(self.low, low), min(self.high, high)
        if not isinstance(self.body, Correlation) or self.epilogue is not None or low > high:
            return False
        self.low, self.high = low, high
        return True

    @property
    def reads(self) -> list[Buffer]:
        return self.inputs + ([self.residual] if self.residual is not None else [])

    def over(self, now: Callable[[Buffer], Buffer]) -> Unit:
        """The same unit over other buffers: `now` gives the one in place of each."""
        body = self.body
        if isinstance(body, FusedElementwise | ChannelSums | Loops):
            body = dataclasses.replace(body, values={name: now(v) for name, v in body.values.items()})
        return dataclasses.replace(
            self,
            nodes=list(self.nodes),
            body=body,
            inputs=[now(value) for value in self.inputs],
            outputs=[now(value) for value in self.outputs],
            residual=None if self.residual is None else now(self.residual),
            weights=dict(self.weights),
            folds=list(self.folds),
            parameters={name: now(value) for name, value in self.parameters.items()},
        )


@dataclasses.dataclass
class FusedElementwise:
    """Elementwise: `value` over operands.

    kinds: "s", "c", "i" or "p" per operand (see `computation.Elementwise`); constants: operands that are weights.
    """

    value: Expr
    kinds: dict[str, str]
    values: dict[str, Buffer]
    constants: dict[str, Array]


@dataclasses.dataclass
class ChannelSums:
    """Sums over every position of each channel (`by_image`: of each channel of each image) of some elementwise values.

    kinds, values: as in `FusedElementwise`; like: a value with as many images, channels and positions.
    """

    exprs: tuple[Expr, ...]
    kinds: dict[str, str]
    values: dict[str, Buffer]
    like: Buffer
    by_image: bool = False


@dataclasses.dataclass
class WeightGradient:
    """Gradient of a correlation's weight from its input and the gradient of its output: (1, outputs, depth, taps).

    An adjoint's two inputs change places, and so do its channels.
    """

    body: Correlation


@dataclasses.dataclass
class PoolGradient:
    """Gradient of pooling from that of its output; for the maximum also from its input and output.

    low, high: limits of a clamp that computed the input; the gradient passes only inside them.
    """

    body: Pool
    low: float = -math.inf
    high: float = math.inf


@dataclasses.dataclass
class NormGradient:
    """Gradient of a norm over the channels of each pixel from the gradient of its output, its input and its weight.

    Outputs: the gradient, and mean and 1/deviation of every pixel, row-major.
    """

    body: Norm


@dataclasses.dataclass
class Loops:
    """Statements as generic loop nests, one after another, each with whether it adds to its target.

    values: all their tensors; only this unit writes the targets.
    """

    statements: tuple[tuple[Statement, bool], ...]
    values: dict[str, Buffer]


@dataclasses.dataclass
class Enter:
    """A program's input, copied into a buffer."""


@dataclasses.dataclass
class Leave:
    """A buffer, copied into plain order: a result, or a flattened map."""


@dataclasses.dataclass
class GenericNest:
    """A declaration without a pattern: its statements as loop nests."""


Body = (
    Correlation
    | LocalResponseNorm
    | Pool
    | FusedElementwise
    | Copies
    | Softmax
    | Norm
    | GenericNest
    | Enter
    | Leave
    | ChannelSums
    | WeightGradient
    | PoolGradient
    | NormGradient
    | Loops
)


class Copied:
    """Copies of buffers and units, so that a stage can assign what the one before left open.

    change: fields that differ in the copy of a buffer.
    """

    def __init__(self, change: Callable[[Buffer], Mapping[str, Any]] = lambda value: {}) -> None:
        self._buffers: dict[Buffer, Buffer] = {}
        self._units: dict[Unit, Unit] = {}
        self._change = change

    def buffer(self, value: Buffer) -> Buffer:
        """The copy of a buffer: the same one for each call."""
        if value not in self._buffers:
            home = None if value.home is None else self.buffer(value.home)
            self._buffers[value] = dataclasses.replace(value, home=home, **self._change(value))
        return self._buffers[value]

    def buffers(self, values: Mapping[str, Buffer]) -> dict[str, Buffer]:
        return {name: self.buffer(value) for name, value in values.items()}

    def unit(self, unit: Unit) -> Unit:
        """The copy of a unit: the same one for each call."""
        if unit not in self._units:
            self._units[unit] = unit.over(self.buffer)
        return self._units[unit]

    def units(self, units: Iterable[Unit]) -> list[Unit]:
        return [self.unit(unit) for unit in units]
