"""Layers that only rearrange entries."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate.formats.keras.layers.register import reads
from striate.formats.keras.site import standard_order
from striate.op import Op
from striate.ops import pool
from striate.ops.reshape import Flatten, Reshape
from striate.tensor import SPATIAL

if TYPE_CHECKING:
    from striate.formats.keras.site import Order, Site, Value

Sizes = tuple[int, ...]


@reads("Flatten")
def _flatten(site: Site) -> Value:
    x = site.value
    if len(x.shape) > 2 and not site.last:  # Keras brings the channels to the end first
        x = dataclasses.replace(x, order=(x.order[0], *x.order[2:], x.order[1]))
    return reshape(site, x, (math.prod(x.shape[1:]),))


@reads("Reshape")
def _reshape(site: Site) -> Value:
    x = site.value
    target = [int(n) if n is not None else -1 for n in site.get("target_shape", site.config.get("newshape"))]
    if site.layer.is_operation:
        site.expect(target[0] in (-1, 1), "the batch does not stay first")
        target = target[1:]
    product, total = math.prod(n for n in target if n != -1), math.prod(x.shape[1:])
    site.expect(target.count(-1) <= 1 and product > 0 and total % product == 0, f"the shape {target[:8]}")
    return reshape(site, x, tuple(total // product if n == -1 else n for n in target))


@reads("RepeatVector")
def _repeat(site: Site) -> Value:
    site.expect(site.get("n") == 1, "repeated vectors")
    return reshape(site, site.value, (1, *site.value.shape[1:]))


@reads("Permute")
def _permute(site: Site) -> Value:
    """Permute the axes in Keras only: here, entries move when an op needs them."""
    x, dims = site.plain(site.value), site.get("dims")
    site.expect(sorted(dims) == list(range(1, len(x.shape))), f"the order {dims}")
    return dataclasses.replace(x, order=(0, *(x.order[d] for d in dims)))


@reads("Transpose")
def _transpose(site: Site) -> Value:
    x, axes = site.plain(site.value), site.get("axes")
    site.expect(
        isinstance(axes, list) and axes[:1] == [0] and sorted(axes) == list(range(len(x.shape))), "its axes"
    )
    return dataclasses.replace(x, order=tuple(x.order[d] for d in axes))


@reads("Mean", "Max")
def _global_reduction(site: Site) -> Value:
    """Reductions over all positions, as global pools."""
    x, axes = site.value, site.get("axis")
    axes = axes if isinstance(axes, list) else [axes]
    site.expect(None not in axes and len(x.shape) > 2, "a mean over everything")
    channels = [k for k in range(1, len(x.shape)) if k not in {axis % len(x.shape) for axis in axes}]
    site.expect(len(channels) == 1 and len(axes) == len(x.shape) - 2, f"the axes {axes}")
    x = site.with_channels(x, channels[0])
    op: Op = pool.GlobalAvgPool() if site.layer.kind == "Mean" else pool.GlobalMaxPool()
    y = site.emit(op, x)
    y = dataclasses.replace(y, order=x.order)
    return y if site.get("keepdims", False) else reshape(site, y, (x.shape[channels[0]],))


def reshape(site: Site, x: Value, target: Sizes) -> Value:
    """Reshape x to a Keras shape without the batch: same entries, row-major in Keras' axes."""
    if x.parts:
        if target == x.shape[1:]:
            return x
        if x.parts == (target,):
            *space, channels = target
            y = site.emit(Reshape((channels, *space)), x)
            return dataclasses.replace(y, order=(0, *range(2, len(target) + 1), 1))
        x = site.plain(x)
    if target == x.shape[1:]:
        return x
    if len(target) - 1 not in SPATIAL:  # no TensorSpec can express it: the value before stands for it
        return dataclasses.replace(x, known=None, hidden=(None, *target))
    if len(target) == 1:
        return _flat(site, x)
    old, new = _groups(x.shape[1:], target)
    if _sequence(old, x.order) is None:
        x = site.permute(x, _adjacent_order(old, x.order), by_position=False)
    order = _fitting(x, old, new, site)
    sizes = [0] * len(target)
    for k, size in enumerate(target, 1):
        sizes[order[k] - 1] = size
    y = site.emit(Reshape(tuple(sizes)), x)
    return dataclasses.replace(y, order=order)


def _flat(site: Site, x: Value) -> Value:
    """Flatten x. An image is flattened with channels outermost, which the value records."""
    long = [k for k in range(1, len(x.shape)) if x.shape[k] > 1]
    if [x.order[k] for k in long] == sorted(x.order[k] for k in long):
        return site.emit(Flatten(), x)
    x = site.permute(x, standard_order(len(x.shape), True), by_position=False)
    return dataclasses.replace(site.emit(Flatten(), x), parts=(x.shape[1:],))


def _fitting(x: Value, old: Sequence[int], new: Sequence[int], site: Site) -> Order:
    """An order of the new axes in which no entry moves.

    Axes that are split or joined together form a group. Entries stay in place if the axes of each group are adjacent
    and in order here too, and the groups keep their order.
    """
    before = _sequence(old, x.order)
    usual = standard_order(len(new) + 1, site.last)
    if before is None or _sequence(new, usual) == before:
        return usual
    places = [axis for group in (*before, -1) for axis in range(len(new)) if new[axis] == group]
    return (0, *(places.index(axis) + 1 for axis in range(len(new))))


def _adjacent_order(groups: Sequence[int], order: Order) -> Order:
    """The order with each group's axes adjacent, at the place of its first axis."""
    standing = sorted(range(len(groups)), key=lambda k: order[k + 1])
    sequence = list(dict.fromkeys(groups[k] for k in standing if groups[k] >= 0))
    places = [k for group in (*sequence, -1) for k in range(len(groups)) if groups[k] == group]
    return (0, *(places.index(k) + 1 for k in range(len(groups))))


def _groups(old: Sizes, new: Sizes) -> tuple[list[int], list[int]]:
    """Group number of each axis of two shapes with equal element counts; -1 for axes of size 1."""
    numbers: tuple[list[int], list[int]] = ([-1] * len(old), [-1] * len(new))
    axes = [[k for k, n in enumerate(shape) if n > 1] for shape in (old, new)]
    group = 0
    while axes[0] and axes[1]:
        product = [1, 1]
        while product[0] != product[1] or product[0] == 1:
            side = 0 if product[0] <= product[1] else 1
            axis = axes[side].pop(0)
            numbers[side][axis] = group
            product[side] *= (old, new)[side][axis]
        group += 1
    return numbers


def _sequence(groups: Sequence[int], order: Any) -> list[int] | None:
    """The groups in their order here; None if one is split or out of order."""
    standing = sorted((order[k], k) for k in range(1, len(groups) + 1) if groups[k - 1] >= 0)
    sequence: list[int] = []
    last = 0
    for _, k in standing:
        group = groups[k - 1]
        if sequence and sequence[-1] == group:
            if k < last:
                return None
        elif group in sequence:
            return None
        else:
            sequence.append(group)
        last = k
    return sequence
