"""Kernel calls of Winograd's convolution, and when it is faster."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import tile
from striate.engine.kernels import winograd_sizes as sizes
from striate.engine.kernels.argument_record import Address, Constant, value_table
from striate.engine.plan import dense, packing
from striate.engine.plan.computation import Correlation
from striate.engine.plan.kernel_calls import KernelCall, Packed, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Buffer, Unit
from striate.geometry import Window

Array = NDArray[Any]


def fits(body: Correlation) -> bool:
    """3x3, stride 1, dilation 1, one group, zero padding."""
    if body.windows is None or body.groups != 1:
        return False
    return all(
        (m.kernel, m.stride, m.dilation, m.mode) == (3, 1, 1, "zeros") and min(_pads(body, m)) >= 0
        for m in body.windows
    )


def _pads(body: Correlation, m: Window) -> tuple[int, int]:
    """Rows or columns of padding read around the map; in the backward pass, `kernel - 1` minus the forward padding."""
    return (2 - m.before, 2 - m.after) if body.adjoint else (m.before, m.after)


def choose(unit: Unit, context: PlanContext) -> sizes.Winograd | None:
    """The shape that Winograd's algorithm runs at, or None where the direct product is predicted to be faster."""
    body = unit.body
    if context.strict or not isinstance(body, Correlation) or not fits(body):
        return None
    x, y = unit.inputs[0], unit.outputs[0]
    if x.root.lanes != context.target.lanes:  # tiles are read in whole blocks of channels
        return None
    return _choose(context, x.images, x.channels, y.channels, y.height, y.width)


@functools.lru_cache(maxsize=256)
def _choose(
    context: PlanContext, images: int, channels: int, outputs: int, height: int, width: int
) -> sizes.Winograd | None:
    target = context.target
    blocks = -(-outputs // target.lanes)
    shape = sizes.Winograd(target, 4, images, channels, outputs, height, width, (1,))
    panels = tuple(tile.panels(blocks, min(target.panel, blocks)))
    shape = dataclasses.replace(shape, panels=panels)
    if not shape.tiles:
        return None
    m = sizes.choose(shape, sizes.Limits(target.flops_per_s, context.memory), context.threads)
    return dataclasses.replace(shape, m=m) if m else None


class WinogradLowering(Lowering[sizes.Winograd]):
    """Transforms and products in one call; where weights are heavy, all input is transformed in a call before."""

    bodies = (Correlation,)
    finishes = True

    def covers(self, body: Correlation, lanes: int) -> bool:
        return False  # only units for which direct products are slower

    def choose(self, unit: Unit, context: PlanContext) -> sizes.Winograd | None:
        return choose(unit, context)

    def border(self, unit: Unit, shape: sizes.Winograd, context: PlanContext) -> Pads:
        """Padding that the input's tiles read around the map."""
        body, x = unit.body, unit.inputs[0]
        assert isinstance(body, Correlation) and body.windows is not None
        h, w = (_pads(body, m) for m in body.windows)
        return sizes.border(shape.m, x.height, x.width, (*h, *w))

    def calls(self, unit: Unit, shape: sizes.Winograd, context: PlanContext) -> list[KernelCall]:
        body, (x,), (y,) = unit.body, unit.inputs, unit.outputs
        assert isinstance(body, Correlation) and body.windows is not None
        target = context.target
        pads = _pads(body, body.windows[0])[0], _pads(body, body.windows[1])[0]
        shared = shape.heavy and context.threads > 1
        code = {
            "input": Kernel("winograd_input", (shape.m,)),
            "output": Kernel("winograd_output", (shape.m,)),
        }
        tiles = {
            vectors: [Kernel("tile", (n, vectors)) for n in range(1, target.tiles[vectors - 1] + 1)]
            for vectors in set(shape.panels)
        }
        epilogue = None if unit.epilogue is None else dense.epilogue_kernel(unit)
        inner = (
            *(k for kernels in tiles.values() for k in kernels),
            *(() if epilogue is None else (epilogue,)),
        )
        transformed = None
        if shared:
            numbers = shape.shared_bytes() // 4
            transformed = Buffer(f"{y.name} transformed", (1, numbers), "nc", lanes=target.lanes)
        count = len(shape.panels)
        tasks = 1 if context.threads == 1 else min(2 * context.threads, count if shared else shape.rows)
        parts = -(-count // tasks) if shared else count
        block = shape.block(context.cache, parts, shared)

        def bias() -> Array:
            padded = np.zeros(sum(shape.panels) * target.lanes, np.float32)
            padded[: shape.outputs] = packing.bias(unit, shape.outputs)
            return padded

        key = (unit.name, "winograd", shape.m, target.name, shape.panels)
        tables = {vectors: value_table([0, *map(Address, kernels)]) for vectors, kernels in tiles.items()}
        record = shape.arguments(
            source=x.layout,
            source_address=x.base_address,
            pads=pads,
            result=y.layout,
            result_address=y.base_address,
            weights=Address(Packed(key, lambda: packing.winograd(unit, shape))),
            bias=Address(Constant((*key, "bias"), bias)),
            code={part: Address(kernel) for part, kernel in code.items()},
            tiles_code=[tables[vectors] for vectors in shape.panels],
            tiles=block,
            parts=parts,
            shared=0 if transformed is None else transformed.base_address,
            residual=unit.residual_offset,
            low=unit.low,
            high=unit.high,
            epilogue=0 if epilogue is None else Address(epilogue),
        )
        flops = 2.0 * y.images * y.height * y.width * 9 * x.channels * y.channels
        needed = 2.0 * shape.tiles * shape.frequencies * x.channels * y.channels
        name = f"F({shape.m}x{shape.m})"
        calls = []
        if transformed is not None:
            calls.append(
                KernelCall(
                    unit, f"{name} input", "", code["input"], record, shape.tiles, shape.blocks, [x], [transformed],
                    (Kernel("winograd"), code["output"], packing.transform(shape.m), *inner),
                    by_parts=True,
                )
            )  # fmt: skip
        reads = unit.reads if transformed is None else [transformed, *unit.reads[1:]]
        calls.append(
            KernelCall(
                unit, name, f"{block} tiles", Kernel("winograd"), record, shape.rows, count, reads, unit.outputs,
                (*code.values(), packing.transform(shape.m), *inner),
                scratch=shape.scratch_bytes(block, parts, shared), flops=flops, needed=needed,
                cycles=0 if shared else sizes.cycles(shape), weights=shape.weight_bytes,
                by_parts=shared, all_rows=shared, imagewise=True,
            )
        )  # fmt: skip
        return calls
