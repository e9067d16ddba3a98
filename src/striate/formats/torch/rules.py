"""Rules that turn aten operators into ops: the table, and shared helpers.

A rule is called as `f(site, *args, **kwargs)`. Values are Refs, tensors of the module are Constants, everything else is
plain. A rule raises Unknown, with the reason, for an unsupported use, and the operator becomes opaque. Any other
exception is a bug in Striate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from striate.formats import importing
from striate.formats.importing import need
from striate.ops.gather import Gather
from striate.ops.reshape import Reshape
from striate.tensor import SPATIAL

if TYPE_CHECKING:
    from striate.formats.torch.importing import Site

Rule = Callable[..., Any]
OPERATORS: dict[str, Rule] = {}


@dataclasses.dataclass(frozen=True)
class Ref(importing.Value):
    """A value of the network under construction.

    wide: the shape, without the batch, that torch has broadcast it to; the value stays small for ops that broadcast
    anyway.
    """

    wide: tuple[int, ...] | None = None


def maps(*operators: str) -> Callable[[Rule], Rule]:
    """Register the rule for these operators."""

    def add(rule: Rule) -> Rule:
        OPERATORS.update(dict.fromkeys(operators, rule))
        return rule

    return add


def ref(x: Any) -> Ref:
    """Return x, which must be a value of the network. Raises Unknown."""
    need(isinstance(x, Ref), "a constant instead of a value, or a value that a network cannot hold")
    value: Ref = x
    return value


def standard(site: Site, x: Any) -> Ref:
    """Rename the axes of x, which must be a value, N, C and spatial by position, as in torch."""
    value = ref(x)
    return rename_axes(site, value, ("N", "C", *SPATIAL[len(value.spec.axes) - 2]))


def axis_of(x: Ref, dim: int) -> str:
    """The axis of a value at torch's index `dim`. Raises Unknown for the batch axis."""
    axis = x.spec.axes[dim]
    need(axis != "N", "it acts on the batch axis")
    return axis


def rename_axes(site: Site, x: Ref, axes: Sequence[str]) -> Ref:
    """Rename the axes of x; no entry moves."""
    if x.spec.axes == tuple(axes):
        return x
    usual = tuple(axes) == ("N", "C", *SPATIAL[len(axes) - 2])
    renamed = site.node(Reshape(x.spec.shape[1:], None if usual else "".join(axes[1:])), x)
    return dataclasses.replace(renamed, wide=x.wide)


def features_last(site: Site, x: Ref) -> Ref:
    """Rename the last axis of x C, for ops that mix or normalize channels."""
    axes = x.spec.axes
    return x if axes[-1] == "C" else rename_axes(site, x, ("N", *SPATIAL[len(axes) - 2], "C"))


def broadcast(site: Site, x: Ref, shape: Sequence[int]) -> Ref:
    """Broadcast x to a shape (without the batch)."""
    need(len(shape) == len(x.spec.shape) - 1, "a value repeated along new axes")
    for axis, target in zip(x.spec.axes[1:], shape):
        size = x.spec.size(axis)
        if size != target:
            need(size == 1, f"{size} entries broadcast to {target}")
            x = site.node(Gather((0,) * target, axis), x)
    return x


def full(site: Site, x: Ref) -> Ref:
    """Broadcast x to its full shape."""
    return x if x.wide is None else broadcast(site, dataclasses.replace(x, wide=None), x.wide)


def align(site: Site, *values: Ref) -> list[Ref]:
    """Bring values to equal axis names, and one of them to the shape of torch's result."""
    need(len({len(v.spec.shape) for v in values}) == 1, "values of different rank")
    largest = max(values, key=lambda v: v.spec.elements)
    renamed = [rename_axes(site, v, largest.spec.axes) for v in values]
    sizes = zip(*(v.spec.shape[1:] for v in renamed))
    if tuple(map(max, sizes)) != tuple(site.shape[1:]):
        renamed[0] = broadcast(site, renamed[0], site.shape[1:])
    return [dataclasses.replace(v, wide=None) for v in renamed]
