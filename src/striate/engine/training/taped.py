"""The first stages of a training plan: the units of both passes, and those that the backward pass computes again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar

from striate.engine.plan import soundness
from striate.engine.plan.stages import Stage
from striate.engine.plan.units import Buffer, Copied, Unit
from striate.network import Network
from striate.op import Noise


@dataclasses.dataclass(frozen=True)
class StepBuffers:
    """Buffers of a training step that others than its units use.

    inputs, parameter_inputs, noise, seeds (gradients of the outputs): written before a run. outputs, updates (running
    statistics), gradients: results by name. parameters: those of `parameter_inputs` in row-major order.
    """

    inputs: Mapping[str, Buffer]
    parameters: Mapping[str, Buffer]
    parameter_inputs: tuple[tuple[str, Buffer], ...]
    noise: tuple[tuple[Buffer, Noise], ...]
    outputs: Mapping[str, Buffer]
    seeds: Mapping[str, Buffer]
    updates: Mapping[str, Buffer]
    gradients: Mapping[str, Buffer]

    def copied(self, copied: Copied) -> StepBuffers:
        """The copies of these buffers."""
        return StepBuffers(
            copied.buffers(self.inputs),
            copied.buffers(self.parameters),
            tuple((name, copied.buffer(value)) for name, value in self.parameter_inputs),
            tuple((copied.buffer(value), noise) for value, noise in self.noise),
            copied.buffers(self.outputs),
            copied.buffers(self.seeds),
            copied.buffers(self.updates),
            copied.buffers(self.gradients),
        )


@dataclasses.dataclass(frozen=True)
class Taped(Stage):
    """Units of a training step: those of the forward pass, then, from `first_backward` on, of the backward pass."""

    name: ClassVar[str] = "fused"
    net: Network
    units: tuple[Unit, ...]
    first_backward: int
    buffers: StepBuffers

    def faults(self) -> Iterator[str]:
        yield from soundness.one_writer(self.units)
        yield from soundness.written_before_read(self.units)
        written = {value.root for unit in self.units for value in unit.outputs}
        for kind in ("outputs", "updates", "gradients"):
            for name, value in getattr(self.buffers, kind).items():
                if value.root not in written:
                    yield f"no unit writes {name} of the {kind}"


@dataclasses.dataclass(frozen=True)
class Repeated(Taped):
    """The same, with units that the backward pass computes again. again: their number; alike: pairs of buffers, a value
    and the same one computed again, which get the same border."""

    name: ClassVar[str] = "repeated"
    again: int
    alike: Mapping[Buffer, Buffer]

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        dropped = set(self.alike)
        for unit in self.units[self.first_backward :]:
            for value in unit.reads:
                if value.root in dropped:
                    yield f"{unit.name} reads {value.name}, which is not kept for the backward pass"
