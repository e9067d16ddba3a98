"""llvmlite's builder of LLVM code, and the types that templates use; imported when the first of them is asked for.

Planning needs the names and sizes of templates and never their code: a process whose kernels are all on disk runs
without llvmlite.
"""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, tuple[Any, ...]] = {
    "I64": ("IntType", 64),
    "I32": ("IntType", 32),
    "F32": ("FloatType",),
    "F64": ("DoubleType",),
    "PTR": ("PointerType",),
    "VOID": ("VoidType",),
}


def __getattr__(name: str) -> Any:
    from llvmlite import ir

    kind, *numbers = _TYPES.get(name, (name,))
    value = getattr(ir, kind)
    globals()[name] = value(*numbers) if name in _TYPES else value
    return globals()[name]
