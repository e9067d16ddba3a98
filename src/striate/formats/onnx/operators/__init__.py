"""The meaning of every operator in ONNX and in Striate: one file per family, readers next to writers.

A new op is a reader and a writer side by side, or one line in `functions.py`.
"""

from striate.formats.onnx.operators import arithmetic, functions, moves, norms, products, resampling, windows
from striate.formats.onnx.operators.register import READERS, WRITERS

__all__ = [
    "READERS",
    "WRITERS",
    "arithmetic",
    "functions",
    "moves",
    "norms",
    "products",
    "resampling",
    "windows",
]
