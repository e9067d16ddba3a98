"""The stages of a plan. Each is made from the one before, which stays as it was, and can prove that it is sound."""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from striate.diagnostics import EngineError
from striate.engine.plan import soundness
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.plan.per_image import PerImageSpan
from striate.engine.plan.units import Buffer, Unit
from striate.network import Network

VERIFY = "STRIATE_VERIFY"
"""Environment variable: prove each stage of a plan when it is made, and each plan before it runs ("small": only small
plans before they run)."""


class Stage(abc.ABC):
    """What one stage of planning made."""

    name: ClassVar[str]
    net: Network

    @abc.abstractmethod
    def faults(self) -> Iterator[str]:
        """What is wrong, in words; nothing if the stage is sound."""

    def verify(self) -> None:
        """Raises EngineError if something is wrong."""
        faults = list(self.faults())
        if faults:
            raise EngineError(
                f"the plan of {self.net.name} is wrong after the stage {self.name!r}",
                why="; ".join(faults[:5]),
                fix="report it with the network: this is a bug in Striate",
            )


def verified(stages: Iterable[Stage]) -> Iterator[Stage]:
    """The stages, each verified as it is made where the environment asks for it."""
    asked = bool(os.environ.get(VERIFY))
    for stage in stages:
        if asked:
            stage.verify()
        yield stage


@dataclasses.dataclass(frozen=True)
class Fused(Stage):
    """Nodes fused into units, in execution order. values: all buffers by name; keep: names of the results."""

    name: ClassVar[str] = "fused"
    net: Network
    units: tuple[Unit, ...]
    values: Mapping[str, Buffer]
    keep: tuple[str, ...]

    def faults(self) -> Iterator[str]:
        yield from soundness.nodes_once(self.units, self.net)
        yield from soundness.one_writer(self.units)
        yield from soundness.written_before_read(self.units)
        written = {value.root for unit in self.units for value in unit.outputs}
        for name in self.keep:
            if not self.values[name].root.is_input and self.values[name].root not in written:
                yield f"no unit writes the result {name}"


@dataclasses.dataclass(frozen=True)
class Placed(Stage):
    """Units whose buffers have homes, layouts and borders, copies in and out included.

    first_backward: number of the first unit of the backward pass, in training.
    """

    name: ClassVar[str] = "placed"
    net: Network
    units: tuple[Unit, ...]
    first_backward: int | None = None

    def faults(self) -> Iterator[str]:
        yield from soundness.one_writer(self.units)
        yield from soundness.written_before_read(self.units)
        yield from soundness.inside_homes(self.units)
        yield from soundness.with_layouts(self.units)


@dataclasses.dataclass(frozen=True)
class Spanned(Stage):
    """Kernel calls for the whole batch, and the spans of them that run image by image."""

    name: ClassVar[str] = "spanned"
    net: Network
    units: tuple[Unit, ...]
    calls: tuple[KernelCall, ...]
    spans: tuple[PerImageSpan, ...]

    def faults(self) -> Iterator[str]:
        yield from soundness.with_layouts(self.units)
        yield from soundness.inside_homes(self.units)
        yield from soundness.spans_alone(self.calls, [(s.first, s.end, s.inner) for s in self.spans])


@dataclasses.dataclass(frozen=True)
class Stepped(Stage):
    """Kernel calls in the order of the run, divided into tasks, and the epoch of each.

    spans: (first, second_image, end) of each span, as `per_image.expand` returns them. first_backward: number of the
    first call of the backward pass, in training.
    """

    name: ClassVar[str] = "stepped"
    net: Network
    calls: tuple[KernelCall, ...]
    epochs: tuple[int, ...]
    spans: tuple[tuple[int, int, int], ...] = ()
    first_backward: int | None = None

    def faults(self) -> Iterator[str]:
        yield from soundness.tasks_cover(self.calls)
        yield from soundness.calls_written_before_read(self.calls)
        yield from soundness.epochs_apart(self.calls, self.epochs)
