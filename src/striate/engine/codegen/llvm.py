"""From a function's text to machine code: LLVM's passes, object code, and assembly for people and tests."""

from __future__ import annotations

import functools
from typing import Any

from striate.engine.target import Target


@functools.cache
def machine(target: Target) -> Any:
    """LLVM's target machine, which generates code."""
    import llvmlite.binding as llvm  # LLVM itself, 40 MB: planning needs only the templates' constants

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm_target = llvm.Target.from_triple(target.triple)
    return llvm_target.create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


def optimize(target: Target, text: str) -> Any:
    """Run LLVM's passes; returns the function's module.

    Without unrolling and vectorizers: templates unroll by themselves, within the available registers.
    """
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    options.loop_interleaving = False
    builder = llvm.create_pass_builder(machine(target), options)
    manager = builder.getModulePassManager()
    manager.run(module, builder)
    return module


def object_code(target: Target, text: str) -> bytes:
    """Relocatable object code with the one symbol `kernel`."""
    return bytes(machine(target).emit_object(optimize(target, text)))


def assembly(target: Target, text: str) -> str:
    """Assembly text, for people and for tests."""
    return str(machine(target).emit_assembly(optimize(target, text)))
