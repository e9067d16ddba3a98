"""What an experiment found: a record for each unit of a node, and the conditions under which it was made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from striate import hooks
from striate.diagnostics import UnknownNameError, plural
from striate.files import write_aside
from striate.probe import stimuli
from striate.probe.fits import Gabor
from striate.probe.maps import FieldMap

Array = NDArray[Any]
AnyUnit = TypeVar("AnyUnit")

DIGITS = 6
"""Significant digits of numbers in a record: responses are float32."""

NO_RESPONSE = "no response"
ONE_FRAME = "direction selectivity: not defined for one frame"


@dataclasses.dataclass(frozen=True)
class Curves:
    """Curves of the measures: drive by orientation, by frequency and by diameter; response by phase."""

    orientation: Array
    frequency: Array
    phase: Array
    size: Array


@dataclasses.dataclass(frozen=True)
class BestBar:
    """The bar that drives a unit most: its orientation, distance from the field's center in pixels, bright or dark."""

    orientation_deg: float
    offset_px: float
    polarity: str


@dataclasses.dataclass(frozen=True)
class Unit:
    """Measures of one channel; None where a measure is undefined, and `notes` says why. Angles are those of bars.

    unit: the channel; type: "simple", "complex" or "none"; color: axis of color of its measures; responses: largest
    response by kind of stimulus; drives: drive of the best grating by axis of color; uncertainty: measure -> half the
    difference between halves of the stimuli; filter: weights (C, F, F) of a filter that reads the image; the other
    fields are those of striate.probe/1.
    """

    unit: int
    type: str
    color: str | None = None
    orientation_deg: float | None = None
    best_orientation_deg: float | None = None
    cv: float | None = None
    osi: float | None = None
    bandwidth_deg: float | None = None
    frequency_cpp: float | None = None
    bandwidth_octaves: float | None = None
    f0: float | None = None
    f1: float | None = None
    f1_f0: float | None = None
    phase_deg: float | None = None
    polarity_overlap: float | None = None
    direction_selectivity: float | None = None
    surround_suppression: float | None = None
    preferred_size_px: float | None = None
    drive: float | None = None
    natural_share: float | None = None
    best_bar: BestBar | None = None
    gabor: Gabor | None = None
    responses: dict[str, float] = dataclasses.field(default_factory=dict)
    drives: dict[str, float] = dataclasses.field(default_factory=dict)
    uncertainty: dict[str, float | None] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    curves: Curves | None = None
    map: FieldMap | None = None
    filter: Array | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON holds them."""
        record = {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        for key, name in (("map", "weighted"), ("gradient_map", "gradient")):
            record[key] = None if self.map is None else plain(getattr(self.map, name))
        return record


@dataclasses.dataclass(frozen=True, repr=False)
class Recording(hooks.Displayed):
    """Responses of all channels of a node at one place, measured as Hubel and Wiesel did.

    network, node, value: what was probed, and the value that was read (after the activation); weights: "as given", or
    "untrained, seed 0"; position: row and column in the map; field: rows and columns of the input that the unit sees,
    first and last; inside: whether no part of its field lies beyond the image; surround: whether pixels outside of the
    field change its response; cv_limit: circular variance of the most selective linear filter of this size;
    orientations_deg (of bars), frequencies_cpp, phases_deg, sizes_px: the stimuli; contrast: share of their largest
    amplitude; colors: axes of color that were shown; shown: number of images; units: one for each channel.
    `recording[3]` is unit 3; a notebook shows the contact sheet of all units.
    """

    network: str
    node: str
    value: str
    weights: str
    position: tuple[int, int]
    field: dict[str, tuple[int, int]]
    inside: bool
    surround: bool
    cv_limit: float | None
    colors: tuple[str, ...]
    orientations_deg: tuple[float, ...]
    frequencies_cpp: tuple[float, ...]
    phases_deg: tuple[float, ...]
    sizes_px: tuple[float, ...]
    contrast: float
    shown: int
    units: tuple[Unit, ...]

    def __getitem__(self, unit: int) -> Unit:
        """A unit by its channel. Raises UnknownNameError for one that the node does not have."""
        return one_unit(self.node, self.units, unit)

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        counts = [f"{n} {kind}" for kind in ("simple", "complex", "none") if (n := self.count(kind))]
        return f"Recording({self.node} of {self.network}: {plural(len(self.units), 'unit')}, {', '.join(counts)})"

    def count(self, kind: str) -> int:
        """Number of units of a kind: "simple", "complex" or "none"."""
        return sum(unit.type == kind for unit in self.units)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about the conditions."""
        said = []
        if self.weights != "as given":
            said.append(f"weights: {self.weights}")
        if not self.inside:
            said.append("the field reaches beyond the image: padding is part of what the unit sees")
        if self.surround:
            said.append("pixels outside of the field change the response, and stay gray here")
        return (*said, ONE_FRAME)

    @property
    def screen(self) -> stimuli.Screen:
        """The part of the image that the stimuli filled."""
        return stimuli.Screen(self.field["h"], self.field["w"])

    def best_grating(self, unit: Unit) -> Array | None:
        """The grating that drives a unit most, from -1 to 1, (H, W) of its field; None without a response."""
        if unit.curves is None or unit.best_orientation_deg is None:
            return None
        rate, phase = int(unit.curves.frequency.argmax()), int(unit.curves.phase.argmax())
        one = stimuli.Gratings(
            (math.radians(unit.best_orientation_deg),),
            (self.frequencies_cpp[rate],),
            (math.radians(self.phases_deg[phase]),),
        )
        (drawn,) = one.draw(self.screen, np.array([0]))
        return np.asarray(drawn)

    def best_bar(self, unit: Unit) -> Array | None:
        """The bar that drives a unit most, from -1 to 1, (H, W) of its field; None if none does."""
        if unit.best_bar is None:
            return None
        turn, offset = math.radians(unit.best_bar.orientation_deg), unit.best_bar.offset_px
        one = stimuli.Bars((turn,), (offset,), stimuli.bar_width(self.screen))
        (drawn,) = one.draw(self.screen, np.array([int(unit.best_bar.polarity == "dark")]))
        return np.asarray(drawn)

    def fitted_gabor(self, unit: Unit) -> Array | None:
        """The Gabor function of a unit in the cells of its map; None without a fit."""
        if unit.gabor is None:
            return None
        return unit.gabor.values(*stimuli.Cells.of(self.screen).centers(self.screen))

    def plot(self, unit: int | None = None) -> Any:
        """The contact sheet of all units, or everything about one: a `Picture`, which a notebook shows.

        Raises UnknownNameError for a unit that the node does not have.
        """
        return hooks.ask("recording", self, unit)

    def save(self, path: str | Path, unit: int | None = None) -> None:
        """Write the picture, or a page, to a file.

        path: its ending says the format, as `Picture.save` has it; .html is a page with the picture and all numbers.
        Raises the errors of `plot` and of `Picture.save`.
        """
        if str(path).lower().endswith((".html", ".htm")):
            write_aside(path, str(hooks.ask("recording page", self, unit)).encode())
            return
        self.plot(unit).save(path)

    def to_dict(self, unit: int | None = None) -> dict[str, Any]:
        """Schema striate.probe/1. unit: the only one to write. Raises UnknownNameError for one that is not there."""
        fields = dataclasses.fields(self)
        record = {one.name: plain(getattr(self, one.name)) for one in fields if one.name != "units"}
        units = [one.to_dict() for one in (self.units if unit is None else (self[unit],))]
        return {"schema": "striate.probe/1", **record, "notes": list(self.notes), "units": units}


def one_unit(node: str, units: Sequence[AnyUnit], unit: int) -> AnyUnit:
    """A unit of a node by its channel. Raises UnknownNameError for one that the node does not have."""
    if not isinstance(unit, int | np.integer) or not 0 <= unit < len(units):
        raise UnknownNameError(
            f"{node} has no unit {unit!r}",
            why=f"it has {plural(len(units), 'unit')}, counted from 0",
            fix=f"0 to {len(units) - 1}",
        )
    return units[unit]


def plain(value: Any) -> Any:
    """A value as JSON holds it; numbers that are not finite are null."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") + 0.0 if np.isfinite(value) else None  # no negative zero
    return value
