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
    flat = (gradient.ravel() for gradient in gradients.values())
    return math.sqrt(sum(float(np.einsum("i,i->", g, g, dtype=np.float64)) for g in flat))


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
