"""Keeping gradients in bounds: their joint length, or every number by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def global_norm(gradients: Mapping[str, Array]) -> float:
    """Euclidean length of all gradients taken as one vector; no float32 overflow on the way."""
    return math.sqrt(sum(float(np.vdot(g64, g64)) for g64 in map(_wide, gradients.values())))


def _wide(gradient: Array) -> Array:
    return gradient.ravel().astype(np.float64)


def clip_norm(gradients: dict[str, Array], limit: float, norm: float | None = None) -> float:
    """Scale all gradients so that their joint length is at most `limit`; returns the length before. In place.

    Source: Pascanu et al., arXiv 1211.5063.
    """
    norm = global_norm(gradients) if norm is None else norm
    if norm > limit:
        for gradient in gradients.values():
            gradient *= limit / norm
    return norm


def clip_value(gradients: dict[str, Array], limit: float) -> None:
    """Cut every number to [-limit, limit]. In place."""
    for gradient in gradients.values():
        np.clip(gradient, -limit, limit, out=gradient)
