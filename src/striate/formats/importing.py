"""Code shared by the three importers: values, reasons of unsupported uses, undoing a failed rule, importer bugs.

An importer's rule raises `Unknown`, or a StriateError of the op that it places, if Striate has no counterpart for a
use. The operator then becomes an opaque node that keeps the reason. Any other exception is a bug in the rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, TypeVar

from striate.diagnostics import InternalError, StriateError
from striate.network import Node
from striate.tensor import SPATIAL, TensorSpec

STEEP = 3e38
"""A slope that maps every normal float32 to 1 or more without overflow at 1."""
WHY_MAX = 300
"""Maximum characters of a reason."""


class Unknown(Exception):
    """Unsupported use of an operator; the message says why."""


def reason(error: Unknown | StriateError) -> str:
    """Why an operator became opaque, on one line."""
    text = error.what if isinstance(error, StriateError) else str(error)
    return " ".join(text.split())[:WHY_MAX]


def fault(operator: str, where: str, error: Exception) -> InternalError:
    """The error for a rule that crashed instead of raising Unknown."""
    return InternalError(
        f"reading {operator} failed: {type(error).__name__}: {str(error)[:200]}",
        where=where,
        why=f"this is a bug in Striate: its rule for {operator} does not handle this use",
        fix="report it with the file, or with the source lines of the operator",
    )


def need(condition: Any, otherwise: str) -> None:
    """Raise Unknown with the reason `otherwise` unless the condition holds."""
    if not condition:
        raise Unknown(otherwise)


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the network under construction: its name, and its spec if known.

    If no TensorSpec can express its shape (for example, the batch is not first), `known` is None, `hidden` is the
    shape, and `name` is the last value before it that has a spec: an opaque node after it replaces all operators in
    between.
    """

    name: str
    known: TensorSpec | None
    hidden: tuple[Any, ...] | None = dataclasses.field(default=None, kw_only=True)

    @property
    def spec(self) -> TensorSpec:
        """Its spec. Raises Unknown."""
        if self.known is None:
            raise Unknown("the shape of its input is unknown")
        return self.known


V = TypeVar("V", bound=Value)


def distinct(values: Iterable[V]) -> list[V]:
    """Values in order, one per name: the inputs of an opaque node."""
    return [*{value.name: value for value in values}.values()]


def expressible(shape: Sequence[int], batch: int) -> bool:
    """Return whether a TensorSpec can express a shape: the batch is first, and there are at most three spatial axes."""
    return len(shape) - 2 in SPATIAL and shape[0] == batch


def undo(nodes: list[Node], weights: MutableMapping[str, Any], before: int) -> tuple[list[str], list[str]]:
    """Remove the nodes that a failed rule has added to the first `before`, and their weights.

    Returns the names of both. A parameter's name has no dot: `layer1.conv.weight` is not a weight of `layer1`.
    """
    names = [node.name for node in nodes[before:]]
    del nodes[before:]
    keys = [key for key in weights if key.rpartition(".")[0] in names] if names else []
    for key in keys:
        del weights[key]
    return names, keys
