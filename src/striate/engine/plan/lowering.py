"""What every algorithm says of itself: which units it computes, the padding it reads, and its kernel calls."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Generic, TypeVar, cast

from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.units import Unit

Choice = TypeVar("Choice")
Pads = tuple[int, int, int, int]
"""Rows and columns around a map: top, bottom, left, right."""


class Lowering(abc.ABC, Generic[Choice]):
    """One way to compute units. `plan.choose` lists all of them; the first one that serves a unit computes it.

    Choice: what `choose` decides for a unit, its body if there is nothing more; `border` and `calls` receive it.
    """

    bodies: ClassVar[tuple[type, ...]]
    """The types of body that it computes."""
    finishes: ClassVar[bool] = False
    """Whether it also computes what is fused into the unit: residual, clamp, epilogue."""

    def covers(self, body: Any, lanes: int) -> bool:
        """Whether it serves every unit with this body."""
        return True

    def choose(self, unit: Unit, context: PlanContext) -> Choice | None:
        """How it computes this unit, or None if it does not serve it."""
        return cast("Choice", unit.body) if self.covers(unit.body, context.target.lanes) else None

    def border(self, unit: Unit, choice: Choice, context: PlanContext) -> Pads:
        """Padding that it reads around the unit's first input."""
        return 0, 0, 0, 0

    @abc.abstractmethod
    def calls(self, unit: Unit, choice: Choice, context: PlanContext) -> list[KernelCall]:
        """The kernel calls of the unit."""
