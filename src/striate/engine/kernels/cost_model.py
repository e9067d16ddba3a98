"""Predicted cycles of inner loops on a target, counted in one way for every kernel.

A step of a loop takes as long as that part of the processor that is busy longest: arithmetic, loads, stores, or a sum
that waits for itself. Counts are of whole blocks of channels, which may fill several registers; operands lie in the
first-level cache. Each kernel counts its own steps, and what it waits for besides is a measured constant of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from striate.engine.target import Target

CACHE_LINE_BYTES = 64


def cycles(
    target: Target,
    *,
    products: float = 0,
    others: float = 0,
    loads: float = 0,
    spreads: float = 0,
    stores: float = 0,
    chain: float = 0,
) -> float:
    """Minimum cycles of a step.

    products: multiply-adds; others: additions, multiplications, comparisons, shuffles; loads, stores: vectors; spreads:
    numbers loaded into all lanes, with a shuffle where that needs an instruction of its own; chain: products that are
    added to the same sum, one after another.
    """
    arithmetic = target.pieces * (products * (1 if target.fused else 2) + others)
    if not target.broadcast_loads:
        arithmetic += spreads
    return max(
        arithmetic / target.fma_pipes,
        (target.pieces * loads + spreads) / target.load_ports,
        target.pieces * stores / target.store_ports,
        float(chain * target.sum_latency_cycles),
    )


def unaligned(target: Target) -> float:
    """Loads that one of a register takes from the address of any number: two if it crosses a cache line."""
    return 1 + 4 * (target.width - 1) / CACHE_LINE_BYTES


def tiled(count: int, most: int, time: Callable[[int], float]) -> float:
    """Cycles of the fewest tiles of at most `most`, cut as evenly as possible. time: cycles of a tile of some size."""
    tiles = max(-(-count // most), 1)
    small, larger = divmod(count, tiles)
    return (tiles - larger) * time(small) + (larger * time(small + 1) if larger else 0.0)


def share(target: Target, flops: float, predicted: float) -> float:
    """Share of the peak at which operations take the predicted cycles."""
    return flops / target.flops_per_cycle / predicted
