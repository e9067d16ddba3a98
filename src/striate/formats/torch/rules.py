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
    """x, which must be a value of the network."""
    need(isinstance(x, Ref), "a constant instead of a value, or a value that a network cannot hold")
    found: Ref = x
    return found


def standard(site: Site, x: Any) -> Ref:
    """x, which must be a value, with axes renamed N, C and spatial by position, as in torch."""
    value = ref(x)
    return named(site, value, ("N", "C", *SPATIAL[len(value.spec.axes) - 2]))


def axis_of(x: Ref, dim: int) -> str:
    """The axis of a value at torch's index `dim`. Raises Unknown for the batch axis."""
    axis = x.spec.axes[dim]
    need(axis != "N", "it acts on the batch axis")
    return axis


def named(site: Site, x: Ref, axes: Sequence[str]) -> Ref:
    """x with renamed axes; no entry moves."""
    if x.spec.axes == tuple(axes):
        return x
    usual = tuple(axes) == ("N", "C", *SPATIAL[len(axes) - 2])
    made = site.node(Reshape(x.spec.shape[1:], None if usual else "".join(axes[1:])), x)
    return dataclasses.replace(made, wide=x.wide)


def features_last(site: Site, x: Ref) -> Ref:
    """x with its last axis named C, for ops that mix or normalize channels."""
    axes = x.spec.axes
    return x if axes[-1] == "C" else named(site, x, ("N", *SPATIAL[len(axes) - 2], "C"))


def spread(site: Site, x: Ref, whole: Sequence[int]) -> Ref:
    """x broadcast to a shape (without the batch)."""
    need(len(whole) == len(x.spec.shape) - 1, "a value repeated along new axes")
    for axis, wanted in zip(x.spec.axes[1:], whole):
        size = x.spec.size(axis)
        if size != wanted:
            need(size == 1, f"{size} entries broadcast to {wanted}")
            x = site.node(Gather((0,) * wanted, axis), x)
    return x


def full(site: Site, x: Ref) -> Ref:
    """x broadcast to its full shape."""
    return x if x.wide is None else spread(site, dataclasses.replace(x, wide=None), x.wide)


def together(site: Site, *values: Ref) -> list[Ref]:
    """Values with equal axis names, which give the size that torch gives."""
    need(len({len(v.spec.shape) for v in values}) == 1, "values of different rank")
    largest = max(values, key=lambda v: v.spec.elements)
    found = [named(site, v, largest.spec.axes) for v in values]
    sizes = zip(*(v.spec.shape[1:] for v in found))
    if tuple(map(max, sizes)) != tuple(site.shape[1:]):
        found[0] = spread(site, found[0], site.shape[1:])
    return [dataclasses.replace(v, wide=None) for v in found]
