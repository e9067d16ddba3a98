"""One-axis window algebra in exact integers: sizes, lost pixels, pixel use, receptive fields, fitting sizes.

Handles one axis at a time and knows no op, network or tensor. A map says which inputs each output of an axis reads;
`Window` is the sliding one, the others follow the same protocol.
"""

from striate.geometry.congruence import Condition, SizeLaw, solve
from striate.geometry.field import ReceptiveField
from striate.geometry.maps import (
    Adaptive,
    AxisMap,
    Cubic,
    Linear,
    Listed,
    Nearest,
    Shift,
    TransposedWindow,
    Whole,
)
from striate.geometry.window import PADDING_MODES, PADDING_POLICIES, Window, fold, padding_for

__all__ = [
    "PADDING_MODES",
    "PADDING_POLICIES",
    "Adaptive",
    "AxisMap",
    "Condition",
    "Cubic",
    "Linear",
    "Listed",
    "Nearest",
    "ReceptiveField",
    "Shift",
    "SizeLaw",
    "TransposedWindow",
    "Whole",
    "Window",
    "fold",
    "padding_for",
    "solve",
]
