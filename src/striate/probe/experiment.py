"""The experiment: one pass over the stimuli serves all channels of a node; measures of each channel follow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError, setting
from striate.engine.inputs import as_count
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.network import Network, Node
from striate.op import Trait
from striate.probe import fits, maps, stimuli, tuning
from striate.probe.electrode import Electrode, Light, Place, check, measured, part_up_to, place_unit
from striate.probe.finite import finite
from striate.probe.gradients import gradient_maps
from striate.probe.recording import NO_RESPONSE, BestBar, Curves, Recording, Unit
from striate.signatures import explain_misuse
from striate.train.prediction_inputs import PredictionInputs

Array = NDArray[Any]

SILENT_SHARE = 1e-5
"""A drive below this share of the node's largest response is rounding, not a response."""
COLOR_GAIN = 2.0
"""Luminance comes first: another axis of color counts if it drives a unit this many times as strongly."""
LIMIT_PIXELS = 96
"""Side of the field up to which the limit of linear filters is computed; larger fields limit nothing."""
NAMES = {
    "orientation": "orientation_deg", "cv": "cv", "osi": "osi", "bandwidth": "bandwidth_deg",
    "frequency": "frequency_cpp", "octaves": "bandwidth_octaves", "f1_f0": "f1_f0", "phase": "phase_deg",
}  # fmt: skip
"""Measure of a tuning -> field of a unit."""


@explain_misuse
def probe(
    model: Any, node: str, *, at: str | Sequence[int] = "center", frequencies: Sequence[float] | None = None,
    phases: int = stimuli.MIN_PHASES, contrast: float = 1.0, photos: Any = None, seed: int = 0,
) -> Recording:  # fmt: skip
    """Record from all channels of a node while stimuli are shown, as Hubel and Wiesel did, and measure their tuning.

    model: a `Model`, or what it takes (fresh weights where the source has none, and `weights` says so); node: name of a
    node with height and width; what is read is its value after the activation. at: the unit's place in the map,
    "center" (a field inside the image), "edge", "corner" or (row, column). frequencies: of gratings, in cycles per
    pixel, by default 8 from one cycle per field to 0.45. phases: number of each, at least 16. contrast: 0 to 1, of half
    the range of an image. photos: photographs to compare gratings with, as `Model.predict` takes them. seed: of noise
    and of fresh weights.

    Gratings, bars, edges, spots and sparse noise fill the unit's receptive field on a gray screen and pass the model's
    normalization; with three channels gratings are shown in luminance, red-green and blue-yellow. Raises OpError for a
    node without a map or after an opaque one, UsageError for a network or a setting that cannot be used.
    Source: Hubel & Wiesel 1962; the measures are described in docs/probe.md.

    >>> import striate as st
    >>> recording = st.probe("12x12x1 -> conv 5x5 2 -> relu", "conv1")
    >>> recording.value, recording.field["h"], len(recording.units)
    ('relu1', (3, 7), 2)
    >>> recording.units[0].type in ("simple", "complex", "none")
    True
    """
    return record(
        model,
        node,
        at=at,
        frequencies=frequencies,
        phases=phases,
        contrast=contrast,
        photos=photos,
        seed=seed,
    )


def record(
    model: Any, node: str, *, at: str | Sequence[int] = "center", frequencies: Sequence[float] | None = None,
    phases: int = stimuli.MIN_PHASES, contrast: float = 1.0, photos: Any = None, seed: int = 0,
    trained: bool | None = None, watch: Callable[[int, int], object] | None = None,
) -> Recording:  # fmt: skip
    """The same as `probe`. trained: whether the weights of a `Model` came with it, if that is known; watch:
    called with the number of images shown, and of all that are known to follow.
    """
    count = as_count(phases, "phases", stimuli.MIN_PHASES, stimuli.MAX_PHASES)
    seed = as_count(seed, "seed", 0, math.inf)
    contrast = checked_contrast(contrast)
    if not isinstance(model, Model):
        loaded = with_weights(model, seed=seed)
        model, trained = Model(loaded), loaded.trained
    weights = f"untrained, seed {seed}" if trained is False else "as given"
    net = model.net
    target = net.node(node)
    check(net, target)
    value = measured(net, target)
    part = part_up_to(net, value)
    place = place_unit(part, value, at if isinstance(at, str) else _pair(at))
    session = _Session(model, value, part, place, contrast, watch)
    filters = first_filters(net, target, session.weights)
    gratings = stimuli.Gratings(
        stimuli.turns(stimuli.ORIENTATIONS),
        stimuli.ladder(place.screen, frequencies),
        stimuli.phases(count),
    )
    natural = None if photos is None else session.natural(photos)
    units = session.measure(gratings, seed, natural)
    if filters is not None:
        units = tuple(dataclasses.replace(one, filter=held) for one, held in zip(units, filters, strict=True))
    screen = place.screen
    return Recording(
        network=net.name, node=node, value=value, weights=weights, position=(place.row, place.column),
        field={"h": screen.rows, "w": screen.columns}, inside=place.inside, surround=place.surround,
        cv_limit=cv_limit(screen, gratings.frequencies), colors=session.electrode.colors,
        orientations_deg=tuple(map(math.degrees, gratings.orientations)), frequencies_cpp=gratings.frequencies,
        phases_deg=tuple(map(math.degrees, gratings.phases)), sizes_px=stimuli.diameters(screen),
        contrast=contrast, shown=session.shown, units=units,
    )  # fmt: skip


def first_filters(net: Network, node: Node, weights: Mapping[str, Array]) -> Array | None:
    """The filters (K, C, F, F) of a convolution that reads the image; None for another node."""
    if Trait.CONVOLUTION not in node.op.traits or node.inputs[0] not in net.inputs:
        return None
    held = weights[node.key("weight")]
    return held if len(held) == net.specs[node.outputs[0]].channels else None


def checked_contrast(contrast: float) -> float:
    """A contrast above 0 and up to 1. Raises UsageError for another."""
    if isinstance(contrast, bool) or not 0 < contrast <= 1:
        raise UsageError(
            f"a contrast of {contrast!r} cannot be shown",
            why="it is a share of half the range of an image",
            fix=f"{setting('contrast')} takes a number above 0 and up to 1",
        )
    return float(contrast)


def color_of(drives: dict[str, float]) -> str:
    """The axis of color to measure a unit in: luminance first. drives: of the best grating in each axis."""
    strongest = max(drives, key=lambda color: drives[color])
    return strongest if drives[strongest] > COLOR_GAIN * drives["luminance"] else "luminance"


def _pair(at: Sequence[int]) -> tuple[int, int]:
    try:
        row, column = at
    except ValueError:
        return -1, -1
    return row, column


def cv_limit(screen: stimuli.Screen, frequencies: Sequence[float]) -> float | None:
    """Circular variance of the most selective linear unit with a field of this size: its filter is a grating.

    A small field cannot be tuned sharply: read a unit's circular variance against this. None for a field so large that
    it sets no limit.
    """
    if screen.side > LIMIT_PIXELS:
        return None
    turns = stimuli.turns(stimuli.ORIENTATIONS)
    best = 1.0
    for frequency in frequencies:
        waves = stimuli.Gratings(turns, (frequency,), (0.0, math.pi / 2))
        patterns = waves.draw(screen, np.arange(2 * len(turns))).reshape(len(turns), 2, -1)
        patterns -= patterns.mean(-1, keepdims=True)
        for weights in patterns[0]:
            amplitude = np.hypot(*(patterns @ weights).T)
            total = float(amplitude.sum())
            if total > SILENT_SHARE * weights.size:
                best = min(best, 1 - abs(complex(amplitude @ np.exp(2j * np.array(turns)))) / total)
    return best


@dataclasses.dataclass(frozen=True)
class _Series:
    """Responses of all channels to everything but full gratings, in one axis of color."""

    bars: Array
    edges: Array
    spots: Array
    noise: Array


class _Session:
    """One electrode, and the number of images that it was shown."""

    def __init__(
        self, model: Model, value: str, part: Any, place: Place, contrast: float,
        watch: Callable[[int, int], object] | None,
    ) -> None:  # fmt: skip
        self.model, self.part, self.place, self.value = model, part, place, value
        self.light = Light.of(model, contrast)
        self.weights = model.weights.current()
        self.electrode = Electrode(model.engine, part, self.weights, value, place, self.light)
        self.shown, self.expected, self._watch = 0, 0, watch
        self.largest = 0.0

    def show(self, stimulus: stimuli.Stimuli, color: str = "luminance") -> Array:
        """Responses (K, …) after half-wave rectification: a value without an activation counts where it is positive."""
        values = finite(self.electrode.show(stimulus, color, self._count), self.value)
        self.largest = max(self.largest, float(np.abs(values).max(initial=0)))
        return np.maximum(values, 0)

    def _count(self, images: int) -> None:
        self.shown += images
        if self._watch:
            self._watch(self.shown, max(self.expected, self.shown))

    def natural(self, photos: Any) -> Array:
        """The largest response of each channel to photographs, at the unit's place."""
        program = self.model.engine.compile(
            self.part, {name: self.weights[name] for name in self.part.parameters}
        )
        best: Array | None = None
        for batch in PredictionInputs(self.model.net, self.model.transform).batches(photos, 64):
            values = program.values(batch, [self.value])[self.value][:, :, self.place.row, self.place.column]
            top = values.max(0, initial=0).astype(np.float64)
            best = top if best is None else np.maximum(best, top)
        if best is None:
            raise UsageError("there are no photographs to compare with", fix=f"leave {setting('photos')} out")
        return best

    def measure(self, gratings: stimuli.Gratings, seed: int, natural: Array | None) -> tuple[Unit, ...]:
        """All stimuli, then the measures of each channel."""
        screen, colors = self.electrode.place.screen, self.electrode.colors
        bars = stimuli.Bars(gratings.orientations, stimuli.offsets(screen), stimuli.bar_width(screen))
        edges = stimuli.Edges(gratings.orientations, bars.offsets)
        cells = stimuli.Cells.of(screen)
        spots, noise = stimuli.Spots(cells), stimuli.SparseNoise(cells, seed)
        series = (bars, edges, spots, noise)
        self.expected = 1 + len(colors) * math.prod(gratings.shape) + sum(math.prod(s.shape) for s in series)
        blank = self.show(stimuli.Blank())[:, 0]
        waves = {color: self.show(gratings, color) for color in colors}
        drives = {color: tuning.drive(r, blank).reshape(len(blank), -1).max(-1) for color, r in waves.items()}
        chosen = [self._color({color: float(d[k]) for color, d in drives.items()}) for k in range(len(blank))]
        shown: dict[str, _Series] = {}
        for axis in dict.fromkeys(color for color in chosen if color):
            shown[axis] = _Series(*(self.show(one, axis) for one in series))
        best = np.stack([waves[color or colors[0]][k] for k, color in enumerate(chosen)])
        grid = gratings.orientations, gratings.frequencies
        tuned = [
            tune if color else None
            for color, tune in zip(chosen, tuning.tune_units(best, blank, *grid), strict=True)
        ]
        sizes = self._sizes(gratings, blank, chosen, tuned)
        found = [k for k, tune in enumerate(tuned) if tune is not None]
        spreads = dict(zip(found, tuning.uncertainty(best[found], blank[found], *grid), strict=True))
        grown = cells.sums(screen, self._gradients(gratings, best, chosen, tuned))
        fields: dict[int, maps.FieldMap] = {}
        for axis, one in shown.items():
            mine = [k for k in found if chosen[k] == axis]
            own = grown[[found.index(k) for k in mine]]
            some = maps.field_maps(one.spots[mine], blank[mine], noise.frames, one.noise[mine], own)
            fields |= dict(zip(mine, some, strict=True))
        fitted = _gabors(gratings, cells.centers(screen), {k: tuned[k] for k in found}, fields)
        units = []
        for k, (color, tune) in enumerate(zip(chosen, tuned, strict=True)):
            by_color = {name: float(d[k]) for name, d in drives.items()}
            if color is None or tune is None:
                units.append(Unit(k, "none", drives=by_color, notes=(NO_RESPONSE,),
                                  responses={"blank": float(blank[k])}))  # fmt: skip
                continue
            units.append(
                _unit(
                    k, color, tune, best[k], float(blank[k]), gratings, bars, shown[color], fields[k], fitted[k],
                    spreads[k], sizes[k], by_color, None if natural is None else float(natural[k]), screen,
                )
            )  # fmt: skip
        return tuple(units)

    def _color(self, drives: dict[str, float]) -> str | None:
        """The axis of color to measure a unit in; None without a response."""
        return color_of(drives) if max(drives.values()) > SILENT_SHARE * self.largest else None

    def _gradients(
        self, gratings: stimuli.Gratings, responses: Array, chosen: Sequence[str | None],
        tuned: Sequence[tuning.Tuning | None],
    ) -> Array:  # fmt: skip
        """Derivatives by the pixels of the field (n, H, W), of the units that respond, each at its best grating."""
        found = {k: (tune, color) for k, (tune, color) in enumerate(zip(tuned, chosen)) if tune and color}
        if not found:
            return np.zeros((0, *self.electrode.screen.shape))
        best = [(*tune.best, int(responses[k][tune.best].argmax())) for k, (tune, _) in found.items()]
        patterns = gratings.draw(self.electrode.screen, np.ravel_multi_index([*zip(*best)], gratings.shape))
        colors = [color for _, color in found.values()]
        return gradient_maps(self.model.engine, self.electrode, self.weights, [*found], patterns, colors)

    def _sizes(
        self, gratings: stimuli.Gratings, blank: Array, chosen: Sequence[str | None],
        tuned: Sequence[tuning.Tuning | None],
    ) -> dict[int, Array]:  # fmt: skip
        """Channel -> drive of its best grating by diameter of the aperture. Channels with the same grating share it."""
        sizes: dict[int, Array] = {}
        diameters = stimuli.diameters(self.electrode.place.screen)
        for color in dict.fromkeys(color for color in chosen if color):
            best = {k: t.best for k, (c, t) in enumerate(zip(chosen, tuned)) if c == color and t is not None}
            pairs = {pair: n for n, pair in enumerate(dict.fromkeys(best.values()))}
            patches = stimuli.Patches(
                tuple((gratings.orientations[turn], gratings.frequencies[rate]) for turn, rate in pairs),
                diameters,
                stimuli.phases(stimuli.APERTURE_PHASES),
            )
            self.expected += math.prod(patches.shape)
            responses = self.show(patches, color)
            for k, pair in best.items():
                sizes[k] = tuning.drive(responses[k, pairs[pair]][None], blank[k])[0]
        return sizes


def _gabors(
    gratings: stimuli.Gratings, centers: tuple[Array, Array], tuned: dict[int, Any],
    fields: dict[int, maps.FieldMap],
) -> dict[int, fits.Gabor | None]:  # fmt: skip
    """Channel -> Gabor function fitted to its map; None without a clear map or a good fit."""
    seen: dict[int, Array] = {}
    for k, field in fields.items():
        if field.driven(tuned[k].drive):
            seen[k] = field.on - field.off
        elif field.clear:
            seen[k] = field.weighted
    starts = []
    for k in seen:
        turn, rate = tuned[k].best
        best = gratings.frequencies[rate]
        rates = dict.fromkeys((best, tuned[k].frequency or best))
        starts.append([(gratings.orientations[turn], f) for f in rates])
    fitted = fits.gabors(np.stack([*seen.values()]), *centers, starts) if seen else []
    return {**dict.fromkeys(fields), **dict(zip(seen, fitted, strict=True))}


def _unit(
    k: int, color: str, tune: tuning.Tuning, responses: Array, blank: float, gratings: stimuli.Gratings,
    bars: stimuli.Bars, series: _Series, field: maps.FieldMap, fitted: fits.Gabor | None,
    spread: dict[str, float | None], sizes: Array, drives: dict[str, float], natural: float | None,
    screen: stimuli.Screen,
) -> Unit:  # fmt: skip
    """All measures of one channel."""
    turn, rate = tune.best
    cycle = responses[turn, rate]
    polarity = maps.polarity_overlap(field.on, field.off, cycle, blank, tune.drive)
    kind = maps.kind(tune.f1_f0, polarity)
    bar = np.unravel_index(int(np.argmax(series.bars[k])), bars.shape)
    best_bar = None
    if series.bars[k].max() > blank + SILENT_SHARE * tune.drive:
        best_bar = BestBar(
            math.degrees(bars.orientations[bar[0]]), bars.offsets[bar[1]], ("bright", "dark")[bar[2]]
        )
    peak = float(sizes.max())
    undefined = {
        "orientation_deg": tune.orientation, "bandwidth_deg": tune.bandwidth, "frequency_cpp": tune.frequency,
        "gabor": fitted,
    }  # fmt: skip
    notes = tuple(f"{name}: {WHY[name]}" for name, value in undefined.items() if value is None)
    d = tuning.drive(responses, blank)
    top = float(responses.max())
    return Unit(
        unit=k, type=kind, color=color, best_orientation_deg=tune.best_orientation,
        **{field: getattr(tune, name) for name, field in NAMES.items() if name != "phase"},
        phase_deg=tune.phase if kind == "simple" else None, f0=tune.f0, f1=tune.f1, polarity_overlap=polarity,
        surround_suppression=1 - float(sizes[-1]) / peak if peak > 0 else None,
        preferred_size_px=(
            stimuli.diameters(screen)[int(np.argmax(sizes >= peak * (1 - tuning.TIE)))] if peak > 0 else None
        ),
        drive=tune.drive, natural_share=top / natural if natural else None, best_bar=best_bar, gabor=fitted,
        responses={
            "blank": blank, "grating": top, "bar": float(series.bars[k].max()),
            "edge": float(series.edges[k].max()), "spot": float(series.spots[k].max()),
        },
        drives=drives, uncertainty={field: spread[name] for name, field in NAMES.items()}, notes=notes,
        curves=Curves(d[:, rate], d[turn], cycle, sizes), map=field,
    )  # fmt: skip


WHY = {
    "orientation_deg": "no peak: all orientations drive it equally",
    "bandwidth_deg": "no peak that falls to 1/√2 on both sides",
    "frequency_cpp": "no peak between the lowest and the highest frequency",
    "gabor": "no Gabor function explains half of the map's variance",
}
"""Why a measure of a unit that responds has no value."""
