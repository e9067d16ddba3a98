"""Placement of buffers: concatenations in place, borders for padding, and the copies that remain."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from striate.engine.kernels import pool_gradient
from striate.engine.plan import windows
from striate.engine.plan.algebra import substitute
from striate.engine.plan.computation import Copies, Copy, Correlation
from striate.engine.plan.stages import Fused, Placed
from striate.engine.plan.units import Buffer, Copied, Enter, FusedElementwise, Leave, PoolGradient, Unit
from striate.engine.target import Target
from striate.geometry import Shift
from striate.statement import Call, Expr, Load, call

PIXEL_MAJOR_MAX_CHANNELS = 4
"""Images with at most this many channels are stored pixel by pixel: a window row of the first layer is then one run."""


def place(fused: Fused, target: Target, border: Callable[[Unit], tuple[int, int, int, int]]) -> Placed:
    """Assign home, lanes and border to every buffer of a copy of the units; adds copies in and out.

    border: padding that a unit reads around its first input (top, bottom, left, right).
    """
    copied = Copied()
    fused = dataclasses.replace(
        fused, units=tuple(copied.units(fused.units)), values=copied.buffers(fused.values)
    )
    units = _copy_inputs(fused, target)
    units = _copy_flattened(units)
    _concatenate_in_place(units, target)
    return Placed(fused.net, tuple(assign_layouts(_copy_results(fused, units), target, border)))


def assign_layouts(
    units: list[Unit],
    target: Target,
    border: Callable[[Unit], tuple[int, int, int, int]],
    alike: Mapping[Buffer, Buffer] = MappingProxyType({}),
) -> list[Unit]:
    """Assign lanes and borders to the buffers of some units, add separate sums where layouts differ, and let outputs
    overwrite operands.

    alike: pairs of buffers that get the same border.
    """
    for value in {v for unit in units for v in (*unit.reads, *unit.outputs)}:
        if value.root.lanes == 0:
            value.root.lanes = target.lanes
    for unit in units:
        pads = border(unit)
        if any(pads):
            root = unit.inputs[0].root
            root.pads = tuple(max(a, b) for a, b in zip(root.pads, pads, strict=True))  # type: ignore[assignment]
    for a, b in alike.items():
        a.pads = b.pads = tuple(max(p, q) for p, q in zip(a.pads, b.pads, strict=True))  # type: ignore[assignment]
    units = _match_residuals(units)
    _in_place(units)
    return units


def _in_place(units: list[Unit]) -> None:
    """Overwrite an operand of the same layout with the output, if nothing reads the operand later."""
    last: dict[Buffer, int] = {}
    for at, unit in enumerate(units):
        for value in (*unit.reads, *unit.outputs):
            last[value.root] = at
    for at, unit in enumerate(units):
        y = unit.outputs[0]
        for x in overwritable(unit):
            root = x.root
            if y.home is None and last[root] == at and root.layout == y.layout:
                y.home = root
                last[root] = last[y]


def overwritable(unit: Unit) -> list[Buffer]:
    """The operands that a unit's output may overwrite: those that it reads only at the position it writes next. A
    residual that is also the convolution's input does not qualify, because neighboring windows still read it."""
    local = _local(unit)
    others = Counter(value.root for value in unit.reads)
    others.subtract(value.root for value in local)
    return [
        x
        for x in dict.fromkeys(local)
        if not (x.flat or x.root.outside or others[x.root])
        and all(v.channels == v.root.channels for v in local if v.root is x.root)
    ]


def _local(unit: Unit) -> list[Buffer]:
    """Those of `unit.reads` that are read only at the position that is written: a residual, operands of an elementwise
    function that have its shape, and the input of disjoint max pooling."""
    body = unit.body
    if isinstance(body, FusedElementwise):
        broadcast = {value.root for name, value in body.values.items() if body.kinds[name] != "s"}
        return [value for value in unit.inputs if value.root not in broadcast]
    if isinstance(body, PoolGradient) and pool_gradient.disjoint(windows.pool_windows(body.body)):
        return [*unit.inputs[1:2]]
    return [] if unit.residual is None else [unit.residual]


def _copy_inputs(fused: Fused, target: Target) -> list[Unit]:
    """Copy each input into a layout that kernels read; all units read the copy."""
    units = list(fused.units)
    enters = []
    for value in [v for v in fused.values.values() if v.is_input]:
        value.lanes = 1
        copy = Buffer(value.name, value.shape, value.roles)
        readers = [unit for unit in units if any(v.root is value for v in unit.reads)]  # by any name
        dense = all(
            isinstance(u.body, Correlation)
            and u.body.reads_pixels
            and (u.residual is None or u.residual.root is not value)
            for u in readers
        )
        if dense and value.channels <= PIXEL_MAJOR_MAX_CHANNELS and readers:
            copy.lanes = value.channels
        for unit in readers:
            _replace(unit, value, copy)
        for other in fused.values.values():
            if other.home is value:
                other.home = copy
        enters.append(Unit(["input"], Enter(), [value], [copy], None, {}))
    return enters + units


def _replace(unit: Unit, old: Buffer, new: Buffer) -> None:
    unit.inputs = [new if value is old else value for value in unit.inputs]
    if unit.residual is old:
        unit.residual = new
    if isinstance(unit.body, FusedElementwise):
        unit.body.values = {name: new if v is old else v for name, v in unit.body.values.items()}


def _copy_flattened(units: list[Unit]) -> list[Unit]:
    """A fully connected layer reads a flattened map in place; other readers get a flat copy."""
    result: list[Unit] = []
    copies: dict[Buffer, Buffer] = {}
    for unit in units:
        for value in unit.reads:
            if not value.flat or (isinstance(unit.body, Correlation) and value is unit.inputs[0]):
                continue
            if value not in copies:
                plain = Buffer(f"{value.name} in plain order", value.shape, "nc", lanes=1)
                copies[value] = Buffer(value.name, value.shape, "nc")
                result.append(Unit([value.name], Leave(), [value], [plain], None, {}))
                result.append(Unit([value.name], Enter(), [plain], [copies[value]], None, {}))
            _replace(unit, value, copies[value])
        result.append(unit)
    return result


def _concatenate_in_place(units: list[Unit], target: Target) -> None:
    """Let units write their part of a concatenation in place, where channel blocks allow.

    The largest concatenation of a chain (DenseNet's) comes first; the earlier ones are prefixes of it.
    """
    makers = {value: unit for unit in units for value in unit.outputs}
    for unit in reversed(units):
        if not isinstance(unit.body, Copies) or len(unit.outputs) != 1:
            continue
        (y,) = unit.outputs
        pieces = unit.body.pieces
        if not _is_concatenation(pieces, unit) or any(piece.target % target.lanes for piece in pieces):
            continue
        members = [unit.inputs[piece.port] for piece in pieces]
        if len(set(members)) < len(members) or any(value.flat for value in members):
            continue
        if y.home is None and not y.keep and _view(y, members, pieces):
            unit.body = Copies(())
            continue
        remaining = []
        for piece, value in zip(pieces, members, strict=True):
            maker = makers.get(value)
            if maker is None or value.home is not None or value.lanes or isinstance(maker.body, Enter):
                remaining.append(piece)
            else:
                value.home, value.offset = y, piece.target
        unit.body = Copies(tuple(remaining), partly=len(remaining) < len(pieces))


def _is_concatenation(pieces: tuple[Copy, ...], unit: Unit) -> bool:
    """Whether the output is a concatenation of all channels of its inputs."""
    return sum(piece.channels for piece in pieces) == unit.outputs[0].channels and all(
        piece.source == 0
        and piece.channels == unit.inputs[piece.port].channels
        and (piece.maps is None or all(_is_identity(m) for m in piece.maps))
        for piece in pieces
    )


def _is_identity(m: Shift) -> bool:
    return m.step == 1 and not m.before and not m.after


def _view(y: Buffer, members: list[Buffer], pieces: tuple[Copy, ...]) -> bool:
    """Make y an alias of its members' memory if they already are contiguous and in order."""
    root, first = members[0].root, members[0].first
    if any(value.home is None for value in members):
        return False
    if any(v.root is not root or v.first != first + p.target for v, p in zip(members, pieces, strict=True)):
        return False
    y.home, y.offset = root, first
    return True


def _copy_results(fused: Fused, units: list[Unit]) -> list[Unit]:
    """Append copies of the program's results."""
    leaves = []
    for name in fused.keep:
        value = fused.values[name]
        source = next(
            (u.outputs[0] for u in units if isinstance(u.body, Enter) and u.inputs[0] is value), value
        )
        result = Buffer(name, source.shape, source.roles, is_result=True, lanes=1)
        leaves.append(Unit([name], Leave(), [source], [result], None, {}))
    return [unit for unit in units if not (isinstance(unit.body, Copies) and not unit.body.pieces)] + leaves


def _match_residuals(units: list[Unit]) -> list[Unit]:
    """The kernel adds the residual at a fixed offset from the output; if the layouts differ, emit a separate add."""
    result = []
    for unit in units:
        residual = unit.residual
        if residual is not None:
            y = unit.outputs[0]
            pads = tuple(max(a, b) for a, b in zip(y.root.pads, residual.root.pads, strict=True))
            y.root.pads = residual.root.pads = pads  # type: ignore[assignment]
        result.append(unit)
    for _ in range(len(units)):
        changed = False
        for unit in units:
            if unit.residual is not None:
                a, b = unit.outputs[0].root, unit.residual.root
                pads = tuple(max(p, q) for p, q in zip(a.pads, b.pads, strict=True))
                changed |= a.pads != pads or b.pads != pads
                a.pads = b.pads = pads  # type: ignore[assignment]
        if not changed:
            break
    final: list[Unit] = []
    for unit in result:
        final.append(unit)
        if unit.residual is None:
            continue
        y = unit.outputs[0]
        if y.layout == unit.residual.layout:
            continue
        inner = Buffer(f"{y.name} before the sum", y.shape, y.roles, lanes=y.root.lanes)
        value = Call("add", (Load("x0", ()), Load("x1", ())))
        both = {"x0": inner, "x1": unit.residual}
        body = FusedElementwise(_with_epilogue(value, unit), {"x0": "s", "x1": "s"}, both, {})
        final.append(Unit([unit.nodes[-1]], body, [inner, unit.residual], [y], unit.declaration, {}))
        unit.outputs, unit.residual, unit.epilogue = [inner], None, None
        unit.low, unit.high = -math.inf, math.inf
    return final


def _with_epilogue(value: Expr, unit: Unit) -> Expr:
    """The value after the unit's clamp and epilogue."""
    if unit.low != -math.inf:
        value = call("max", value, unit.low)
    if unit.high != math.inf:
        value = call("min", value, unit.high)
    return value if unit.epilogue is None else substitute(unit.epilogue, {"x0": value})
