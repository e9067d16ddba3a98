"""What each layer of Keras means here, one family per file."""

from striate.formats.keras.layers import functions, merges, moves, norms, windows
from striate.formats.keras.layers.register import READERS

SAME_SHAPE = frozenset((
    "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "UnitNormalization", "RMSNormalization",
    "LayerNormalization", "BatchNormalization", "GroupNormalization", "Normalization", "Rescaling", "Dropout",
    "Masking", "MultiHeadAttention", "CLAHE", "Equalization", "AutoContrast", "Solarization", "MixUp", "CutMix",
))  # fmt: skip
"""Layers whose output has the shape of their input, whatever their settings: known where the file does not say it."""

__all__ = ["READERS", "SAME_SHAPE", "functions", "merges", "moves", "norms", "windows"]
