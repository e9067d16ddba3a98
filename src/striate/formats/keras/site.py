"""One layer call during import: its values, which track Keras' axis order, and helpers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import plural
from striate.formats import importing
from striate.formats.importing import Unknown, need
from striate.formats.keras.graph import Layer
from striate.formats.names import legal
from striate.op import Op
from striate.ops.merge import Concat
from striate.ops.reshape import Flatten, Permute, Reshape, Slice
from striate.tensor import SPATIAL

if TYPE_CHECKING:
    from striate.formats.keras.reading import Reader

Array = NDArray[Any]
Order = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Value(importing.Value):
    """A value of the network. order: Keras' axis k is its axis order[k].

    parts: shapes (H, W, C) of the images that a flat value was made of, each stored with channels outermost; empty if
    the order is Keras'.
    """

    order: Order = ()
    parts: tuple[tuple[int, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in Keras, batch first."""
        return tuple(self.spec.shape[k] for k in self.order)

    @property
    def columns(self) -> Array | slice:
        """Keras' index of each entry of a flat value."""
        if not self.parts:
            return slice(None)
        indices, start = [], 0
        for part in self.parts:
            count = math.prod(part)
            indices.append(np.moveaxis(np.arange(start, start + count).reshape(part), -1, 0).ravel())
            start += count
        return np.concatenate(indices)


def standard_order(rank: int, last: bool) -> Order:
    """The standard axis order: channels first here, last in Keras if `last`."""
    return (0, *range(2, rank), 1) if last and rank > 2 else tuple(range(rank))


class Site:
    """One call during import: its arguments, its configuration, and `emit`, which adds its nodes."""

    def __init__(self, reader: Reader, layer: Layer, path: tuple[Layer, ...], items: Sequence[Any]) -> None:
        self.layer, self.config, self.old = layer, layer.config, reader.graph.old
        self._reader, self._path, self.items = reader, path, items
        format = layer.config.get("data_format")
        self.last = reader.graph.last if format is None else format == "channels_last"
        self.name = reader.names.take(legal(".".join(part.name for part in (*path, layer))) or "layer")
        self.placed = False
        self.count = 0
        """Nodes with weights so far; every call of the layer makes them in the same order."""

    @property
    def values(self) -> list[Value]:
        """The values that it reads, in order."""
        return [item for item in self.items if isinstance(item, Value)]

    @property
    def value(self) -> Value:
        """Its only input. Raises Unknown."""
        self.expect(len(self.values) == 1 == len(self.items), "it has more than one input")
        return self.values[0]

    @property
    def image(self) -> Value:
        """Its only input, axes in the standard order of its data format."""
        x = self.value
        self.expect(len(x.shape) > 2, f"its input {'x'.join(map(str, x.shape[1:]))} is not an image")
        return self.permute(x, standard_order(len(x.shape), self.last))

    expect = staticmethod(need)

    def unknown(self, why: str) -> NoReturn:
        raise Unknown(why)

    def get(self, name: str, default: Any = None) -> Any:
        value = self.config.get(name)
        return default if value is None else value

    def sizes(self, name: str, rank: int, default: int = 1) -> tuple[int, ...]:
        """Read a setting with one number per spatial axis."""
        sizes = self.get(name, default)
        return tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,) * rank

    def number(self, name: str, default: float = 0.0) -> float:
        return float(self.get(name, default))

    # -------------------------------------------------------------------------------------------------- weights

    def variables(self, *names: str) -> Callable[[str], Array]:
        """The layer's variables in Keras' order; an empty name stands for one that it lacks."""
        present = [name for name in names if name]

        def get(name: str) -> Array:
            return self._reader.variable(self._path, self.layer, present, name)

        return get

    # -------------------------------------------------------------------------------------------------- nodes

    @property
    def place(self) -> tuple[str, ...]:
        """The path of the layer from the outermost model: the same for every call."""
        return tuple(part.name for part in self.layers)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The models that contain the layer, outermost first, and the layer."""
        return (*self._path, self.layer)

    def emit(self, op: Op, *values: Value, suffix: str = "", **weights: Callable[[], Any]) -> Value:
        """Add a node with the standard axis order. suffix: added to the layer's name."""
        return self.usual(self._reader.place(self, op, values, weights, suffix))

    def along(
        self,
        op: Op,
        x: Value,
        suffix: str = "",
        constants: Collection[str] = (),
        **weights: Callable[[], Any],
    ) -> Value:
        """Add an elementwise node, which keeps the axis order. constants: parameters that are constant."""
        y = self._reader.place(self, op, (x,), weights, suffix, constants)
        return dataclasses.replace(y, order=x.order, parts=x.parts)

    def usual(self, x: Value) -> Value:
        """Declare that x has the standard axis order."""
        return (
            x
            if x.known is None
            else dataclasses.replace(x, order=standard_order(len(x.spec.shape), self.last))
        )

    def permute(self, x: Value, order: Order, by_position: bool = True) -> Value:
        """Permute x to this axis order. by_position: rename its axes N, C and spatial."""
        if x.parts:
            x = self.plain(x)
        axes = [x.order[order.index(k)] for k in range(len(order))]
        self.expect(axes[0] == 0, "the batch does not stay first")
        spec = x.spec
        if axes != sorted(axes):
            x = self._helper(Permute("".join(spec.axes[k] for k in axes[1:])), x)
        return dataclasses.replace(self._rename_axes(x) if by_position else x, order=order)

    def _rename_axes(self, x: Value) -> Value:
        """Rename the axes of x N, C and spatial, by position."""
        shape = x.spec.shape
        if x.spec.axes == ("N", "C", *SPATIAL.get(len(shape) - 2, ("?",))):
            return x
        self.expect(len(shape) - 2 in SPATIAL, f"{plural(len(shape), 'axis', 'axes')}")
        return self._helper(Reshape(shape[1:]), x)

    def _helper(self, op: Op, *values: Value) -> Value:
        """Add a helper node before the layer's node, which keeps the layer's name."""
        return self._reader.place(self, op, values, {}, op.word)

    def standard(self, x: Value) -> Value:
        """Permute x to the standard axis order."""
        return self.permute(x, standard_order(len(x.shape), self.last))

    def with_channels(self, x: Value, axis: int) -> Value:
        """Permute x so that Keras' axis `axis` is its channel axis."""
        self.expect(-len(x.shape) <= axis < len(x.shape), f"axis {axis}")
        axis %= len(x.shape)
        self.expect(axis > 0, "it acts on the batch axis")
        if x.order[axis] == 1 and x.spec.axes[1] == "C":
            return x
        rest = iter((0, *range(2, len(x.shape))))
        return self.permute(x, tuple(1 if k == axis else next(rest) for k in range(len(x.shape))))

    def plain(self, x: Value) -> Value:
        """Permute the entries of a flat value to Keras' order."""
        if not x.parts:
            return x
        pieces, start = [], 0
        for part in x.parts:
            stop, piece = start + math.prod(part), x
            if len(x.parts) > 1:
                piece = self._helper(Slice("C", start, stop), x)
            if len(part) > 1:
                *space, channels = part
                piece = self._helper(Reshape((channels, *space)), piece)
                piece = self._helper(Permute("".join((*piece.spec.axes[2:], "C"))), piece)
                piece = self._helper(Flatten(), piece)
            pieces.append(piece)
            start = stop
        if len(pieces) > 1:
            pieces = [self._helper(Concat(), *pieces)]
        return dataclasses.replace(pieces[0], order=(0, 1), parts=())
