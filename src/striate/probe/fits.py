"""Least squares: a log-Gaussian for spatial frequency, a Gabor function for a field map.

The curves or maps of all units are fitted together: a step of all of them costs little more than a step of one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAX_STEPS, MAX_TRIALS = 80, 8
DAMPING, LEAST_DAMPING, SMALLEST_GAIN = 1e-2, 1e-9, 1e-6
LEAST_CURVATURE = 1e-12
"""Of a parameter on which nothing depends: its own equation stays solvable."""
MIN_R2 = 0.5
"""A fit that explains less of the variance says nothing about the unit, and is left out."""
MIN_POINTS, MIN_SHARE = 3, 0.05
"""Frequencies that have to drive a unit, by this share of the best, for a curve to be fitted: it has 3 parameters."""
MIN_WEIGHT, MAX_OCTAVES = 0.1, 8.0
"""Weight of frequencies that do not drive a unit, and the width above which a curve is flat: it has no peak."""
WIDTH_LIMITS = -4.0, 8.0
"""Logarithms of the width of a Gaussian in octaves: a fit may ask for any."""
GABOR_LIMITS = -6.0, 6.0
"""Logarithms of the widths and the frequency of a Gabor function."""
TOGETHER = 128
"""Gabor functions that are fitted at a time: their slopes stay in the cache."""
LOG2 = math.log(2)


class Form(Protocol):
    """Curves with parameters p (b, P) and their slopes; `which` tells the problems (b,) that these belong to."""

    def values(self, p: Array, which: Array) -> Array:
        """Points of the curves (b, N)."""
        ...

    def slopes(self, p: Array, which: Array) -> Array:
        """Derivatives by each parameter (b, N, P)."""
        ...


def least_squares(form: Form, targets: Array, starts: Array) -> tuple[Array, Array]:
    """Parameters (B, P) near `starts` that minimize the squared errors, and these errors (B,).

    targets: (B, N). Each problem goes its own way (Levenberg 1944, Marquardt 1963).
    """
    values = starts.astype(np.float64)
    damping = np.full(len(values), DAMPING)
    residual = targets - form.values(values, np.arange(len(values)))
    error = (residual**2).sum(1)
    going = np.arange(len(values))
    for _ in range(MAX_STEPS):
        if not len(going):
            break
        slopes = form.slopes(values[going], going)
        square = slopes.transpose(0, 2, 1) @ slopes
        gradient = (slopes.transpose(0, 2, 1) @ residual[going, :, None])[..., 0]
        scale = np.sqrt(np.maximum(np.einsum("bii->bi", square), LEAST_CURVATURE))
        square /= scale[:, :, None] * scale[:, None, :]
        before, trying = error[going], np.arange(len(going))
        for _ in range(MAX_TRIALS):
            if not len(trying):
                break
            rows = going[trying]
            damped = square[trying]
            np.einsum("bii->bi", damped)[:] += damping[rows, None]
            steps = np.linalg.solve(damped, (gradient / scale)[trying][..., None])[..., 0]
            trial = values[rows] + steps / scale[trying]
            new = targets[rows] - form.values(trial, rows)
            new_error = (new**2).sum(1)
            better = new_error < error[rows]  # never where a number is not finite
            won = rows[better]
            values[won], residual[won], error[won] = trial[better], new[better], new_error[better]
            damping[won] = np.maximum(damping[won] / 4, LEAST_DAMPING)
            damping[rows[~better]] *= 4
            trying = trying[~better]
        going = going[before - error[going] > SMALLEST_GAIN * error[going]]
    return values, error


@dataclasses.dataclass(frozen=True)
class _LogGaussians:
    """amplitude, peak in octaves, logarithm of the width; each curve has its own weights (B, N)."""

    octave: Array
    weight: Array

    def _parts(self, p: Array, which: Array) -> tuple[Array, Array, Array]:
        width = np.exp(np.clip(p[:, 2:], *WIDTH_LIMITS))
        away = (self.octave - p[:, 1:2]) / width
        return self.weight[which] * np.exp(-(away**2) / 2), away, width

    def values(self, p: Array, which: Array) -> Array:
        curve: Array = p[:, :1] * self._parts(p, which)[0]
        return curve

    def slopes(self, p: Array, which: Array) -> Array:
        curve, away, width = self._parts(p, which)
        by_width = p[:, :1] * curve * away**2 * _within(p[:, 2:], WIDTH_LIMITS)
        return np.stack([curve, p[:, :1] * curve * away / width, by_width], axis=2)


def _within(logarithms: Array, limits: tuple[float, float]) -> Array:
    """1 where a logarithm counts as it is, 0 where its limit counts."""
    return np.asarray((logarithms > limits[0]) & (logarithms < limits[1]), np.float64)


Peak = tuple[float | None, float | None]


def log_gaussians(frequencies: Array, drives: Array) -> list[Peak]:
    """Of each curve (B, frequencies) the peak (cycles per pixel) and the full width at half height (octaves) of a
    Gaussian on a logarithmic axis.

    None without a peak between the lowest and the highest frequency, or if a curve is not of this form.
    Source: De Valois, Albrecht & Thorell 1982.
    """
    top = drives.max(1)
    fitted = ((drives > MIN_SHARE * top[:, None]).sum(1) >= MIN_POINTS) & (top > drives.min(1))
    result: list[Peak] = [(None, None)] * len(drives)
    rows = np.flatnonzero(fitted)
    if not len(rows):
        return result
    octave, shares = np.log2(frequencies), drives[rows] / top[rows, None]
    weight = np.maximum(shares, MIN_WEIGHT)  # a real curve leaves the form far below its peak
    target = weight * shares
    starts = np.stack(
        [np.ones(len(rows)), octave[shares.argmax(1)], np.full(len(rows), math.log(0.8))], axis=1
    )
    values, error = least_squares(_LogGaussians(octave, weight), target, starts)
    explained = error <= (1 - MIN_R2) * ((target - target.mean(1, keepdims=True)) ** 2).sum(1)
    width = np.exp(np.clip(values[:, 2], *WIDTH_LIMITS)) * math.sqrt(8 * LOG2)
    inside = (values[:, 1] > math.log2(frequencies[0] * 1.01)) & (
        values[:, 1] < math.log2(frequencies[-1] / 1.01)
    )
    for k in np.flatnonzero(explained & inside & (width <= MAX_OCTAVES)):
        result[rows[k]] = 2.0 ** float(values[k, 1]), float(width[k])
    return result


def log_gaussian(frequencies: Array, drive: Array) -> Peak:
    """`log_gaussians` of one curve."""
    (peak,) = log_gaussians(frequencies, drive[None])
    return peak


@dataclasses.dataclass(frozen=True)
class Gabor:
    """A Gabor function fitted to a field map; lengths in pixels from the field's center, y upward, angles in degrees.

    sigma_x_px: width along the waves, across the bars; sigma_y_px: along the bars; orientation_deg: of the bars;
    frequency_cpp: in cycles per pixel; phase_deg: 0 for a bright bar in the middle; r2: share of the map's variance
    that it explains.
    Source: Jones & Palmer 1987.
    """

    amplitude: float
    x_px: float
    y_px: float
    sigma_x_px: float
    sigma_y_px: float
    orientation_deg: float
    frequency_cpp: float
    phase_deg: float
    r2: float

    def values(self, x: Array, y: Array) -> Array:
        """The function at points x, y, in pixels from the field's center, y upward."""
        direction = math.radians(self.orientation_deg - 90)
        cos, sin = math.cos(direction), math.sin(direction)
        dx, dy = x - self.x_px, y - self.y_px
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        envelope = np.exp(-((u / self.sigma_x_px) ** 2) / 2 - (v / self.sigma_y_px) ** 2 / 2)
        wave = np.cos(2 * math.pi * self.frequency_cpp * u - math.radians(self.phase_deg))
        return np.asarray(self.amplitude * envelope * wave)


@dataclasses.dataclass(frozen=True)
class _Gabors:
    """Even and odd amplitude, center x and y, logarithms of the widths across and along the bars, direction of the
    waves, logarithm of the frequency; at points x, y (N,)."""

    x: Array
    y: Array

    def _parts(self, p: Array) -> tuple[Array, ...]:
        sx, sy, f = np.exp(np.clip(p[:, [4, 5, 7]], *GABOR_LIMITS)).T[..., None]
        cos, sin = np.cos(p[:, 6:7]), np.sin(p[:, 6:7])
        dx, dy = self.x - p[:, 2:3], self.y - p[:, 3:4]
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        envelope = np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2))
        turn = 2 * math.pi * f
        return envelope * np.cos(turn * u), envelope * np.sin(turn * u), u, v, cos, sin, sx, sy, turn

    def values(self, p: Array, which: Array) -> Array:
        even, odd, *_ = self._parts(p)
        wave: Array = p[:, :1] * even + p[:, 1:2] * odd
        return wave

    def slopes(self, p: Array, which: Array) -> Array:
        even, odd, u, v, cos, sin, sx, sy, turn = self._parts(p)
        wave = p[:, :1] * even + p[:, 1:2] * odd
        swing = turn * (p[:, 1:2] * even - p[:, :1] * odd)
        by_u, by_v = swing - wave * u / sx**2, -wave * v / sy**2
        free = _within(p[:, [4, 5, 7]], GABOR_LIMITS)[:, :, None]
        return np.stack(
            [
                even, odd, by_v * sin - by_u * cos, -by_u * sin - by_v * cos,
                wave * (u / sx) ** 2 * free[:, 0], wave * (v / sy) ** 2 * free[:, 1],
                by_u * v - by_v * u, swing * u * free[:, 2],
            ],
            axis=2,
        )  # fmt: skip


Starts = Sequence[tuple[float, float]]
"""Orientations in radians and frequencies to begin with."""


def gabors(fields: Array, x: Array, y: Array, starts: Sequence[Starts]) -> list[Gabor | None]:
    """The best fit to each map (B, rows, columns); None below an R² of 0.5.

    x, y: center of each cell, in pixels, y upward; starts: of each map.
    """
    px, py = x.ravel(), y.ravel()
    form = _Gabors(px, py)
    scale = np.abs(fields).max((1, 2), initial=0)
    targets = fields.reshape(len(fields), -1) / np.maximum(scale, 1e-300)[:, None]
    total = ((targets - targets.mean(1, keepdims=True)) ** 2).sum(1) if px.size else np.zeros(len(fields))
    problems, owners = [], []
    for k, some in enumerate(starts):
        if px.size < 9 or not total[k] > 0:
            continue
        power = targets[k] ** 2 / float((targets[k] ** 2).sum())
        cx, cy = float(power @ px), float(power @ py)
        spread = max(math.sqrt(float(power @ ((px - cx) ** 2 + (py - cy) ** 2)) / 2), 0.5)
        for orientation, frequency in some:
            for wide in (1.0, 1.8):
                problems.append([1.0, 0.0, cx, cy, math.log(spread), math.log(spread * wide),
                                 orientation - math.pi / 2, math.log(frequency)])  # fmt: skip
                owners.append(k)
    best: dict[int, tuple[float, Array]] = {}
    for first in range(0, len(problems), TOGETHER):
        p, mine = np.array(problems[first : first + TOGETHER]), np.array(owners[first : first + TOGETHER])
        even, odd, *_ = form._parts(p)
        for row, k, pair in zip(p, mine, np.stack([even, odd], axis=2), strict=True):
            row[:2] = np.linalg.lstsq(pair, targets[k], rcond=None)[0]
        for k, values, error in zip(mine, *least_squares(form, targets[mine], p), strict=True):
            if k not in best or error < best[k][0]:
                best[k] = float(error), values
    return [
        _gabor(best[k][1], 1 - best[k][0] / float(total[k]), float(scale[k])) if k in best else None
        for k in range(len(fields))
    ]


def _gabor(p: Array, r2: float, scale: float) -> Gabor | None:
    """The function of fitted parameters, to a map whose largest number is `scale`."""
    if r2 < MIN_R2:
        return None
    sx, sy, f = np.exp(np.clip(p[[4, 5, 7]], *GABOR_LIMITS))
    return Gabor(
        amplitude=scale * math.hypot(p[0], p[1]), x_px=float(p[2]), y_px=float(p[3]), sigma_x_px=float(sx),
        sigma_y_px=float(sy), orientation_deg=(math.degrees(p[6]) + 90) % 180, frequency_cpp=float(f),
        phase_deg=math.degrees(math.atan2(p[1], p[0])) * _sense(float(p[6])), r2=r2,
    )  # fmt: skip


def gabor(field: Array, x: Array, y: Array, starts: Starts) -> Gabor | None:
    """`gabors` of one map."""
    (fitted,) = gabors(field[None], x, y, [starts])
    return fitted


def _sense(direction: float) -> int:
    """Sign of the phase if the direction of the waves is taken from -90° to 90°, as that of a bar's orientation."""
    return 1 if math.cos(direction) >= 0 else -1
