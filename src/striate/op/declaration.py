"""Declaration of an op for known inputs, and what is derived from it: cost, windows, and which axis reads which."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from striate.geometry import AxisMap, Nearest, Shift, TransposedWindow, Whole, Window
from striate.statement import Affine, Call, Index, Load, Statement, Tap
from striate.tensor import Parameter, TensorSpec

if TYPE_CHECKING:
    from striate.op.base import Op


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one input axis is read: by output axis `axis` through `map`; `axis` None: every output reads all of it.

    `map` None is the identity, or, without an axis, that only the shape is read (a crop's second input). `context`: in
    addition, something global is read (a norm's statistics).
    """

    axis: str | None
    map: AxisMap | None = None
    context: bool = False


@dataclasses.dataclass(frozen=True)
class Noise:
    """A random tensor that training draws: 1 / (1 - rate) with probability 1 - rate, else 0."""

    name: str
    shape: tuple[int, ...]
    rate: float


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Outputs, parameters and statements of an op for known inputs. The rest is derived.

    In training an op may also draw `noise`, and `updates` names the tensor that replaces a running statistic. An op
    without statements may declare its cost, `more_params` and `more_macs`; `uncounted` names the unknown ones of
    params, macs and memory.
    """

    op: Op
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: tuple[Parameter, ...] = ()
    statements: tuple[Statement, ...] = ()
    noise: tuple[Noise, ...] = ()
    updates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    more_params: int = 0
    more_macs: int = 0
    uncounted: tuple[str, ...] = ()

    @functools.cached_property
    def params(self) -> int:
        """Learned numbers, without those that belong to another node."""
        count = sum(parameter.elements for parameter in self.parameters if parameter.counted)
        return count + self.more_params

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates with a weight, per image: the volume of every sum of products with a parameter."""
        names = {parameter.name for parameter in self.parameters}
        total = self.more_macs
        for statement in self.statements:
            match statement.value:
                case Call("mul", args) if statement.reduce == "sum":
                    if any(isinstance(arg, Load) and arg.tensor in names for arg in args):
                        total += statement.domain.volume // statement.domain.free.get("n", 1)
        return total

    @functools.cached_property
    def windows(self) -> dict[str, Window | TransposedWindow]:
        """The windows that slide over the first input, keyed by its spatial axis."""
        spatial = self.inputs[0].spatial_axes if self.inputs else ()
        readings = self.readings[0] if spatial else {}
        return {a: m for a in spatial if isinstance(m := readings[a].map, Window | TransposedWindow)}

    @functools.cached_property
    def readings(self) -> tuple[dict[str, Reading], ...]:
        """Per input: its axis -> how the first output reads it, derived from the statements' accesses."""
        return tuple(
            self._readings("y0", f"x{port}", spec, self.outputs[0]) for port, spec in enumerate(self.inputs)
        )

    def readings_of(self, output: int) -> tuple[dict[str, Reading], ...]:
        """`readings` of another output."""
        spec = self.outputs[output]
        return tuple(self._readings(f"y{output}", f"x{port}", x, spec) for port, x in enumerate(self.inputs))

    def _readings(self, target: str, source: str, x: TensorSpec, y: TensorSpec) -> dict[str, Reading]:
        by_axis: dict[str, list[Reading]] = {axis: [] for axis in x.axes}
        self._collect(
            target,
            source,
            x,
            dict(zip(y.axes, y.shape, strict=True)),
            {axis: Reading(axis) for axis in y.axes},
            by_axis,
        )
        return {axis: _strongest(readings, x.size(axis)) for axis, readings in by_axis.items()}

    def _collect(
        self,
        target: str,
        source: str,
        x: TensorSpec,
        axes: Mapping[str, int],
        outer: Mapping[str, Reading],
        by_axis: dict[str, list[Reading]],
    ) -> None:
        """Follow the statements that compute `target` back to `source`, through temporaries."""
        for statement in self.statements:
            if statement.target != target:
                continue
            for load in statement.loads:
                if load.tensor == source:
                    for axis, index in zip(x.axes, load.index, strict=True):
                        reading = _reading(statement, axes, index, x.size(axis))
                        by_axis[axis].append(_compose(outer, reading, strict=axis in x.spatial_axes))
                elif load.tensor.startswith("t") and load.tensor[1:].isdigit():
                    names = tuple(f"{load.tensor}.{k}" for k in range(len(load.index)))
                    inner = {
                        name: _compose(outer, _reading(statement, axes, index, 0))
                        for name, index in zip(names, load.index, strict=True)
                    }
                    self._collect(load.tensor, source, x, dict.fromkeys(names, 0), inner, by_axis)


def _reading(statement: Statement, axes: Mapping[str, int], index: Index, size: int) -> Reading:
    """How the target axes of one statement read the axis that `index` addresses; sizes of temporaries are 0."""
    for (axis, extent), target in zip(axes.items(), statement.index, strict=True):
        match target, index:
            case Affine(), Affine() if (
                target.terms and target == index and 0 in (size, extent, size - extent)
            ):
                return Reading(axis)
            case Affine(terms=((name, 1),), divisor=1, modulus=0), Affine() if name == index.variable:
                return Reading(axis, Shift(size, target.offset, extent - size - target.offset))
            case Affine(), Tap(map=axis_map, out=out) if target.variable == out:
                return Reading(axis, axis_map)
            case Tap(map=Window() as w, out=out), Affine() if index.variable == out:
                extra = w.input - ((size - 1) * w.stride + w.extent - w.before - w.after)
                return Reading(
                    axis, TransposedWindow(size, w.kernel, w.stride, w.dilation, w.before, w.after, extra)
                )
            case Affine(terms=((first, factor), _), divisor=1, modulus=0), Affine() if (
                factor > 1 and first == index.variable
            ):
                return Reading(axis, Nearest(size, size * factor, Fraction(factor)))
            case Affine(), Affine(terms=((first, factor), _), divisor=1, modulus=0) if (
                factor > 1 and target.variable == first
            ):
                return Reading(axis, Window(size, factor, factor))
    return Reading(None)


def _compose(outer: Mapping[str, Reading], inner: Reading, strict: bool = True) -> Reading:
    """One reading after another. A window of a window is not a one-axis map: it reads all, or is refused if
    `strict`."""
    if inner.axis is None or outer[inner.axis].axis is None:
        return Reading(None)
    through = outer[inner.axis]
    if through.map is not None and inner.map is not None:
        if not strict:  # channels of a group, read through the group's mean
            return Reading(None)
        raise TypeError("a statement cannot read a window of a window; declare two ops")
    return Reading(through.axis, through.map or inner.map)


def _strongest(readings: list[Reading], size: int) -> Reading:
    """The local reading of several, windows before the identity; global ones next to it are context."""
    local = [reading for reading in readings if reading.axis is not None]
    if not local:
        return Reading(None, Whole(size) if readings else None)
    best = next((reading for reading in local if reading.map is not None), local[0])
    return dataclasses.replace(best, context=len(local) < len(readings))
