"""An electrode in a network: which value is read, of which unit, what the unit sees, and how it is shown an image.

The part of the network up to the value runs on the model's engine. If the unit sees no border, only the part of the
input that it sees is computed.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis.fields import Fields, ancestors, exact_field, receptive_fields
from striate.diagnostics import OpError, StriateError, UsageError
from striate.engine.interface import Engine
from striate.model import Model
from striate.network import Network, Node
from striate.op import Trait
from striate.probe.stimuli import Screen, Stimuli
from striate.tensor import TensorSpec
from striate.transforms import Transform

Array = NDArray[Any]
Watch = Callable[[int], object]
"""Called with the number of images that were shown."""

MAX_BATCH_IMAGES, MAX_BATCH_PIXELS = 64, 1 << 22
MAX_UNIT_STD = 0.5
"""Largest standard deviation of numbers between 0 and 1."""
PLACES = ("center", "edge", "corner")
AXES = ("H", "W")


@dataclasses.dataclass(frozen=True)
class Place:
    """A unit's position in its map, what it sees of the image, and whether its whole field lies inside.

    surround: whether pixels outside of the field change the response, as through a gate with global pooling.
    """

    row: int
    column: int
    screen: Screen
    inside: bool
    surround: bool


def measured(net: Network, node: Node) -> str:
    """The value to read: that after the normalization and the activation which alone follow a linear node.

    A cell fires after its nonlinearity; a value without one has no mean response to compare the modulation with.
    """
    value = node.outputs[0]
    while node.op.traits & Trait.LINEAR or Trait.NORMALIZATION in node.op.traits:
        readers = net.consumers[value]
        if len(readers) != 1 or value in net.outputs:
            break
        (reader,) = readers
        traits = reader.op.traits
        if len(reader.inputs) != 1 or not any(
            trait in traits for trait in (Trait.ACTIVATION, Trait.NORMALIZATION, Trait.TRANSPARENT)
        ):
            break
        node, value = reader, reader.outputs[0]
    return value


def check(net: Network, node: Node) -> None:
    """Raise the reason if a node cannot be probed."""
    if len(net.inputs) > 1:
        raise UsageError(
            f"{net.name} cannot be probed: it has several inputs",
            why=f"stimuli are shown on one screen, the inputs are {', '.join(net.inputs)}",
            fix="probe a network with one input, such as one of its branches",
        )
    (spec,) = net.inputs.values()
    if spec.spatial_axes != AXES:
        raise UsageError(
            f"{net.name} cannot be probed: its input {spec} is not an image",
            why="gratings and bars have an orientation only on a screen with height and width",
            fix="probe a network whose input has height, width and channels",
        )
    known_in_front(net, node, f"{node.name} cannot be probed")
    output = net.inference.specs[node.outputs[0]]
    if output.spatial_axes != AXES or len(output.shape) != 4:
        raise OpError(
            f"{node.name} has no map",
            why=f"its output {output} has no height and width, so its units have no place on the screen",
            fix=_instead(net, ancestors(net, node.outputs[0]))
            or "probe a node whose output has height and width",
        ).at(node.name, f"{node.name} = {node.op}", node.place)


def known_in_front(net: Network, node: Node, cannot: str) -> None:
    """Raise OpError if a node has several outputs, or cannot be computed because one in front of it is opaque.

    cannot: what is not possible then, `conv3 cannot be probed`.
    """
    for name in [*reversed(ancestors(net, node.outputs[0]))]:
        declaration = net.inference.declarations.get(name)
        if declaration is not None and not declaration.statements:
            opaque = net.node(name)
            raise OpError(
                f"{cannot}: {name} is opaque",
                why=f"{opaque.op} is known by its name and shape only, so nothing after it can be computed",
                fix=_instead(net, [*ancestors(net, name)][1:])
                or "replace it by operators that Striate knows",
            ).at(name, f"{name} = {opaque.op}", opaque.place)
    if node.outputs[0] not in net.inference.specs:
        raise net.inference.problems[0]
    if len(node.outputs) > 1:
        raise OpError(
            f"{node.name} has several outputs",
            why=f"they are {', '.join(node.outputs)}",
            fix="take a node that reads one of them",
        ).at(node.name, f"{node.name} = {node.op}", node.place)


def _instead(net: Network, names: Sequence[str] | Mapping[str, None]) -> str:
    """The nearest of some nodes that can be probed and have more than one place, as a fix."""
    for name in names:
        (value, *more) = net.node(name).outputs
        spec = net.inference.specs.get(value)
        if not more and spec is not None and spec.spatial_axes == AXES and max(spec.spatial) > 1:
            return f"take {name}, a node in front of it"
    return ""


def part_up_to(net: Network, *values: str) -> Network:
    """The nodes that some values come from, with these as the only outputs."""
    names = {name for value in values for name in ancestors(net, value)}
    nodes = tuple(node for node in net.nodes if node.name in names)
    if any(node.shares for node in nodes):
        nodes = net.nodes  # an owner of parameters may be elsewhere
    return dataclasses.replace(net, nodes=nodes, outputs=values, aliases={})


def place_unit(net: Network, value: str, at: str | tuple[int, int]) -> Place:
    """The unit in the middle of the map whose field lies inside the image, or at a position.

    at: "center"; "edge" (left, middle row); "corner" (upper left); or (row, column). If no field lies inside, the
    center is the unit in the middle. Raises UsageError for another position.
    """
    spec, image = net.specs[value], net.input
    height, width = spec.spatial
    fields = receptive_fields(net)[value]
    if at in PLACES:
        middle = tuple(_middle(fields, axis, n, image.size(axis)) for axis, n in zip(AXES, (height, width)))
        row, column = {"center": middle, "edge": (middle[0], 0), "corner": (0, 0)}[str(at)]
    else:
        try:
            row, column = (int(n) if isinstance(n, str) else operator.index(n) for n in at)
        except (TypeError, ValueError):
            row, column = -1, -1
        if not (0 <= row < height and 0 <= column < width):
            several = isinstance(at, Sequence) and not isinstance(at, str)
            raise UsageError(
                f"{value} has no unit at {', '.join(map(str, at)) if several else at}",
                why=f"its map has {height} rows and {width} columns, counted from 0",
                fix=f"take {', '.join(PLACES)} or a row and a column that the map has",
            )
    spans = spans_of(fields, image, (row, column))
    clipped = [(max(lo, 0), min(hi, image.size(axis) - 1)) for axis, (lo, hi) in zip(AXES, spans)]
    if any(lo > hi for lo, hi in clipped):
        raise UsageError(
            f"the unit of {value} at {row}, {column} sees only padding",
            why="no pixel of the image lies in its field",
            fix="take the center",
        )
    exact = exact_field(net, value, (row, column))
    surround = any(
        exact[axis] and (exact[axis][0] < lo or exact[axis][-1] > hi) for axis, (lo, hi) in zip(AXES, clipped)
    )
    return Place(row, column, Screen(*clipped), clipped == spans, surround)


def spans_of(fields: Fields, image: TensorSpec, at: Sequence[int]) -> list[tuple[int, int]]:
    """First and last row, and column, that a unit sees; those beyond the image are padding.

    at: its row and column; an axis that no axis of its map carries is seen whole.
    """
    return [
        fields[axis].field.span(i) if fields[axis].axis else (0, image.size(axis) - 1)
        for axis, i in zip(AXES, at, strict=True)
    ]


def _middle(fields: Fields, axis: str, units: int, pixels: int) -> int:
    """The unit nearest to the center of the image, of those whose field lies inside if there are any."""
    if fields[axis].axis is None:
        return units // 2
    spans = [fields[axis].field.span(i) for i in range(units)]
    inside = [i for i, (lo, hi) in enumerate(spans) if lo >= 0 and hi < pixels]
    return min(inside or range(units), key=lambda i: abs(sum(spans[i]) - (pixels - 1)))


def cropped(net: Network, value: str, place: Place) -> tuple[Network, Place]:
    """The network on the smallest input on which the unit sees the same, and the unit there; else both unchanged."""
    if not place.inside or place.surround:
        return net, place
    fields = receptive_fields(net)[value]
    at, spans = [], []
    for axis, i in zip(AXES, (place.row, place.column)):
        if fields[axis].axis is None:
            return net, place
        period = len(fields[axis].field.spans)
        k = i % period
        while fields[axis].field.span(k)[0] < 0:
            k += period
        at.append(k)
        spans.append(fields[axis].field.span(k))
    sizes = [hi + 1 for _, hi in spans]
    (spec,) = net.inputs.values()
    if sizes[0] * sizes[1] >= spec.size("H") * spec.size("W"):
        return net, place
    small = net.with_input((spec.channels, *sizes))
    try:
        now = receptive_fields(small)[value]
        same = (
            not small.inference.problems
            and {n: p.shape for n, p in small.parameters.items()}
            == {n: p.shape for n, p in net.parameters.items()}
            and all(k < n for k, n in zip(at, small.specs[value].spatial))
            and all(
                now[axis].axis and now[axis].field.span(k) == span for axis, k, span in zip(AXES, at, spans)
            )
            and exact_field(small, value, at)
            == {a: _moved(rows, span) for (a, rows), span in zip(_rows(net, value, place), spans)}
        )
    except (StriateError, KeyError):  # a layer that is made for the size of the image
        same = False
    return (small, Place(at[0], at[1], Screen(*spans), True, False)) if same else (net, place)


def _rows(net: Network, value: str, place: Place) -> list[tuple[str, tuple[int, ...]]]:
    exact = exact_field(net, value, (place.row, place.column))
    return [(axis, exact[axis]) for axis in AXES]


def _moved(rows: tuple[int, ...], span: tuple[int, int]) -> tuple[int, ...]:
    """Rows of a field after the field has moved to `span`."""
    return tuple(row - rows[-1] + span[1] for row in rows)


@dataclasses.dataclass(frozen=True)
class Light:
    """Gray and amplitude of the stimuli for each channel, in the range that the model was trained on."""

    gray: Array
    amplitude: Array
    transform: Transform

    @classmethod
    def of(cls, model: Model, contrast: float) -> Light:
        """Half of the range of an image, which is 0 to 1; of other numbers, two standard deviations around the mean."""
        transform = Transform.from_dict(model.transform) if model.transform else Transform()
        transform = transform.pixelwise
        normalize = transform.normalize
        channels = model.net.input.channels
        if normalize is not None:
            channels = len(normalize.mean)
            mean, std = np.array(normalize.mean), np.array(normalize.std)
            if (mean < 0).any() or (mean > 1).any() or (std > MAX_UNIT_STD).any():
                return cls(mean, 2 * std * contrast, transform)
        return cls(np.full(channels, 0.5), np.full(channels, 0.5 * contrast), transform)


COLORS: Mapping[str, tuple[float, ...]] = {
    "luminance": (1.0, 1.0, 1.0),
    "red-green": (1.0, -1.0, 0.0),
    "blue-yellow": (-0.5, -0.5, 1.0),
}
"""Axis of color -> amplitude of red, green and blue."""


class Electrodes:
    """Shows stimuli to several networks that differ in their weights, and reads all channels of some of their values,
    each at one place.

    sites: value -> place; screen: the part of the image that stimuli fill.
    """

    def __init__(
        self, engine: Engine, net: Network, weights: Sequence[Mapping[str, Array]], sites: Mapping[str, Place],
        screen: Screen, light: Light,
    ) -> None:  # fmt: skip
        self.net, self.sites, self.screen, self.light = net, sites, screen, light
        self.programs = [
            engine.compile(net, {name: held[name] for name in net.parameters}) for held in weights
        ]

    @property
    def colors(self) -> tuple[str, ...]:
        """Axes of color that this screen has: luminance first."""
        return tuple(COLORS) if len(self.light.gray) == len(COLORS["luminance"]) else ("luminance",)

    def amplitude(self, color: str) -> Array:
        """Of stimuli in an axis of color, for each channel."""
        weights = COLORS[color] if len(self.colors) > 1 else (1.0,) * len(self.light.gray)
        return np.asarray(self.light.amplitude * np.array(weights))

    def images(self, patterns: Array, amplitude: Array) -> Array:
        """Images (n, C, H, W) as the network takes them: patterns (n, rows, columns) of the screen on gray.

        amplitude: (C,) for all, or (n, C).
        """
        (spec,) = self.net.inputs.values()
        (top, bottom), (left, right) = self.screen.rows, self.screen.columns
        images = np.empty((len(patterns), len(self.light.gray), spec.size("H"), spec.size("W")), np.float32)
        images[:] = self.light.gray[:, None, None]
        strength = np.broadcast_to(amplitude, images.shape[:2])[:, :, None, None]
        images[:, :, top : bottom + 1, left : right + 1] += strength * patterns[:, None]
        return self.light.transform(images)

    def show_all(
        self, stimuli: Stimuli, color: str = "luminance", watch: Watch | None = None
    ) -> list[dict[str, Array]]:
        """Of each network, value -> responses (K, *stimuli.shape) of all channels, as the network computes them."""
        (spec,) = self.net.inputs.values()
        amplitude, count = self.amplitude(color), int(np.prod(stimuli.shape))
        pixels = len(self.light.gray) * spec.size("H") * spec.size("W")
        batch = max(1, min(count, MAX_BATCH_IMAGES, MAX_BATCH_PIXELS // pixels))
        channels = {value: self.net.specs[value].channels for value in self.sites}
        responses = [
            {v: np.empty((count, k), np.float32) for v, k in channels.items()} for _ in self.programs
        ]
        for start in range(0, count, batch):
            shown = min(batch, count - start)
            # Always as many: another batch size would be planned again.
            indices = np.minimum(np.arange(start, start + batch), count - 1)
            images = self.images(stimuli.draw(self.screen, indices), amplitude)
            for network, held in enumerate(responses):
                for value, read in self.read(images, network).items():
                    held[value][start : start + shown] = read[:shown]
                if watch:
                    watch(shown)
        return [
            {value: rows.T.astype(np.float64).reshape(-1, *stimuli.shape) for value, rows in held.items()}
            for held in responses
        ]

    def read(self, images: Array, network: int = 0) -> dict[str, Array]:
        """Value -> responses (N, K) to images as the network takes them."""
        values = self.programs[network].values(images, [*self.sites])
        return {value: values[value][:, :, at.row, at.column] for value, at in self.sites.items()}


class Electrode(Electrodes):
    """Shows stimuli to the field of one unit and reads all channels of its value there."""

    def __init__(
        self, engine: Engine, net: Network, weights: Mapping[str, Array], value: str, place: Place, light: Light
    ) -> None:  # fmt: skip
        net, self.place = cropped(net, value, place)
        self.value = value
        super().__init__(engine, net, [weights], {value: self.place}, self.place.screen, light)

    def show(self, stimuli: Stimuli, color: str = "luminance", watch: Watch | None = None) -> Array:
        """Responses (K, *stimuli.shape) of all channels, as the network computes them."""
        return self.show_all(stimuli, color, watch)[0][self.value]
