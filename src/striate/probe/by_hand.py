"""The experiment by hand: what an electrode at one place of a node sees, and its response to single stimuli.

Behind the unit a max-pool can be put, as a complex cell pools over simple ones.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import StriateError, UsageError, setting
from striate.engine.interface import Engine
from striate.model import Model
from striate.network import Network, Node
from striate.ops import MaxPool
from striate.probe.electrode import (
    COLORS,
    PLACES,
    Electrode,
    Light,
    Place,
    check,
    measured,
    part_up_to,
    place_unit,
)
from striate.probe.experiment import record
from striate.probe.finite import finite
from striate.probe.recording import Recording
from striate.probe.stimuli import Blank, Screen, Slide, Slides, ladder

Array = NDArray[Any]

MAX_POOL = 16
"""Largest side of a pool over units."""
POOL = "pool_of_units"
"""Name of the node that pools."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A node that can be probed: the value that is read, its channels, and the height and width of its map."""

    node: str
    value: str
    units: int
    map: tuple[int, int]


def target(net: Network, node: str) -> Target:
    """What an electrode in a node reads. Raises as `probe` does for a node that cannot be probed."""
    one = net.node(node)
    check(net, one)
    value = measured(net, one)
    spec = net.specs[value]
    height, width = spec.spatial
    return Target(node, value, spec.channels, (height, width))


def targets(net: Network) -> list[Target]:
    """Every node that can be probed. Raises nothing."""
    found = []
    for node in net.nodes:
        try:
            found.append(target(net, node.name))
        except StriateError:
            continue
    return found


def places(net: Network, value: str, also: Sequence[tuple[int, int]] = ()) -> dict[str, Place]:
    """The named places of a map, and others as "row.column". A place that sees only padding is left out.

    Raises UsageError for another place that is not on the map.
    """
    part = part_up_to(net, value)
    found: dict[str, Place] = {
        f"{row}.{column}": place_unit(part, value, (row, column)) for row, column in also
    }
    for name in PLACES:
        try:
            found[name] = place_unit(part, value, name)
        except UsageError:
            continue
    return found


def amplitudes(light: Light) -> dict[str, list[float]]:
    """Axis of color -> amplitude of each channel of a screen; luminance alone where it has no colors."""
    amplitude: list[float] = light.amplitude.tolist()
    if len(amplitude) != len(COLORS["luminance"]):
        return {"luminance": amplitude}
    return {color: [a * w for a, w in zip(amplitude, weights)] for color, weights in COLORS.items()}


class Hand:
    """An electrode at one place of a node, for stimuli that are shown one by one."""

    def __init__(
        self, model: Model, node: str, at: str | tuple[int, int] = "center", engine: Engine | None = None
    ) -> None:
        """engine: instead of the model's. Raises as `probe`."""
        net = model.net
        self.target = target(net, node)
        part = part_up_to(net, self.target.value)
        self.place = place_unit(part, self.target.value, at)
        self._shift = 0.0, 0.0
        shown = self.place
        if shown.surround:  # pixels outside of the field count, so that all of the screen is drawn
            height, width = net.input.size("H"), net.input.size("W")
            whole = Screen((0, height - 1), (0, width - 1))
            self._shift = (
                _center(shown.screen)[0] - _center(whole)[0],
                _center(shown.screen)[1] - _center(whole)[1],
            )
            shown = dataclasses.replace(shown, screen=whole)
        self._electrode = Electrode(
            engine or model.engine,
            part,
            model.weights.current(),
            self.target.value,
            shown,
            Light.of(model, 1.0),
        )

    @property
    def colors(self) -> tuple[str, ...]:
        """Axes of color of the screen."""
        return self._electrode.colors

    @functools.cached_property
    def _blank(self) -> Array:
        return self._electrode.show(Blank())

    def responses(self, slides: Sequence[Slide], color: str = "luminance") -> Array:
        """Responses (K, n) of all channels to slides, whose place counts from the center of the field; column 0 is the
        response to the blank screen, so that n is one more. Raises OpError for responses that are not finite,
        UsageError for an axis of color that the screen does not have.
        """
        if color not in self.colors:
            raise UsageError(
                f"the screen has no axis of color {color}",
                why="red, green and blue need three channels"
                if color in COLORS
                else f"there are {', '.join(COLORS)}",
                fix=f"{setting('color')} is {' or '.join(self.colors)}",
            )
        right, up = self._shift
        moved = tuple(dataclasses.replace(one, x=one.x + right, y=one.y + up) for one in slides)
        found = [self._blank, *([self._electrode.show(Slides(moved), color)] if moved else [])]
        return finite(np.concatenate(found, axis=1), self.target.value)


def _center(screen: Screen) -> tuple[float, float]:
    """x to the right and y upward of a screen's center, from the upper left pixel of the image."""
    return sum(screen.columns) / 2, -sum(screen.rows) / 2


def pooled(
    model: Model, node: str, size: int, *, at: str | tuple[int, int] = "center", seed: int = 0,
    trained: bool | None = None, watch: Callable[[int, int], object] | None = None,
) -> Recording:  # fmt: skip
    """Record from a max-pool over size x size neighbors of a unit, put after the value that is read of its node.

    The gratings have the frequencies of the unit itself, so that the recordings of all sizes can be compared. Arguments
    and errors: as `experiment.record`; UsageError for a pool that is larger than the map.
    """
    net = model.net
    read = target(net, node)
    most = min(MAX_POOL, *read.map)
    if not 1 <= size <= most:
        raise UsageError(
            f"a pool of {size} x {size} does not fit",
            where=read.value,
            why=f"its map is {read.map[0]} x {read.map[1]}, and a pool takes at most {MAX_POOL} x {MAX_POOL}",
            fix=f"take a pool of 1 to {most}",
        )
    part = part_up_to(net, read.value)
    place = place_unit(part, read.value, at)
    frequencies = ladder(place.screen, None)
    if size == 1:
        return record(model, node, at=at, frequencies=frequencies, seed=seed, trained=trained, watch=watch)
    name = POOL
    while any(name in (one.name, *one.outputs) for one in part.nodes) or name in part.inputs:
        name += "_"
    behind = Node(name, MaxPool(size, stride=1), (read.value,))
    net = dataclasses.replace(part, nodes=(*part.nodes, behind), outputs=behind.outputs)
    weights = model.weights.current()
    larger = Model(net, weights={key: weights[key] for key in net.parameters}, engine=model.engine)
    larger.transform = model.transform
    row, column = (
        min(max(index - (size - 1) // 2, 0), count - size)
        for index, count in zip((place.row, place.column), read.map)
    )
    return record(
        larger, name, at=(row, column), frequencies=frequencies, seed=seed, trained=trained, watch=watch
    )
