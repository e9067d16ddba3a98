"""A kernel: a template and its parameters."""

from __future__ import annotations

import dataclasses
import importlib

from striate.engine.target import Target


@dataclasses.dataclass(frozen=True, order=True)
class Kernel:
    """A template of `engine/kernels/` with its parameters: kernels/<template>.py's `emit(target, *parameters)`."""

    template: str
    parameters: tuple[int | str, ...] = ()

    def text(self, target: Target) -> str:
        """The function in LLVM's language."""
        return str(
            importlib.import_module(f"striate.engine.kernels.{self.template}").emit(target, *self.parameters)
        )
