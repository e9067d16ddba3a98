"""Least squares: a log-Gaussian for spatial frequency, a Gabor function for a field map."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAX_STEPS = 80
DAMPING, SMALLEST_GAIN = 1e-2, 1e-6
MIN_R2 = 0.5
"""A fit that explains less of the variance says nothing about the unit, and is left out."""
MIN_POINTS, MIN_SHARE = 3, 0.05
"""Frequencies that have to drive a unit, by this share of the best, for a curve to be fitted: it has 3 parameters."""
MIN_WEIGHT, MAX_OCTAVES = 0.1, 8.0
"""Weight of frequencies that do not drive a unit, and the width above which a curve is flat: it has no peak."""
LOG2 = math.log(2)


def least_squares(model: Callable[[Array], Array], target: Array, start: Array) -> tuple[Array, float]:
    """Parameters near `start` that minimize the squared error, and that error (Levenberg 1944, Marquardt 1963)."""
    values, damping = start.astype(np.float64), DAMPING
    residual = target - model(values)
    error = float(residual @ residual)
    for _ in range(MAX_STEPS):
        steps = 1e-6 * np.maximum(np.abs(values), 1e-2)
        slopes = np.stack([(model(values + h * e) - model(values - h * e)) / (2 * h)
                           for h, e in zip(steps, np.eye(len(values)))], axis=1)  # fmt: skip
        square, gradient = slopes.T @ slopes, slopes.T @ residual
        gain = 0.0
        for _ in range(8):
            damped = square + damping * np.diag(np.maximum(np.diag(square), 1e-12))
            try:
                trial = values + np.linalg.solve(damped, gradient)
            except np.linalg.LinAlgError:  # a parameter on which nothing depends here
                damping *= 4
                continue
            new = target - model(trial)
            new_error = float(new @ new)
            if math.isfinite(new_error) and new_error < error:
                gain = error - new_error
                values, residual, error, damping = trial, new, new_error, damping / 4
                break
            damping *= 4
        if gain <= SMALLEST_GAIN * error:
            break
    return values, error


def log_gaussian(frequencies: Array, drive: Array) -> tuple[float | None, float | None]:
    """Peak (cycles per pixel) and full width at half height (octaves) of a Gaussian on a logarithmic axis.

    None without a peak between the lowest and the highest frequency, or if the curve is not of this form.
    Source: De Valois, Albrecht & Thorell 1982.
    """
    if (drive > MIN_SHARE * drive.max()).sum() < MIN_POINTS or not drive.max() > drive.min():
        return None, None
    octave, scale = np.log2(frequencies), float(drive.max())
    weight = np.maximum(drive / scale, MIN_WEIGHT)  # a real curve leaves the form far below its peak

    def model(p: Array) -> Array:
        curve: Array = p[0] * np.exp(-((octave - p[1]) ** 2) / (2 * _octaves(p[2]) ** 2))
        return weight * curve

    start = np.array([1.0, octave[int(np.argmax(drive))], math.log(0.8)])
    values, error = least_squares(model, weight * drive / scale, start)
    peak, width = 2.0 ** float(values[1]), _octaves(float(values[2])) * math.sqrt(8 * LOG2)
    target = weight * drive / scale
    explained = error <= (1 - MIN_R2) * float(((target - target.mean()) ** 2).sum())
    if not explained or width > MAX_OCTAVES or not frequencies[0] * 1.01 < peak < frequencies[-1] / 1.01:
        return None, None
    return peak, width


def _octaves(logarithm: float) -> float:
    """Width of a Gaussian from its logarithm, within limits: a fit may ask for any."""
    return math.exp(min(max(logarithm, -4.0), 8.0))


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


def gabor(field: Array, x: Array, y: Array, starts: list[tuple[float, float]]) -> Gabor | None:
    """The best fit to a map (rows, columns); None below an R² of 0.5.

    x, y: center of each cell, in pixels, y upward; starts: (orientation in radians, frequency) to begin with.
    """
    target = field.ravel() / max(float(np.abs(field).max()), 1e-300)
    total = float(((target - target.mean()) ** 2).sum())
    if field.size < 9 or not total > 0:
        return None
    px, py = x.ravel(), y.ravel()
    power = target**2 / float((target**2).sum())
    cx, cy = float(power @ px), float(power @ py)
    spread = max(math.sqrt(float(power @ ((px - cx) ** 2 + (py - cy) ** 2)) / 2), 0.5)

    def model(p: Array) -> Array:
        cos, sin = math.cos(p[6]), math.sin(p[6])
        u, v = (px - p[2]) * cos + (py - p[3]) * sin, (py - p[3]) * cos - (px - p[2]) * sin
        sx, sy, f = (math.exp(min(max(q, -6.0), 6.0)) for q in (p[4], p[5], p[7]))
        envelope = np.exp(-(u**2) / (2 * sx**2) - v**2 / (2 * sy**2))
        wave: Array = envelope * (p[0] * np.cos(2 * math.pi * f * u) + p[1] * np.sin(2 * math.pi * f * u))
        return wave

    best: tuple[Array, float] | None = None
    for orientation, frequency in starts:
        for wide in (1.0, 1.8):
            p = np.array([1.0, 0.0, cx, cy, math.log(spread), math.log(spread * wide),
                          orientation - math.pi / 2, math.log(frequency)])  # fmt: skip
            even, odd = model(p), model(p * [0, 0, 1, 1, 1, 1, 1, 1] + [0, 1, 0, 0, 0, 0, 0, 0])
            p[:2] = np.linalg.lstsq(np.stack([even, odd], 1), target, rcond=None)[0]
            fitted = least_squares(model, target, p)
            if best is None or fitted[1] < best[1]:
                best = fitted
    if best is None:
        return None
    p, error = best
    r2 = 1 - error / total
    if r2 < MIN_R2:
        return None
    sx, sy, f = (math.exp(min(max(float(q), -6.0), 6.0)) for q in (p[4], p[5], p[7]))
    scale = float(np.abs(field).max())
    return Gabor(
        amplitude=scale * math.hypot(p[0], p[1]), x_px=float(p[2]), y_px=float(p[3]), sigma_x_px=sx, sigma_y_px=sy,
        orientation_deg=(math.degrees(p[6]) + 90) % 180, frequency_cpp=f,
        phase_deg=math.degrees(math.atan2(p[1], p[0])) * _sense(float(p[6])), r2=r2,
    )  # fmt: skip


def _sense(direction: float) -> int:
    """Sign of the phase if the direction of the waves is taken from -90° to 90°, as that of a bar's orientation."""
    return 1 if math.cos(direction) >= 0 else -1
