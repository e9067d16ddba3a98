"""What each layer of Keras means here, one family per file."""

from striate.formats.keras.layers import functions, merges, moves, norms, windows
from striate.formats.keras.layers.register import READERS

SAME_SHAPE = ("UnitNormalization", "RMSNormalization", "SpectralNormalization", "ActivityRegularization")
"""Layers without a counterpart here whose output has the shape of their input."""

__all__ = ["READERS", "SAME_SHAPE", "functions", "merges", "moves", "norms", "windows"]
