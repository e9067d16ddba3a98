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

    wide: the shape that ONNX has broadcast it to; the value stays small for ops that broadcast anyway. held: the
    tensors of the file that skipped operators have used to compute it.
    """

    wide: tuple[int, ...] | None = None
    held: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Its shape in the graph, whether or not a TensorSpec can express it."""
        return self.wide or (self.known.shape if self.known else self.hidden)


Held = Value | Array | None
"""What a name of the graph refers to: a value, a constant, or a constant that was not folded."""


class Reading(Protocol):
    """The view that a site has of the imported graph."""

    graph: Graph
    allowance: Allowance
    held: dict[str, Held]
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
        self._given = [reader.held.get(name) if name else None for name in call.inputs]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.call.attributes.get(name, default)

    @property
    def slim(self) -> list[Value]:
        """The inputs that are values, in order, not yet broadcast."""
        return [given for given in self._given if isinstance(given, Value)]

    @property
    def data(self) -> list[Value]:
        """The inputs that are values, in order."""
        return [self.full(given) for given in self.slim]

    def value(self, at: int = 0) -> Value:
        """An input that must be a value. Raises Unknown."""
        given = self._given[at] if at < len(self._given) else None
        if not isinstance(given, Value):
            raise Unknown(f"input {at} is a constant")
        return self.full(given)

    def has(self, at: int) -> bool:
        return at < len(self.call.inputs) and bool(self.call.inputs[at])

    def array(self, at: int) -> Array:
        """An input that must be a constant. Raises Unknown."""
        found = self.optional(at)
        if found is None:
            raise Unknown(f"input {at} is missing")
        return found

    def optional(self, at: int) -> Array | None:
        """An optional input that must be a constant. Raises Unknown."""
        if not self.has(at):
            return None
        given = self._given[at]
        if not isinstance(given, np.ndarray):
            raise Unknown(f"input {at} is computed, not a constant")
        return given

    def integers(self, name: str, at: int | None = None) -> list[int] | None:
        """Integers from an attribute, or from an input in later opsets."""
        if name in self.call.attributes:
            return list(self.call.attributes[name])
        found = self.optional(at) if at is not None else None
        return None if found is None else [int(n) for n in found.ravel()]

    def learned(self, at: int) -> bool:
        """True if an input is a tensor of the file, not a constant inside the graph.

        A single number is more often a setting than a parameter: it counts as learned only if the exporter says so.
        """
        origin, held = self.origin(at), self._given[at]
        kind = self._reader.graph.kinds.get(origin)
        if kind is None and isinstance(held, np.ndarray) and held.size == 1:
            return False
        return bool(origin) and kind != "BUFFER"

    def origin(self, at: int) -> str:
        """The tensor of the file that a constant comes from; empty for a constant inside the graph."""
        return self._reader.origins.get(self.call.inputs[at], "")

    def scalar(self, at: int) -> float:
        """A constant of one number. Raises Unknown."""
        found = self.array(at)
        self.expect(found.size == 1, f"input {at} has {plural(found.size, 'number')}")
        return float(str(found.astype(np.float32).ravel()[0]))

    def is_value(self, name: str) -> bool:
        return isinstance(self._reader.held.get(name), Value)

    @staticmethod
    def axis(number: int, rank: int) -> int:
        """Convert an axis, which may be negative, to one counted from the front. Raises Unknown if out of range."""
        if not -rank <= number < rank:
            raise Unknown(f"axis {number} of {rank}")
        return number % rank

    expect = staticmethod(need)

    def listed(self, count: int) -> None:
        """Raise Unknown if an axis has too many entries to list."""
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
        (made,) = self.emit_all(op, *values, **weights)
        return made

    def emit_all(self, op: Op, *values: Value, **weights: Array) -> list[Value]:
        return self._reader.place(self.call, op, values, weights)

    def standard(self, x: Value) -> Value:
        """x with axes renamed N, C and spatial by position, as in ONNX."""
        usual = ("N", "C", *SPATIAL.get(len(x.shape) - 2, ("?",)))
        return x if x.spec.axes == usual else self.reshape(x, x.shape)

    def named(self, x: Value, axes: Sequence[str]) -> Value:
        """x with renamed axes; no entry moves."""
        if x.spec.axes == tuple(axes):
            return x
        usual = tuple(axes) == ("N", "C", *SPATIAL[len(x.shape) - 2])
        made = self.emit(Reshape(x.shape[1:], None if usual else "".join(axes[1:])), x)
        return dataclasses.replace(made, wide=x.wide)

    def features_last(self, x: Value) -> Value:
        """x with its last axis named C, for ops that mix or normalize channels."""
        space = SPATIAL[len(x.shape) - 2]
        return x if x.spec.axes[-1] == "C" else self.named(x, ("N", *space, "C"))

    def spread(self, x: Value, whole: Sequence[int]) -> Value:
        """x broadcast to a shape."""
        for axis, size, wanted in zip(x.spec.axes, x.shape, whole, strict=True):
            if size != wanted:
                self.expect(axis != "N" and size == 1 < wanted, "an image broadcast along the batch")
                self.listed(wanted)
                x = self.emit(Gather((0,) * wanted, axis), x)
        return x

    def full(self, x: Value) -> Value:
        """x broadcast to its full shape."""
        return x if x.wide is None else self.spread(dataclasses.replace(x, wide=None), x.wide)

    def in_order(self, x: Value) -> Value:
        """x with its channel axis before its spatial axes, by name."""
        usual = ("C", *SPATIAL[len(x.shape) - 2])
        return x if x.spec.axes[1:] == usual else self.emit(Permute("".join(usual)), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        if list(order) == list(range(len(x.shape))):
            return x
        if order[0] != 0:
            raise Unknown("the batch does not stay first")
        return self.emit(Permute("".join(x.spec.axes[k] for k in order[1:])), x)

    def reshape(self, x: Value, shape: Sequence[int], written: Sequence[int] | None = None) -> Value:
        """x reshaped, batch included; `written`: the shape in the file, with its -1."""
        if len(shape) < 2 or shape[0] != x.shape[0] or len(shape) - 2 not in SPATIAL or 0 in shape:
            raise Unknown(f"the shape {'x'.join(map(str, shape))} has no batch before its channels")
        usual = ("N", "C", *SPATIAL[len(shape) - 2])
        if tuple(shape) == x.shape and x.spec.axes == usual:
            return x
        if len(shape) == 2:
            return self.emit(Flatten(), x)
        wish = tuple(shape[1:])
        if written is not None and len(written) == len(shape) and list(written[1:]).count(-1) == 1:
            wish = tuple(-1 if w == -1 else n for w, n in zip(written[1:], wish, strict=True))
        return self.emit(Reshape(wish), x)
