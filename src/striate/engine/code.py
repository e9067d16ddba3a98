"""Kernels by name: which template, with which numbers; and the addresses of their machine code."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable

from striate.engine.target import Target


@dataclasses.dataclass(frozen=True, order=True)
class Kernel:
    """A template of `engine/kernels/` and what it is made for: kernels/<template>.py's `emit(target, *numbers)`."""

    template: str
    numbers: tuple[int | str, ...] = ()

    def text(self, target: Target) -> str:
        """The function in LLVM's language."""
        return str(importlib.import_module(f"striate.engine.kernels.{self.template}").emit(target, *self.numbers))


_loaded: dict[tuple[Target, Kernel], int] = {}


def addresses(target: Target, kernels: Iterable[Kernel]) -> dict[Kernel, int]:
    """Where each kernel's machine code lies in this process."""
    from striate.engine import emit, runtime

    wanted = list(dict.fromkeys(kernels))
    for kernel in wanted:
        if (target, kernel) not in _loaded:
            _loaded[target, kernel] = runtime.load(emit.object_code(target, kernel.text(target)))
    return {kernel: _loaded[target, kernel] for kernel in wanted}
