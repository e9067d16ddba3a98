"""The addresses of kernels' machine code: in memory, from the disk, or compiled now."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable

from striate.diagnostics import EngineError
from striate.engine.codegen import code_cache, loader
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import Target, able, why_not
from striate.locks import fork_safe_lock

TRIM_AFTER_KERNELS = 64
"""Kernels kept between two trims of the folder: each looks at the state of every file in it."""
_since = TRIM_AFTER_KERNELS
_loaded: dict[tuple[Target, Kernel], int] = {}
_lock = fork_safe_lock()


@dataclasses.dataclass
class CompileStats:
    """Kernels that this process has compiled, and the seconds that it has waited for them."""

    kernels: int = 0
    seconds: float = 0.0


compile_stats = CompileStats()

unloadable: dict[Kernel, str] = {}
"""Kernels our ELF loader refused, with the reason; LLVM's loader handled them."""


def addresses(target: Target, kernels: Iterable[Kernel]) -> dict[Kernel, int]:
    """Addresses of each kernel's machine code in this process: from memory, from disk, or compiled now.

    Raises EngineError when code for `target` cannot be made or run here.
    """
    unique = list(dict.fromkeys(kernels))
    with _lock:
        missing = [kernel for kernel in unique if (target, kernel) not in _loaded]
        if missing:
            if target.name not in {other.name for other in able()}:
                raise EngineError(
                    f"code for {target.name} does not run on this machine",
                    why=why_not() or "the processor lacks instructions that it uses",
                    fix='use the target that `striate doctor` shows, or engine="numpy"',
                )
            for kernel, address in _load_codes(*_codes(target, missing)).items():
                _loaded[target, kernel] = address
    return {kernel: _loaded[target, kernel] for kernel in unique}


def _codes(target: Target, kernels: list[Kernel]) -> tuple[dict[Kernel, loader.Image], dict[Kernel, bytes]]:
    """Object code and its images, from disk; missing code is compiled and kept.

    Code on disk that the loader refuses is compiled again: LLVM's own loader aborts the process on damaged code.
    """
    folder, _ = code_cache.open_folder()
    keys = {kernel: code_cache.key(target, kernel.template, kernel.parameters) for kernel in kernels}
    with contextlib.closing(folder) if folder else contextlib.nullcontext():
        images: dict[Kernel, loader.Image] = {}
        codes: dict[Kernel, bytes] = {}
        for kernel, key in keys.items():
            code = folder.get(key) if folder and key else None
            with contextlib.suppress(ValueError):
                if code is not None:
                    images[kernel], codes[kernel] = loader.parse(code), code
        missing = [kernel for kernel in kernels if kernel not in images]
        if missing:
            from striate.engine.codegen.compiling import compile_kernels

            began = time.monotonic()
            with contextlib.closing(compile_kernels(target, missing)) as results:
                for kernel, code in results:
                    codes[kernel], key = code, keys[kernel]
                    if folder and key and code_cache.sources_unchanged():
                        folder.put(key, code)
            compile_stats.kernels += len(missing)
            compile_stats.seconds += time.monotonic() - began
            if folder and _is_trim_due(len(missing)):
                folder.trim()
    return images, codes


def _is_trim_due(count: int) -> bool:
    """Whether the folder is due for trimming: after TRIM_AFTER_KERNELS new kernels, and the first time."""
    global _since
    _since += count
    due = _since > TRIM_AFTER_KERNELS
    _since = 0 if due else _since
    return due


def _load_codes(images: dict[Kernel, loader.Image], codes: dict[Kernel, bytes]) -> dict[Kernel, int]:
    """Addresses in executable memory, by Striate's loader; by LLVM's loader for fresh code that Striate's refuses."""
    result: dict[Kernel, int] = {}
    for kernel, code in codes.items():
        if kernel in images:
            continue
        try:
            images[kernel] = loader.parse(code)
        except ValueError as error:
            unloadable[kernel] = str(error)
    try:
        result = dict(zip(images, loader.load(list(images.values()))))
    except (OSError, ValueError) as error:
        unloadable.update(dict.fromkeys(images, str(error)))
    rest = [kernel for kernel in codes if kernel not in result]
    if rest:
        from striate.engine.codegen import memory

        for kernel in rest:
            result[kernel] = memory.load(codes[kernel])
    return result
