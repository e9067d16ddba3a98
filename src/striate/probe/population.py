"""The population: tuning of all units of a network, compared with untrained and shuffled networks.

One pass over the gratings serves all channels of all nodes of all networks.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import weights as arrays
from striate.diagnostics import StriateError, UsageError, setting, warn
from striate.engine.inputs import as_count
from striate.formats.with_weights import initializer_of, with_weights
from striate.model import Model
from striate.network import Network
from striate.op import Trait
from striate.probe import maps, stimuli, tuning
from striate.probe.differences import Difference, differences
from striate.probe.electrode import (
    Electrodes,
    Light,
    Place,
    check,
    cropped,
    measured,
    part_up_to,
    place_unit,
)
from striate.probe.experiment import SILENT_SHARE, checked_contrast, color_of
from striate.probe.finite import finite
from striate.probe.population_results import (
    CONTROLS,
    GIVEN,
    HISTOGRAMS,
    SHUFFLED,
    NodePopulation,
    Population,
    Sample,
)
from striate.signatures import explain_misuse

Array = NDArray[Any]

SEEDS, MAX_SEEDS = 5, 100
MAX_RESPONSES = 1 << 25
"""Responses to gratings that are held at a time; more networks than that go one after another."""
LONG_MACS = 5e12
"""Multiply-accumulates from which on a population takes minutes: it says so before it begins."""


@explain_misuse
def population(
    model: Any, *, node: str | Sequence[str] = "", seeds: int = SEEDS,
    frequencies: Sequence[float] | None = None, contrast: float = 1.0, seed: int = 0,
) -> Population:  # fmt: skip
    """Measure the tuning of all units of a network, and compare it with the same architecture without training.

    model: a `Model`, or what it takes. node: names of nodes, by default all that have a map of more than one place.
    seeds: how many untrained networks, and how many with the weights of each filter shuffled, are the controls.
    frequencies: of gratings, by default 8 from one cycle per largest field to 0.45 cycles per pixel, the same for all
    nodes. contrast: 0 to 1, of half the range of an image. seed: of fresh weights where the source has none; controls
    have the seeds after it. Warns before it begins if it takes minutes.

    Gratings fill the fields of all nodes and are shown once; of each node the unit in the middle is read, all channels.
    Raises OpError for a named node without a map, UsageError for a network or a setting that cannot be used. The
    measures are described in docs/probe.md.

    >>> import striate as st
    >>> found = st.population("12x12x1 -> conv 5x5 4 -> relu", seeds=2)
    >>> [(one.node, one.value, len(one.samples)) for one in found.nodes]
    [('conv1', 'relu1', 5)]
    >>> print(found)
    The network is not more orientation selective than its untrained controls (...), and not more than ...
    """
    return take(model, node=node, seeds=seeds, frequencies=frequencies, contrast=contrast, seed=seed)


def take(
    model: Any, *, node: str | Sequence[str] = "", seeds: int = SEEDS,
    frequencies: Sequence[float] | None = None, contrast: float = 1.0, seed: int = 0,
    trained: bool | None = None, watch: Callable[[int, int], object] | None = None,
) -> Population:  # fmt: skip
    """The same as `population`. trained, watch: as `experiment.record` takes them."""
    seed, seeds = as_count(seed, "seed", 0, math.inf), as_count(seeds, "seeds", 1, MAX_SEEDS)
    contrast = checked_contrast(contrast)
    if not isinstance(model, Model):
        loaded = with_weights(model, seed=seed)
        model, trained = Model(loaded), loaded.trained
    net = model.net
    names = (node,) if isinstance(node, str) else tuple(node)
    sites, nodes = sites_of(net, tuple(filter(None, names)))
    part = part_up_to(net, *sites)
    screen = stimuli.Screen(
        *(
            (min(span[0] for span in spans), max(span[1] for span in spans))
            for spans in zip(*((at.screen.rows, at.screen.columns) for at in sites.values()))
        )
    )
    gratings = stimuli.Gratings(
        stimuli.turns(stimuli.ORIENTATIONS),
        stimuli.ladder(screen, frequencies),
        stimuli.phases(stimuli.MIN_PHASES),
    )
    given = dict(model.weights.current())
    networks: list[tuple[str, int | None]] = [(GIVEN, None)]
    networks += [(control, k) for control in CONTROLS for k in range(seed + 1, seed + 1 + seeds)]
    crowd = _Crowd(model, part, sites, screen, Light.of(model, contrast), gratings, len(networks), watch)
    macs = crowd.expected * sum(part.declarations[one.name].macs for one in part.nodes)
    if macs > LONG_MACS:
        warn(
            f"{crowd.expected:,} images pass through {net.name}, {macs / 1e12:,.0f} T multiply-accumulates, which take "
            f"minutes to hours: a smaller input, nodes further in front ({setting('node', 'NAME')}) or fewer "
            f"{setting('seeds')} take less"
        )
    samples: dict[str, list[Sample]] = {value: [] for value in sites}
    for start in range(0, len(networks), crowd.together):
        some = networks[start : start + crowd.together]
        for (group, number), found in zip(some, crowd.measure([_weights(net, given, *one) for one in some])):
            for value, (measures, types) in found.items():
                samples[value].append(Sample(group, number, measures, types))
    overall: dict[str, Difference | None] = {}
    by_node: dict[str, dict[str, Difference | None]] = {value: {} for value in sites}
    for control in CONTROLS:
        pairs = [
            (
                1 - held[0].defined("cv"),
                [1 - one.defined("cv") for one in held if one.group == control],
            )
            for held in samples.values()
        ]
        overall[control], each = differences(pairs, seed, *HISTOGRAMS["cv"][:2])
        for value, difference in zip(sites, each, strict=True):
            by_node[value][control] = difference
    return Population(
        network=net.name, weights=f"untrained, seed {seed}" if trained is False else "as given", seeds=seeds,
        differences=overall, frequencies_cpp=gratings.frequencies,
        orientations_deg=tuple(map(math.degrees, gratings.orientations)),
        phases_deg=tuple(map(math.degrees, gratings.phases)), colors=crowd.colors, contrast=contrast,
        shown=crowd.shown,
        nodes=tuple(
            NodePopulation(nodes[value], value, at, tuple(samples[value]), by_node[value])
            for value, at in sites.items()
        ),
    )  # fmt: skip


def sites_of(net: Network, names: Sequence[str]) -> tuple[dict[str, Place], dict[str, str]]:
    """Value -> the place of its units, and the first node that it belongs to.

    Without names: of all nodes whose maps have more than one place, apart from those that change nothing. Raises the
    reason if a named node cannot be probed, UsageError if no node can.
    """
    sites: dict[str, Place] = {}
    nodes: dict[str, str] = {}
    reason: StriateError | None = None
    for node in [net.node(name) for name in names] or net.nodes:
        try:
            check(net, node)
            value = measured(net, node)
            idle = Trait.TRANSPARENT in node.op.traits or max(net.inference.specs[value].spatial) == 1
            if value in sites or (idle and not names):
                continue
            sites[value] = place_unit(part_up_to(net, value), value, "center")
        except StriateError as error:
            if names or len(net.inputs) > 1:
                raise
            reason = reason or error
            continue
        nodes[value] = node.name
    if not sites:
        specs = (net.inference.specs.get(node.outputs[0]) for node in net.nodes)
        maps = any(spec is not None and spec.spatial_axes == ("H", "W") for spec in specs)
        raise (reason if maps or isinstance(reason, UsageError) else None) or UsageError(
            f"{net.name} has no node to probe",
            why="none has a map of more than one place",
            fix="probe a network with convolutions",
        )
    return sites, nodes


def _weights(net: Network, given: Mapping[str, Array], group: str, seed: int | None) -> Mapping[str, Array]:
    """The weights of one network: as given, or of a control."""
    if seed is None:
        return given
    return shuffled(given, seed) if group == SHUFFLED else arrays.initialize(net, seed, initializer_of(net))


def shuffled(weights: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """The same numbers in each filter, in another order; biases and normalizations stay.

    What a filter is then selective for is chance, with the size and the spread that training gave its weights.
    """
    mixed = {}
    for name, values in weights.items():
        if values.ndim > 1:
            draw = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogatepass"))])
            values = draw.permuted(values.reshape(len(values), -1), axis=1).reshape(values.shape)
        mixed[name] = values
    return mixed


Measures = tuple[dict[str, Array], tuple[str, ...]]
"""Measures of the units of a node by name, and their types."""


class _Crowd:
    """Shows stimuli to several networks at once. together: how many of them."""

    def __init__(
        self, model: Model, part: Network, sites: Mapping[str, Place], screen: stimuli.Screen, light: Light,
        gratings: stimuli.Gratings, networks: int, watch: Callable[[int, int], object] | None,
    ) -> None:  # fmt: skip
        self.engine, self.part, self.light, self.gratings = model.engine, part, light, gratings
        self.sites, self.screen = dict(sites), screen
        channels = sum(part.specs[value].channels for value in sites)
        self.together = max(1, min(networks, MAX_RESPONSES // (channels * math.prod(gratings.shape))))
        self.colors = Electrodes(self.engine, part, [], sites, screen, light).colors
        self.shown, self._watch = 0, watch
        spots = sum(math.prod(stimuli.Spots(stimuli.Cells.of(one)).shape) for one in self._screens())
        self.expected = networks * (1 + len(self.colors) * math.prod(gratings.shape) + spots)

    def _screens(self) -> dict[stimuli.Screen, list[str]]:
        """Field -> the values whose units have it."""
        groups: dict[stimuli.Screen, list[str]] = {}
        for value, at in self.sites.items():
            groups.setdefault(at.screen, []).append(value)
        return groups

    def _electrodes(self, weights: Sequence[Mapping[str, Array]], values: Sequence[str]) -> Electrodes:
        """Electrodes in some values; where it is a single one, in the smallest part of the image that it sees."""
        if len(values) == 1:
            (value,) = values
            net, place = cropped(part_up_to(self.part, value), value, self.sites[value])
            return Electrodes(self.engine, net, weights, {value: place}, place.screen, self.light)
        sites = {value: self.sites[value] for value in values}
        (screen, *more) = {at.screen for at in sites.values()}
        part = part_up_to(self.part, *values)
        return Electrodes(self.engine, part, weights, sites, self.screen if more else screen, self.light)

    def _show(
        self, electrodes: Electrodes, stimulus: stimuli.Stimuli, color: str = "luminance"
    ) -> list[dict[str, Array]]:
        """Responses after half-wave rectification."""
        found = electrodes.show_all(stimulus, color, self._count)
        return [
            {value: np.maximum(finite(r, value), 0) for value, r in responses.items()} for responses in found
        ]

    def _count(self, images: int) -> None:
        self.shown += images
        if self._watch:
            self._watch(self.shown, max(self.expected, self.shown))

    def measure(self, weights: Sequence[Mapping[str, Array]]) -> list[dict[str, Measures]]:
        """Of each network, value -> the measures of its units."""
        everywhere = self._electrodes(weights, [*self.sites])
        blanks = self._show(everywhere, stimuli.Blank())
        tuned: list[dict[str, list[_Tuned]]] = [{value: [] for value in self.sites} for _ in weights]
        for color in self.colors:
            for n, responses in enumerate(self._show(everywhere, self.gratings, color)):
                for value, r in responses.items():
                    found = _tune(color, r, blanks[n][value][:, 0], self.gratings)
                    held = tuned[n][value]
                    tuned[n][value] = found if not held else [a.or_else(b) for a, b in zip(held, found)]
        results: list[dict[str, Measures]] = [{} for _ in weights]
        for values in self._screens().values():
            spots = stimuli.Spots(stimuli.Cells.of(self.sites[values[0]].screen))
            units = [
                (n, value, one) for n, _ in enumerate(weights) for value in values for one in tuned[n][value]
            ]
            needed = [color for color in self.colors if any(one.color == color for *_, one in units)]
            local = self._electrodes(weights, values)
            seen = {color: self._show(local, spots, color) for color in needed}
            for n, _ in enumerate(weights):
                for value in values:
                    maps_of = {color: shown[n][value] for color, shown in seen.items()}
                    results[n][value] = _measures(tuned[n][value], maps_of, blanks[n][value][:, 0])
        return results


@dataclasses.dataclass(frozen=True)
class _Tuned:
    """What gratings found out about a unit in the axis of color that counts.

    luminance, drive: of the best grating in luminance, and in this axis; cycle: responses to it by phase; largest:
    response of its node to any grating.
    """

    color: str
    luminance: float
    drive: float
    tune: tuning.Tuning | None
    cycle: Array
    largest: float

    def or_else(self, other: _Tuned) -> _Tuned:
        """The axis that counts of this one and another."""
        chosen = color_of({"luminance": self.luminance, self.color: self.drive, other.color: other.drive})
        kept = other if chosen == other.color else self
        return dataclasses.replace(kept, luminance=self.luminance, largest=max(self.largest, other.largest))


def _tune(color: str, responses: Array, blank: Array, gratings: stimuli.Gratings) -> list[_Tuned]:
    """Of each channel what its responses to gratings in an axis of color say."""
    largest = float(responses.max(initial=0))
    found = tuning.tune_units(responses, blank, gratings.orientations, gratings.frequencies)
    result = []
    for k, tune in enumerate(found):
        drive = 0.0 if tune is None else tune.drive
        cycle = np.zeros(responses.shape[-1]) if tune is None else responses[k][tune.best].copy()
        result.append(_Tuned(color, drive if color == "luminance" else 0.0, drive, tune, cycle, largest))
    return result


def _measures(units: Sequence[_Tuned], spots: Mapping[str, Array], blank: Array) -> Measures:
    """Measures and types of a node's units. spots: axis of color -> responses (units, rows, columns, 2)."""
    names = {
        "cv": "cv",
        "osi": "osi",
        "orientation_deg": "orientation",
        "frequency_cpp": "frequency",
        "f1_f0": "f1_f0",
    }
    measures = {name: np.full(len(units), np.nan) for name in HISTOGRAMS}
    types = []
    for k, one in enumerate(units):
        tune = one.tune
        if tune is None or not one.drive > SILENT_SHARE * max(one.largest, float(blank.max(initial=0))):
            types.append("none")
            continue
        grown = np.maximum(spots[one.color][k] - blank[k], 0)
        polarity = maps.polarity_overlap(grown[..., 0], grown[..., 1], one.cycle, float(blank[k]), tune.drive)
        types.append(maps.kind(tune.f1_f0, polarity))
        for name, attribute in names.items():
            value = getattr(tune, attribute)
            measures[name][k] = np.nan if value is None else value
    return measures, tuple(types)
