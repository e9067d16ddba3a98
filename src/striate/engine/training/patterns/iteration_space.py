"""Which declarations are elementwise over one of their inputs, sums by channel included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from striate.engine.plan.recognize import is_elementwise
from striate.engine.training.taped_node import Tensor
from striate.op import Declaration
from striate.statement import Affine, Index, Load, Statement, walk


def iteration_space(declaration: Declaration, inputs: Sequence[Tensor], skipped: int = 0) -> Tensor | None:
    """The input that defines the iteration space; None if a statement is neither elementwise over it (operands: such
    maps, vectors over channels, numbers per image, gates) nor a per-channel sum.

    skipped: number of statements at the start that a kernel computes, each a map.
    """
    full = declaration.outputs[0].shape
    base = next((x for x in inputs if x.shape == full), None)
    if len(declaration.outputs) != 1 or base is None or "c" not in base.roles:
        return None
    axis, channels = base.roles.index("c"), base.plain.size("c")
    kinds = {}
    for k, x in enumerate(inputs):
        if x.shape == full:
            if (x.roles, x.plain.shape) != (base.roles, base.plain.shape):
                return None
            kinds[f"x{k}"] = "full"
        elif x.shape == (*full[:2], *(1 for _ in full[2:])) and x.plain is x and base.plain is base:
            kinds[f"x{k}"] = "gate"
        else:
            return None
    for p in declaration.parameters:
        count = math.prod(p.shape)
        if count not in (1, channels) or (count > 1 and full[axis] != channels):
            return None
        kinds[p.name] = "vector" if count > 1 else "number"
    for noise in declaration.noise:
        per_element = noise.shape == full and base.permuted is None
        if not per_element and noise.shape != (full[0], *(1 for _ in full[1:])):
            return None
        kinds[noise.name] = "full" if per_element else "image"
    for statement in declaration.statements[:skipped]:
        kinds[statement.target] = "full"
    for statement in declaration.statements[skipped:]:
        names = _positions(statement, kinds, full, axis)
        if names is None or not is_elementwise(statement.value):
            return None
        if not all(_at(load, kinds.get(load.tensor, ""), names, axis) for load in walk(statement.value)):
            return None
        kinds[statement.target] = "full" if len(statement.index) > 1 or len(full) == 1 else "vector"
        if kinds[statement.target] == "vector" and full[axis] != channels:
            return None
    return base if kinds.get("y0") == "full" else None


def _positions(
    statement: Statement, kinds: Mapping[str, str], full: tuple[int, ...], axis: int
) -> list[str] | None:
    """The loop variable of each axis of the map; "" for axes without one."""
    free, reduced = statement.domain.free, statement.domain.reduced
    names = _plain(statement.index)
    if statement.start is not None or "" in names or set(names) != set(free):
        return None
    if not statement.reduce:
        if tuple(free[v] for v in names) == full:
            return names
        alone = len(names) == 1 and free[names[0]] == full[axis]
        return ["" if k != axis else names[0] for k in range(len(full))] if alone else None
    maps = [_plain(load.index) for load in walk(statement.value) if kinds.get(load.tensor) == "full"]
    if statement.reduce != "sum" or not maps or "" in maps[0] or len(set(maps[0])) != len(full):
        return None
    sizes = {**free, **reduced}
    if names != [maps[0][axis]] or set(maps[0]) != set(sizes) or tuple(sizes[v] for v in maps[0]) != full:
        return None
    return maps[0]


def _at(load: Load, kind: str, names: Sequence[str], axis: int) -> bool:
    """Whether a load reads its tensor at the position that is computed."""
    variables = _plain(load.index)
    varying = [
        name
        for name, item in zip(variables, load.index, strict=True)
        if name or getattr(item, "terms", "map")
    ]
    if kind == "full":
        return variables == list(names)
    if kind == "gate":
        return variables[:2] == list(names[:2]) and varying == variables[:2] and axis == 1
    if kind == "image":
        return varying == [names[0]]
    if kind == "vector":
        return varying == [names[axis]] and names[axis] != ""
    return kind == "number"


def _plain(items: Sequence[Index]) -> list[str]:
    """The variable of each index that is a single variable, else ""."""
    return [(item.variable or "") if isinstance(item, Affine) else "" for item in items]
