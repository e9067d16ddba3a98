"""What every operator means, here and in ONNX: one file per family, reading next to writing.

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
