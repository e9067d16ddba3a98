"""One operator during import: its inputs, their values, and the nodes that it becomes.

Axes are named by letter; broadcast values stay unexpanded until an op needs the full shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import plural
from striate.formats import importing
from striate.formats.importing import Unknown, need
from striate.formats.onnx.fold import Allowance, Unfoldable
from striate.formats.onnx.proto import Call, Graph
from striate.op import Op
from striate.ops.gather import Gather
from striate.ops.reshape import Flatten, Permute, Reshape
from striate.tensor import SPATIAL

Array = NDArray[Any]

LISTED = 16
"""Cost of an entry of a list, in elements: a few bytes can ask for every entry of an axis of any size."""


@dataclasses.dataclass(frozen=True)
class Value(importing.Value):
    """A value of the network under construction.

    wide: the shape that ONNX has broadcast it to; the value stays small for ops that broadcast anyway. tensors: the
    tensors of the file that operators without a node have used to compute it.
    """

    wide: tuple[int, ...] | None = None
    tensors: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Its shape in the graph, whether or not a TensorSpec can express it."""
        return self.wide or (self.known.shape if self.known else self.hidden)


Binding = Value | Array | None
"""What a name of the graph refers to: a value, a constant, or a constant that was not folded."""


class Reading(Protocol):
    """The view that a site has of the imported graph."""

    graph: Graph
    allowance: Allowance
    bindings: dict[str, Binding]
    needed: set[str]
    origins: dict[str, str]

    def place(
        self, call: Call, op: Op, values: Sequence[Value], weights: Mapping[str, Array]
    ) -> list[Value]: ...


class Site:
    """One operator during import: its inputs and attributes, and `emit`, which adds its nodes."""

    def __init__(self, reader: Reading, call: Call) -> None:
        self.call, self.opset = call, reader.graph.opset
        self._reader = reader
        self._arguments = [reader.bindings.get(name) if name else None for name in call.inputs]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.call.attributes.get(name, default)

    @property
    def slim(self) -> list[Value]:
        """The inputs that are values, in order, not yet broadcast."""
        return [argument for argument in self._arguments if isinstance(argument, Value)]

    @property
    def data(self) -> list[Value]:
        """The inputs that are values, in order."""
        return [self.full(argument) for argument in self.slim]

    def value(self, at: int = 0) -> Value:
        """An input that must be a value. Raises Unknown."""
        argument = self._arguments[at] if at < len(self._arguments) else None
        if not isinstance(argument, Value):
            raise Unknown(f"input {at} is a constant")
        return self.full(argument)

    def has(self, at: int) -> bool:
        return at < len(self.call.inputs) and bool(self.call.inputs[at])

    def array(self, at: int) -> Array:
        """An input that must be a constant. Raises Unknown."""
        constant = self.optional(at)
        if constant is None:
            raise Unknown(f"input {at} is missing")
        return constant

    def optional(self, at: int) -> Array | None:
        """An optional input that must be a constant. Raises Unknown."""
        if not self.has(at):
            return None
        argument = self._arguments[at]
        if not isinstance(argument, np.ndarray):
            raise Unknown(f"input {at} is computed, not a constant")
        return argument

    def integers(self, name: str, at: int | None = None) -> list[int] | None:
        """Integers from an attribute, or from an input in later opsets."""
        if name in self.call.attributes:
            return list(self.call.attributes[name])
        constant = self.optional(at) if at is not None else None
        return None if constant is None else [int(n) for n in constant.ravel()]

    def learned(self, at: int) -> bool:
        """True if an input is a tensor of the file, not a constant inside the graph.

        A single number is more often a setting than a parameter: it counts as learned only if the exporter says so.
        """
        origin, argument = self.origin(at), self._arguments[at]
        kind = self._reader.graph.kinds.get(origin)
        if kind is None and isinstance(argument, np.ndarray) and argument.size == 1:
            return False
        return bool(origin) and kind != "BUFFER"

    def origin(self, at: int) -> str:
        """The tensor of the file that a constant comes from; empty for a constant inside the graph."""
        return self._reader.origins.get(self.call.inputs[at], "")

    def scalar(self, at: int) -> float:
        """A constant of one number. Raises Unknown."""
        constant = self.array(at)
        self.expect(constant.size == 1, f"input {at} has {plural(constant.size, 'number')}")
        return float(str(constant.astype(np.float32).ravel()[0]))

    def is_value(self, name: str) -> bool:
        return isinstance(self._reader.bindings.get(name), Value)

    @staticmethod
    def axis(number: int, rank: int) -> int:
        """Convert an axis, which may be negative, to one counted from the front. Raises Unknown if out of range."""
        if not -rank <= number < rank:
            raise Unknown(f"axis {number} of {rank}")
        return number % rank

    expect = staticmethod(need)

    def charge_list(self, count: int) -> None:
        """Charge a list of `count` entries to the allowance. Raises Unknown if there are too many."""
        try:
            self._reader.allowance.take(LISTED * count)
        except Unfoldable:
            raise Unknown(f"a list of {count:,} entries") from None

    @property
    def leaves(self) -> bool:
        """True if its output is an output of the graph."""
        return any(name in self._reader.graph.outputs for name in self.call.outputs)

    def reads_output(self, at: int) -> bool:
        """True if an output is read, or is an output of the graph."""
        return at < len(self.call.outputs) and self.call.outputs[at] in self._reader.needed - {""}

    def only_first_output(self) -> None:
        """Raise Unknown if a further output is read."""
        if any(self.reads_output(at) for at in range(1, len(self.call.outputs))):
            raise Unknown("its second output is read")

    def emit(self, op: Op, *values: Value, **weights: Array) -> Value:
        """Add a node; return its only output."""
        (output,) = self.emit_all(op, *values, **weights)
        return output

    def emit_all(self, op: Op, *values: Value, **weights: Array) -> list[Value]:
        return self._reader.place(self.call, op, values, weights)

    def standard(self, x: Value) -> Value:
        """Rename the axes of x N, C and spatial by position, as in ONNX."""
        usual = ("N", "C", *SPATIAL.get(len(x.shape) - 2, ("?",)))
        return x if x.spec.axes == usual else self.reshape(x, x.shape)

    def rename_axes(self, x: Value, axes: Sequence[str]) -> Value:
        """Rename the axes of x; no entry moves."""
        if x.spec.axes == tuple(axes):
            return x
        usual = tuple(axes) == ("N", "C", *SPATIAL[len(x.shape) - 2])
        renamed = self.emit(Reshape(x.shape[1:], None if usual else "".join(axes[1:])), x)
        return dataclasses.replace(renamed, wide=x.wide)

    def features_last(self, x: Value) -> Value:
        """Rename the last axis of x C, for ops that mix or normalize channels."""
        space = SPATIAL[len(x.shape) - 2]
        return x if x.spec.axes[-1] == "C" else self.rename_axes(x, ("N", *space, "C"))

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """Broadcast x to a shape."""
        for axis, size, target in zip(x.spec.axes, x.shape, shape, strict=True):
            if size != target:
                self.expect(axis != "N" and size == 1 < target, "an image broadcast along the batch")
                self.charge_list(target)
                x = self.emit(Gather((0,) * target, axis), x)
        return x

    def full(self, x: Value) -> Value:
        """Broadcast x to its full shape."""
        return x if x.wide is None else self.broadcast(dataclasses.replace(x, wide=None), x.wide)

    def in_order(self, x: Value) -> Value:
        """Permute x so that its channel axis, by name, precedes its spatial axes."""
        usual = ("C", *SPATIAL[len(x.shape) - 2])
        return x if x.spec.axes[1:] == usual else self.emit(Permute("".join(usual)), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        if list(order) == list(range(len(x.shape))):
            return x
        if order[0] != 0:
            raise Unknown("the batch does not stay first")
        return self.emit(Permute("".join(x.spec.axes[k] for k in order[1:])), x)

    def reshape(self, x: Value, shape: Sequence[int], file_shape: Sequence[int] | None = None) -> Value:
        """Reshape x, batch included. file_shape: the shape in the file, with its -1."""
        if len(shape) < 2 or shape[0] != x.shape[0] or len(shape) - 2 not in SPATIAL or 0 in shape:
            raise Unknown(f"the shape {'x'.join(map(str, shape))} has no batch before its channels")
        usual = ("N", "C", *SPATIAL[len(shape) - 2])
        if tuple(shape) == x.shape and x.spec.axes == usual:
            return x
        if len(shape) == 2:
            return self.emit(Flatten(), x)
        sizes = tuple(shape[1:])
        if file_shape is not None and len(file_shape) == len(shape) and list(file_shape[1:]).count(-1) == 1:
            sizes = tuple(-1 if w == -1 else n for w, n in zip(file_shape[1:], sizes, strict=True))
        return self.emit(Reshape(sizes), x)
