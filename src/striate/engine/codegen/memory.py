"""Machine code in memory."""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm

_kept: list[Any] = []


@functools.cache
def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return machine


def version() -> str:
    """LLVM's version. Raises ImportError or OSError where llvmlite is missing or does not load."""
    return ".".join(map(str, llvm.llvm_version_info))


def load(object_code: bytes) -> int:
    """Put relocatable object code into executable memory; the address of its symbol `kernel`."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _engine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    _kept.append(engine)
    return int(engine.get_function_address("kernel"))
