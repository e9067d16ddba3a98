"""Stimuli as patterns between -1 and 1 on the part of the screen that a unit sees; 0 is the gray background.

A screen has x to the right and y upward, in pixels from the center of the field. A grating of direction φ is
cos(2πf(x cos φ + y sin φ) - ψ): its waves run along φ, its bars stand at θ = φ + 90° (mod 180°). An orientation is that
of the bars, counted counterclockwise: 0° is horizontal, 90° vertical.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError, setting

Array = NDArray[Any]

ORIENTATIONS, FREQUENCIES, MIN_PHASES = 24, 8, 16
MAX_PHASES, MAX_FREQUENCIES = 360, 64
HIGHEST_FREQUENCY = 0.45
"""Cycles per pixel; above 0.5 a grating cannot be told from a slower one."""
SHORTEST_FIELD_PIXELS = 12
"""Gratings begin at one cycle per field, and for a smaller field at one cycle in this many pixels: 1/3 to 0.45 cycles
per pixel would be less than half an octave."""
MAX_CELLS = 16
"""Cells of spots and noise along a side of the field."""
OFFSETS = 9
"""Positions of bars and edges across the field."""
APERTURES, APERTURE_PHASES = 6, 8
FRAMES_PER_CELL, MIN_FRAMES = 16, 256
SPARSE_SHARE = 0.1
"""Share of the cells of a frame of noise that are bright, and of those that are dark."""


@dataclasses.dataclass(frozen=True)
class Screen:
    """Part of the input that stimuli fill: rows and columns of the field, both ends counted."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rows[1] - self.rows[0] + 1, self.columns[1] - self.columns[0] + 1

    @property
    def side(self) -> int:
        """The longer side in pixels."""
        return max(self.shape)

    def grid(self) -> tuple[Array, Array]:
        """x (to the right) and y (upward) of every pixel from the center, each of the screen's shape."""
        height, width = self.shape
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        return columns - (width - 1) / 2, (height - 1) / 2 - rows


class Stimuli(Protocol):
    """Patterns that are drawn when they are shown."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the responses to them."""
        ...

    def draw(self, screen: Screen, indices: Array) -> Array:
        """Patterns (n, H, W) of some stimuli, by their flat indices into `shape`."""
        ...


def _waves(screen: Screen, directions: Array) -> Array:
    """Distance of each pixel from the center along each direction (radians), (n, H, W)."""
    x, y = screen.grid()
    along: Array = np.cos(directions)[:, None, None] * x + np.sin(directions)[:, None, None] * y
    return along


def _covered(distance: Array, width: Any) -> Array:
    """Share of each pixel that a bar or a spot covers; one at its side is covered in part.

    distance: from its middle, at least 0; width: of the bar, or the spot's diameter.
    """
    share: Array = np.clip(width / 2 - distance + 0.5, 0, 1)
    return share


def _sides(along: Array) -> Array:
    """Bright on one side of an edge, dark on the other; a pixel on it is in between."""
    sides: Array = np.clip(2 * along, -1, 1)
    return sides


@dataclasses.dataclass(frozen=True)
class Gratings:
    """Sine gratings: orientations x frequencies x phases. Orientations in radians, frequencies in cycles per pixel."""

    orientations: tuple[float, ...]
    frequencies: tuple[float, ...]
    phases: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.orientations), len(self.frequencies), len(self.phases)

    def draw(self, screen: Screen, indices: Array) -> Array:
        turn, rate, phase = np.unravel_index(indices, self.shape)
        along = _waves(screen, np.array(self.orientations)[turn] - math.pi / 2)
        cycles = np.array(self.frequencies)[rate] * (2 * math.pi)
        waves: Array = np.cos(cycles[:, None, None] * along - np.array(self.phases)[phase][:, None, None])
        return waves


@dataclasses.dataclass(frozen=True)
class Blank:
    """The gray screen."""

    shape: tuple[int, ...] = (1,)

    def draw(self, screen: Screen, indices: Array) -> Array:
        return np.zeros((len(indices), *screen.shape))


@dataclasses.dataclass(frozen=True)
class Bars:
    """Bright and dark bars: orientations x positions across the field x (bright, dark). `width` in pixels."""

    orientations: tuple[float, ...]
    offsets: tuple[float, ...]
    width: float

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.orientations), len(self.offsets), 2

    def draw(self, screen: Screen, indices: Array) -> Array:
        turn, place, dark = np.unravel_index(indices, self.shape)
        along = _waves(screen, np.array(self.orientations)[turn] - math.pi / 2)
        distance = np.abs(along - np.array(self.offsets)[place][:, None, None])
        bars: Array = _covered(distance, self.width) * (1 - 2 * dark)[:, None, None]
        return bars


@dataclasses.dataclass(frozen=True)
class Edges:
    """Bright on one side, dark on the other: orientations x positions across the field x (one side, the other)."""

    orientations: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.orientations), len(self.offsets), 2

    def draw(self, screen: Screen, indices: Array) -> Array:
        turn, place, side = np.unravel_index(indices, self.shape)
        along = _waves(screen, np.array(self.orientations)[turn] - math.pi / 2)
        edges: Array = _sides(along - np.array(self.offsets)[place][:, None, None])
        return edges * (1 - 2 * side)[:, None, None]


@dataclasses.dataclass(frozen=True)
class Cells:
    """The field divided into rows x columns of cells, each of whole pixels."""

    rows: int
    columns: int

    @classmethod
    def of(cls, screen: Screen) -> Cells:
        height, width = screen.shape
        return cls(min(height, MAX_CELLS), min(width, MAX_CELLS))

    def paint(self, screen: Screen, values: Array) -> Array:
        """Patterns (n, H, W) whose cells have `values` (n, rows, columns)."""
        height, width = screen.shape
        row = np.arange(height) * self.rows // height
        column = np.arange(width) * self.columns // width
        return values[:, row[:, None], column[None, :]]

    def sums(self, screen: Screen, pixels: Array) -> Array:
        """Of pixels (n, H, W) the sum in each cell, (n, rows, columns)."""
        height, width = screen.shape
        firsts = (-(-np.arange(n) * size // n) for n, size in ((self.rows, height), (self.columns, width)))
        rows, columns = firsts
        result: Array = np.add.reduceat(np.add.reduceat(pixels, rows, 1), columns, 2)
        return result

    def centers(self, screen: Screen) -> tuple[Array, Array]:
        """x and y of the center of each cell, (rows, columns)."""
        x, y = screen.grid()
        area = self.paint(screen, np.arange(self.rows * self.columns).reshape(1, self.rows, -1))[0].ravel()
        count = np.bincount(area)
        places = [np.bincount(area, axis.ravel()) / count for axis in (x, y)]
        return places[0].reshape(self.rows, self.columns), places[1].reshape(self.rows, self.columns)


@dataclasses.dataclass(frozen=True)
class Spots:
    """One bright or dark cell: rows x columns x (bright, dark)."""

    cells: Cells

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cells.rows, self.cells.columns, 2

    def draw(self, screen: Screen, indices: Array) -> Array:
        row, column, dark = np.unravel_index(indices, self.shape)
        values = np.zeros((len(indices), self.cells.rows, self.cells.columns))
        values[np.arange(len(indices)), row, column] = 1 - 2 * dark
        return self.cells.paint(screen, values)


@dataclasses.dataclass(frozen=True)
class SparseNoise:
    """Frames in which a tenth of the cells is bright and a tenth dark, at random."""

    cells: Cells
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (max(MIN_FRAMES, FRAMES_PER_CELL * self.cells.rows * self.cells.columns),)

    @functools.cached_property
    def frames(self) -> Array:
        """Values of the cells (frames, rows, columns): -1, 0 or 1."""
        draws = np.random.default_rng(self.seed).random((*self.shape, self.cells.rows, self.cells.columns))
        frames: Array = (draws < SPARSE_SHARE).astype(np.int8) - (draws > 1 - SPARSE_SHARE)
        return frames

    def draw(self, screen: Screen, indices: Array) -> Array:
        return self.cells.paint(screen, self.frames[indices].astype(np.float64))


@dataclasses.dataclass(frozen=True)
class Patches:
    """Gratings behind round apertures of growing size: (orientation, frequency) pairs x diameters x phases."""

    pairs: tuple[tuple[float, float], ...]
    diameters: tuple[float, ...]
    phases: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.pairs), len(self.diameters), len(self.phases)

    def draw(self, screen: Screen, indices: Array) -> Array:
        pair, size, phase = np.unravel_index(indices, self.shape)
        turns, rates = np.array(self.pairs).T
        along = _waves(screen, turns[pair] - math.pi / 2)
        waves = np.cos(
            (2 * math.pi * rates[pair])[:, None, None] * along - np.array(self.phases)[phase][:, None, None]
        )
        diameter = np.array(self.diameters)[size][:, None, None]
        patches: Array = waves * _covered(np.hypot(*screen.grid()), diameter)
        return patches


SLIDES = ("bar", "edge", "grating", "spot")
"""Kinds of stimuli that are moved by hand."""


@dataclasses.dataclass(frozen=True)
class Slide:
    """A bar, edge, grating or spot anywhere on a screen, as it is moved by hand.

    orientation in radians; x, y: its middle, in pixels to the right of and above the center of the screen; width: of a
    bar and of each bar of a grating, diameter of a spot; length: of a bar; dark: dark where it would be bright.
    """

    kind: str
    orientation: float = 0.0
    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    length: float = math.inf
    dark: bool = False

    def draw(self, screen: Screen) -> Array:
        """The pattern (H, W)."""
        direction = self.orientation - math.pi / 2
        x, y = screen.grid()
        x, y = x - self.x, y - self.y
        along = math.cos(direction) * x + math.sin(direction) * y
        if self.kind == "edge":
            pattern = _sides(along)
        elif self.kind == "grating":
            pattern = np.cos(math.pi / self.width * along)
        elif self.kind == "spot":
            pattern = _covered(np.hypot(x, y), self.width)
        else:
            across = math.cos(direction) * y - math.sin(direction) * x
            pattern = _covered(np.abs(along), self.width) * _covered(np.abs(across), self.length)
        return -pattern if self.dark else pattern


@dataclasses.dataclass(frozen=True)
class Slides:
    """Slides one after the other."""

    slides: tuple[Slide, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.slides),)

    def draw(self, screen: Screen, indices: Array) -> Array:
        return np.stack([self.slides[k].draw(screen) for k in indices])


def turns(count: int) -> tuple[float, ...]:
    """Orientations over half a turn, in radians."""
    return tuple(math.pi * k / count for k in range(count))


def phases(count: int) -> tuple[float, ...]:
    """Phases over a turn, in radians."""
    return tuple(2 * math.pi * k / count for k in range(count))


def bar_width(screen: Screen) -> float:
    """Width of a bar in pixels: a quarter of the field."""
    return max(1.0, screen.side / 4)


def offsets(screen: Screen) -> tuple[float, ...]:
    """Positions of bars and edges across the field, in pixels from its center."""
    half = (screen.side - 1) / 2
    return tuple(float(p) for p in np.linspace(-half, half, min(OFFSETS, screen.side)))


def diameters(screen: Screen) -> tuple[float, ...]:
    """Diameters of round apertures, in pixels; the last shows the whole field."""
    whole = math.hypot(*screen.shape)
    return tuple(whole * k / APERTURES for k in range(1, APERTURES + 1))


def ladder(screen: Screen, asked: Sequence[float] | None) -> tuple[float, ...]:
    """Spatial frequencies, in cycles per pixel: those asked for, or equal steps on a logarithmic scale.

    Raises UsageError for a frequency that is not above 0 and at most 0.5, and for too many.
    """
    if asked is None:
        lowest = 1 / max(screen.side, SHORTEST_FIELD_PIXELS)
        return tuple(float(f) for f in np.geomspace(lowest, HIGHEST_FREQUENCY, FREQUENCIES))
    values = [float(f) for f in asked]
    if not 1 <= len(values) <= MAX_FREQUENCIES or not all(0 < f <= 0.5 for f in values):
        raise UsageError(
            "these spatial frequencies cannot be shown",
            where=f"frequencies={values[:8]}",
            why=f"1 to {MAX_FREQUENCIES} frequencies above 0 and up to 0.5 cycles per pixel fit on a screen",
            fix=f"give others, or leave {setting('frequencies')} out",
        )
    return tuple(sorted(set(values)))
