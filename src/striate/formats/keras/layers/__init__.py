"""The meaning of each Keras layer in Striate, one family per file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.formats.keras.layers import functions, merges, moves, norms, windows
from striate.formats.keras.layers.register import READERS

if TYPE_CHECKING:
    from striate.formats.keras.site import Site

SAME_SHAPE = frozenset((
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "UnitNormalization", "RMSNormalization",
    "LayerNormalization", "BatchNormalization", "GroupNormalization", "Normalization", "Rescaling", "Dropout",
    "Masking", "MultiHeadAttention", "CLAHE", "Equalization", "AutoContrast", "Solarization", "MixUp", "CutMix",
))  # fmt: skip
"""Layers whose output always has the shape of their input."""


def shape(site: Site, source: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """Output shape, in Keras, of a layer without a counterpart; None if it cannot be derived."""
    kind, space = site.layer.kind, slice(1, -1) if site.last else slice(2, None)
    if kind in SAME_SHAPE:
        return source if site.get("output_shape") is None else None
    sizes: list[int | None] = list(source)
    if kind.startswith("UpSampling"):
        sizes[space] = [n * f for n, f in zip(source[space], site.sizes("size", len(source) - 2))]
    elif kind in ("Resizing", "CenterCrop", "RandomCrop"):
        sizes[space] = [site.get("height"), site.get("width")]
    else:
        return None
    fine = all(n is None or (type(n) is int and n > 0) for n in sizes)
    return tuple(sizes) if fine and len(sizes) == len(source) else None


__all__ = ["READERS", "SAME_SHAPE", "functions", "merges", "moves", "norms", "shape", "windows"]
