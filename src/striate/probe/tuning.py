"""Tuning to gratings: responses (units, orientations, frequencies, phases) -> measures, each None if undefined.

R is the response, R0 that to the blank screen. A measure that has no value for a unit is None, never 0: a unit that
does not respond has no orientation. Sources: Skottun et al. 1991; Ringach, Shapley & Hawken 2002; Mazurek, Kager & Van
Hooser 2014; De Valois, Albrecht & Thorell 1982; Niell & Stryker 2008.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.probe.fits import log_gaussians

Array = NDArray[Any]

MIN_SELECTIVITY = 0.01
"""A unit with a lower gOSI prefers no orientation."""
SMOOTHING_DEG = 13.5
"""Half width of the Hann window that smooths a tuning curve before its bandwidth is measured (Ringach 2002)."""
TIE = 1e-4
"""Drives that differ by less than this share are equal; the lower frequency counts."""
MIN_PHASE_MODULATION = 0.1
"""Below this F1/F0 a unit has no preferred phase."""


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Measures of one unit. Angles in degrees, frequencies in cycles per pixel, None if undefined.

    orientation: of the bar, from the vector sum; best_orientation: of the strongest grating; cv: circular variance;
    osi: two-point index; bandwidth: half width at 1/√2 of the peak; frequency, octaves: peak and full width at half
    height of the log-Gaussian fit; f0, f1: mean and first harmonic for the strongest grating; phase: of the grating at
    the field's center; best: indices (orientation, frequency) of the strongest grating.
    """

    orientation: float | None
    best_orientation: float
    cv: float
    osi: float
    bandwidth: float | None
    frequency: float | None
    octaves: float | None
    f0: float
    f1: float
    f1_f0: float | None
    phase: float | None
    drive: float
    best: tuple[int, int]

    MEASURES = ("orientation", "cv", "osi", "bandwidth", "frequency", "octaves", "f1_f0", "phase")


def harmonics(responses: Array) -> tuple[Array, Array]:
    """Mean F0 and amplitude F1 of the first harmonic over the last axis, the phases."""
    count = responses.shape[-1]
    turn = np.exp(-2j * math.pi * np.arange(count) / count)
    return responses.mean(-1), 2 / count * np.abs(responses @ turn)


def drive(responses: Array, blank: Any) -> Array:
    """D = max(F0 - R0, F1), at least 0.

    The mean alone hides the tuning of a unit with a positive bias, and the harmonic alone that of a complex cell.
    """
    f0, f1 = harmonics(responses)
    strength: Array = np.maximum(np.maximum(f0 - np.asarray(blank)[..., None, None], f1), 0)
    return strength


def tune(
    responses: Array, blank: float, orientations: Sequence[float], frequencies: Sequence[float]
) -> Tuning | None:
    """Measures of one unit, None without a response. responses: (orientations, frequencies, phases); radians."""
    (found,) = tune_units(responses[None], np.array([blank]), orientations, frequencies)
    return found


def tune_units(
    responses: Array, blank: Array, orientations: Sequence[float], frequencies: Sequence[float]
) -> list[Tuning | None]:
    """Measures of each unit, None without a response.

    responses: (units, orientations, frequencies, phases); blank: (units,); orientations in radians.
    """
    d, (f0, f1) = drive(responses, blank), harmonics(responses)
    angles, count = np.array(orientations), responses.shape[-1]
    cycle = np.exp(2j * math.pi * np.arange(count) / count)
    best: dict[int, tuple[int, int]] = {}
    for k, strengths in enumerate(d):
        strongest = float(strengths.max())
        if not strongest > 0:
            continue
        rate = int(np.argmax((strengths >= strongest * (1 - TIE)).any(0)))
        curve = strengths[:, rate]
        best[k] = int(np.argmax(curve >= curve.max() * (1 - TIE))), rate
    peaks = dict(
        zip(best, log_gaussians(np.array(frequencies), np.stack([d[k, turn] for k, (turn, _) in best.items()])))
    ) if best else {}  # fmt: skip
    result: list[Tuning | None] = [None] * len(responses)
    for k, (turn, rate) in best.items():
        curve = d[k, :, rate]
        vector = complex((curve * np.exp(2j * angles)).sum())
        selectivity = abs(vector) / float(curve.sum())
        orthogonal = curve[(turn + len(curve) // 2) % len(curve)]
        mean, first = float(f0[k, turn, rate]), float(f1[k, turn, rate])
        ratio = first / mean if mean > TIE * first else None
        phase = None
        if ratio is not None and ratio >= MIN_PHASE_MODULATION:
            phase = math.degrees(float(np.angle(responses[k, turn, rate] @ cycle)))
        frequency, octaves = peaks[k]
        result[k] = Tuning(
            orientation=_half_turn(math.degrees(np.angle(vector)) / 2) if selectivity >= MIN_SELECTIVITY else None,
            best_orientation=math.degrees(angles[turn]),
            cv=1 - selectivity,
            osi=float((curve[turn] - orthogonal) / (curve[turn] + orthogonal)),
            bandwidth=bandwidth(curve, angles) if selectivity >= MIN_SELECTIVITY else None,
            frequency=frequency, octaves=octaves, f0=mean, f1=first, f1_f0=ratio, phase=phase,
            drive=float(d[k].max()), best=(turn, rate),
        )  # fmt: skip
    return result


def bandwidth(curve: Array, angles: Array) -> float | None:
    """Half width in degrees at 1/√2 of the smoothed peak; None if the curve never falls to it."""
    step = 180 / len(curve)
    reach = int(SMOOTHING_DEG / step)
    window = [1 + math.cos(math.pi * k * step / SMOOTHING_DEG) for k in range(-reach, reach + 1)]
    shifted = np.stack([np.roll(curve, k - reach) for k in range(len(window))], axis=1)
    smooth: Array = shifted @ np.array(window) / sum(window)
    top = int(np.argmax(smooth))
    level = smooth[top] / math.sqrt(2)
    widths = []
    for side in (1, -1):
        line = smooth[(top + side * np.arange(len(curve) // 2 + 1)) % len(curve)]
        below = np.flatnonzero(line < level)
        if not len(below):
            return None
        k = int(below[0])
        widths.append(step * (k - 1 + (line[k - 1] - level) / (line[k - 1] - line[k])))
    return float(sum(widths) / 2)


def uncertainty(
    responses: Array, blank: Array, orientations: Sequence[float], frequencies: Sequence[float]
) -> list[dict[str, float | None]]:
    """Of each unit, measure -> half the difference between results from halves of the stimuli, the larger of two ways
    to halve.

    Every second orientation, and every second phase: a network has no noise, so what is uncertain is what the grid
    of stimuli leaves out. None where a half has no value.
    """
    ways = [
        [tune_units(responses[:, k::2], blank, orientations[k::2], frequencies) for k in (0, 1)],
        [tune_units(responses[..., k::2], blank, orientations, frequencies) for k in (0, 1)],
    ]
    shift = 360 / responses.shape[-1]  # the second half of the phases begins one step later
    return [
        {
            name: _spread([(first[k], second[k]) for first, second in ways], name, shift)
            for name in Tuning.MEASURES
        }
        for k in range(len(responses))
    ]


def _spread(ways: Sequence[tuple[Tuning | None, Tuning | None]], name: str, shift: float) -> float | None:
    """Half of the larger difference of a measure between two halves. shift: of the phases of the second way."""
    period = {"orientation": 180.0, "phase": 360.0}.get(name, 0.0)
    spreads: list[float] = []
    for n, halves in enumerate(ways):
        a, b = (None if half is None else getattr(half, name) for half in halves)
        if a is None or b is None:
            return None
        gap = b - a + (shift if n and name == "phase" else 0)
        spreads.append(abs((gap + period / 2) % period - period / 2 if period else gap) / 2)
    return max(spreads)


def _half_turn(degrees: float) -> float:
    """An orientation as 0 to 180 degrees."""
    turned = degrees % 180
    return 0.0 if turned >= 180 else turned
