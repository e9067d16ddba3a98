"""Groups of channels smaller than a block, merged into whole blocks: products with zeros in between."""

from __future__ import annotations

import dataclasses
import math

from striate.engine.plan import dense, windows
from striate.engine.plan.computation import Correlation
from striate.engine.plan.units import Buffer
from striate.engine.training.taped_node import AnyNode
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Affine, Domain, Index, Load, Statement, index, load

MAX_WASTED_PRODUCTS = 16
"""Merge small groups into one block while there are at most this many wasted products (with zeros) per useful one."""


def merge_groups(body: Correlation, lanes: int) -> Correlation | None:
    """Merge the groups of a grouped correlation until they fill blocks, or all of them; None if that is not needed or
    too wasteful."""
    if body.groups == 1 or windows.slides(body) or dense.covers(body, lanes):
        return None
    times = math.lcm(lanes // math.gcd(lanes, body.depth), lanes // math.gcd(lanes, body.outputs))
    if body.groups % times:
        times = body.groups
    wide = dataclasses.replace(
        body, groups=body.groups // times, depth=body.depth * times, outputs=body.outputs * times
    )
    return wide if times <= MAX_WASTED_PRODUCTS and dense.covers(wide, lanes) else None


def merged_weight(builder: UnitBuilder, node: AnyNode, body: Correlation, wide: Correlation) -> Buffer:
    """The weight of merged groups, row-major: zeros where a filter does not read a channel. Computed first, so that
    packing need not wait."""
    weight, times = builder.parameters[node.key("weight")], body.groups // wide.groups
    shape = (weight.shape[0], weight.shape[1] * times, *weight.shape[2:])
    merged = Buffer(f"{weight.name} of groups together", shape, weight.roles, lanes=1)
    rows, columns, taps, domain = _diagonal(body, wide, weight.shape)
    statement = Statement("w", (rows, columns, *taps), load("weight", rows, "c", *taps), domain)
    builder.append_nests(node.name, [(statement, False)], {"w": merged, "weight": weight})
    builder.units.insert(0, builder.units.pop())
    return merged


def emit_gradient(builder: UnitBuilder, node: AnyNode, body: Correlation, dw: Buffer, taps: int) -> None:
    """Register the gradient of the small groups' weight, cut out of that of the merged groups' weight.

    body: of the merged groups; dw: (1, outputs, 1, depth·taps).
    """
    name = node.key("weight")
    plain = builder.parameters[name]
    times = dw.shape[3] // taps // plain.shape[1]
    small = dataclasses.replace(
        body, groups=body.groups * times, depth=body.depth // times, outputs=body.outputs // times
    )
    rows, columns, tap_index, domain = _diagonal(small, body, plain.shape)
    kernel = {"u": plain.shape[3], "v": 1} if len(tap_index) == 2 else {"u": 1}
    along = (*((v, factor * taps) for v, factor in columns.terms), *kernel.items())
    element = Load("wide", (Affine(()), rows, Affine(()), Affine(along)))
    statement = Statement("dw", (rows, *index("c"), *tap_index), element, domain)
    total = builder.gradient_result(name, plain.shape)
    builder.append_nests(name, [(statement, False)], {"wide": dw, "dw": total})
    builder.emit_gradient(node, "weight", total)


def _diagonal(
    body: Correlation, wide: Correlation, shape: tuple[int, ...]
) -> tuple[Affine, Affine, tuple[Index, ...], Domain]:
    """Position of the weights of small groups among those of the merged groups: rows, columns, taps, and the ranges of
    their loop variables; c is the column within a small group. shape: of the small groups' weight."""
    times, columns = body.groups // wide.groups, shape[1]
    rows = shape[0] // body.groups
    taps = dict(zip("uv", shape[2:], strict=False))
    ranges = {"g": wide.groups, "q": times, "k": rows, "c": columns, **taps}
    at = Affine((("g", times * rows), ("q", rows), ("k", 1)))
    return at, Affine((("q", columns), ("c", 1))), index(*taps), Domain(ranges)
