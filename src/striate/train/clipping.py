"""Gradient clipping, by the norm of all gradients or by element."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def global_norm(gradients: Mapping[str, Array]) -> float:
    """Euclidean norm of all gradients as one vector, summed in float64."""
    flat = (gradient.ravel() for gradient in gradients.values())
    return math.sqrt(sum(float(np.einsum("i,i->", g, g, dtype=np.float64)) for g in flat))


def clip_norm(gradients: dict[str, Array], limit: float, norm: float | None = None) -> float:
    """Scale all gradients in place so that their global norm is at most `limit`; return the norm before.

    Source: Pascanu et al., arXiv 1211.5063.
    """
    norm = global_norm(gradients) if norm is None else norm
    if norm > limit:
        for gradient in gradients.values():
            gradient *= limit / norm
    return norm


def clip_value(gradients: dict[str, Array], limit: float) -> None:
    """Clip every element to [-limit, limit], in place."""
    for gradient in gradients.values():
        np.clip(gradient, -limit, limit, out=gradient)
