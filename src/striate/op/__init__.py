"""Base of all ops: frozen fields and a declaration from which everything else is derived. Knows no particular op."""

from striate.fields import choice, flag, number, text
from striate.op import spelling
from striate.op.base import ANY, Op, Windowed, op_class, registry
from striate.op.declaration import Declaration, Noise, Reading
from striate.op.fields import Padding, Sizes, count, integers, mode, note, padding, sizes
from striate.op.traits import Trait
from striate.tensor import MAX_SIZE

__all__ = [
    "ANY",
    "MAX_SIZE",
    "Declaration",
    "Noise",
    "Op",
    "Padding",
    "Reading",
    "Sizes",
    "Trait",
    "Windowed",
    "choice",
    "count",
    "flag",
    "integers",
    "mode",
    "note",
    "number",
    "op_class",
    "padding",
    "registry",
    "sizes",
    "spelling",
    "text",
]
