"""Field maps: where bright and where dark light drives a unit, and whether the two overlap.

A simple cell has separate ON and OFF zones, a complex cell responds to bright and dark light at the same place (Hubel &
Wiesel 1962). F1/F0 alone cannot tell: a positive bias makes that of a linear unit small (Mechler & Ringach 2002).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MIN_SPOT_SHARE = 0.05
"""Spots that drive a unit less than this share of the best grating say nothing about polarity."""
MIN_SIGMAS = 4.0
"""Standard errors by which the largest cell of a map stands out from noise: of 256 cells one does at 3.5."""
MIN_OVERLAP = 0.25
"""A unit whose ON and OFF responses overlap more than this does not care about polarity."""


@dataclasses.dataclass(frozen=True)
class FieldMap:
    """Maps of one unit, rows x columns of cells.

    on, off: increase of the response by a bright and by a dark spot; weighted: response-weighted average of sparse
    noise, bright minus dark; error: standard error of its cells; gradient: derivative of the response to the best
    grating by the light in each cell.
    """

    on: Array
    off: Array
    weighted: Array
    error: float
    gradient: Array

    @property
    def clear(self) -> bool:
        """Whether the response-weighted average stands out from its noise."""
        return bool(np.abs(self.weighted).max() > MIN_SIGMAS * self.error)

    def driven(self, drive: float) -> bool:
        """Whether single spots drive the unit. drive: that of the best grating."""
        return driven(self.on, self.off, drive)


def driven(on: Array, off: Array, drive: float) -> bool:
    """Whether spots, bright or dark, drive a unit. drive: that of the best grating."""
    return max(float(on.max()), float(off.max())) >= MIN_SPOT_SHARE * drive


def field_maps(
    spots: Array, blank: Array, frames: Array, responses: Array, gradients: Array
) -> list[FieldMap]:
    """spots: responses (units, rows, columns, 2) to one bright and one dark cell; blank: (units,); frames, responses:
    sparse noise (n, rows, columns) and (units, n); gradients: (units, rows, columns)."""
    excess = responses - responses.mean(1, keepdims=True)
    share = float((frames != 0).mean())
    shown = len(frames) * share
    weighted = (excess @ frames.reshape(len(frames), -1).astype(np.float64)).reshape(
        -1, *frames.shape[1:]
    ) / shown
    errors = excess.std(1) / np.sqrt(shown)
    grown = np.maximum(spots - blank[:, None, None, None], 0)
    return [
        FieldMap(on, off, mean, float(error), gradient)
        for on, off, mean, error, gradient in zip(
            grown[..., 0], grown[..., 1], weighted, errors, gradients, strict=True
        )
    ]


def overlap(one: Array, other: Array) -> float | None:
    """How far two maps that are not negative cover each other: 0 apart, 1 equal; None if both are empty."""
    union = float(np.maximum(one, other).sum())
    return float(np.minimum(one, other).sum()) / union if union > 0 else None


def polarity_overlap(on: Array, off: Array, cycle: Array, blank: float, drive: float) -> float | None:
    """Overlap of ON and OFF responses: of the spots, or, if these hardly drive the unit, of opposite phases.

    on, off: increase of the response by bright and by dark spots; cycle: responses to the best grating, by phase;
    drive: its strength.
    """
    if driven(on, off, drive):
        return overlap(on, off)
    excess = np.maximum(cycle - blank, 0)
    half = len(cycle) // 2
    return overlap(excess[:half], excess[half : 2 * half])


def kind(f1_f0: float | None, polarity: float | None) -> str:
    """The type: "simple" or "complex"; "none" if neither the modulation nor the polarity is defined."""
    if f1_f0 is None:
        return "none"
    return "complex" if f1_f0 < 1 and (polarity is None or polarity > MIN_OVERLAP) else "simple"
