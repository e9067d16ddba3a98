"""From nodes to units: batch norm into weights, bias, activation and residual into the store of what feeds them.

Renamings (flatten of a 1x1 map, permutations, dropout at inference) cost nothing: the value keeps its memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.plan import algebra, recognize
from striate.engine.plan.algebra import substituted
from striate.engine.plan.computation import (
    Alias,
    Copies,
    Correlation,
    Elementwise,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.engine.plan.units import ROLES, Buffer, FusedElementwise, GenericNest, Unit
from striate.network import Network, Node
from striate.statement import Call, Expr, Load, walk

Array = NDArray[Any]


class UnitGraph:
    """Buffers by name and units in execution order, for a network declared on a whole batch."""

    def __init__(
        self, net: Network, weights: Mapping[str, Array], keep: Collection[str],
        covered: Callable[[Correlation], bool],
    ) -> None:  # fmt: skip
        self.net, self.weights, self.covered = net, weights, covered
        self.keep = dict.fromkeys(keep)  # in their order, so that a plan is the same in every process
        self.values: dict[str, Buffer] = {}
        self._clock = 0
        self.made: dict[Buffer, Unit] = {}
        self.readers: dict[str, int] = {}
        for node in net.nodes:
            for value in node.inputs:
                self.readers[value] = self.readers.get(value, 0) + 1
        for name, spec in net.inputs.items():
            self.values[name] = Buffer(
                name, spec.shape, ROLES[len(spec.shape)], given=True, kept=name in self.keep
            )
        for node in net.nodes:
            self._add(node)

    def _add(self, node: Node) -> None:
        declaration = self.net.declarations[node.name]
        inputs = [self.values[name] for name in node.inputs]
        weights = {p.name: self.weights[node.key(p.name)] for p in declaration.parameters}
        outputs = []
        for name, spec in zip(node.outputs, declaration.outputs, strict=True):
            roles = ROLES.get(len(spec.shape), "")
            outputs.append(Buffer(name, spec.shape, roles, kept=name in self.keep))
            self.values[name] = outputs[-1]
        pattern = recognize.recognize(declaration)
        if isinstance(pattern, Alias) and self._renamed(pattern, inputs[0], outputs[0]):
            return
        unit = Unit([node.name], GenericNest(), inputs, outputs, declaration, weights)
        if isinstance(pattern, Elementwise):
            found = self._map(pattern, unit)
            if found is not None:
                unit.body = found
                if self._absorbed(unit, found):
                    return
        elif isinstance(pattern, Correlation):
            if (
                self.covered(pattern)
                and inputs[0].roles[pattern.channel : pattern.channel + 1] == "c"
                and not (pattern.windows and inputs[0].roles not in ("nchw", "ncw"))
            ):
                unit.body = pattern
                outputs[0].roles = inputs[0].roles
        elif isinstance(pattern, Norm | Softmax):
            if inputs[0].roles[pattern.channel : pattern.channel + 1] == "c":
                unit.body = pattern
                outputs[0].roles = inputs[0].roles
        elif isinstance(pattern, Pool | Copies | LocalResponseNorm) and all(
            x.roles == ROLES[len(x.shape)] for x in inputs
        ):
            unit.body = pattern
        self._append(unit)

    @property
    def units(self) -> list[Unit]:
        """In execution order: a unit runs at the position of its last node, when all its inputs are there."""
        return sorted(set(self.made.values()), key=lambda unit: unit.order)

    def _append(self, unit: Unit) -> None:
        self._clock += 1
        unit.order = self._clock
        for value in unit.outputs:
            self.made[value] = unit

    def _renamed(self, pattern: Alias, x: Buffer, y: Buffer) -> bool:
        """Make y an alias of x, if it can be one."""
        if (x.given and pattern.kind != "same") or (y.kept and x.kept):
            return False
        if pattern.kind == "same":
            y.roles = x.roles
        elif pattern.kind == "permute":
            y.roles = "".join(x.roles[axis] for axis in pattern.axes)
            if [r for r in y.roles if r != "c"] != [r for r in x.roles if r != "c"]:
                y.roles = ROLES[len(y.shape)]
                return False
        elif x.flat or x.roles != ROLES[len(x.shape)]:
            return False
        else:
            y.flat = math.prod(x.shape[2:]) != 1
        y.home, y.flat = x, y.flat or x.flat
        return True

    def _map(self, pattern: Elementwise, unit: Unit) -> FusedElementwise | None:
        """The map over this unit's values, or None where axes do not suit."""
        lead = [value for value, k in zip(unit.inputs, range(99)) if pattern.operands.get(f"x{k}") == "s"]
        if not lead or not lead[0].roles or lead[0].flat:
            return None
        roles = lead[0].roles
        kinds, values, constants = {}, {}, {}
        for name, kind in pattern.operands.items():
            if name.startswith("x") and name[1:].isdigit():
                value = unit.inputs[int(name[1:])]
                if kind == "s" and value.roles == roles and not value.flat:
                    kinds[name] = "s"
                elif kind == "i" and roles == "nchw" == value.roles:
                    kinds[name] = kind
                else:
                    return None
                values[name] = value
            elif kind[0] == "c" and roles[int(kind[1:])] == "c":
                kinds[name] = "c"
                constants[name] = np.broadcast_to(unit.weights[name].reshape(-1), lead[0].channels)
            else:
                return None
        unit.outputs[0].roles = roles
        return FusedElementwise(pattern.value, kinds, values, constants)

    # fusion

    def _absorbed(self, unit: Unit, found: FusedElementwise) -> bool:
        """Fuse this elementwise function into the store of the unit that computes an operand."""
        (y,) = unit.outputs
        for name in sorted(found.values, key=lambda n: -self._order(found.values[n])):
            x = self._sole(found.values[name])
            target = self.made.get(x) if x is not None else None
            if target is None or found.kinds[name] != "s" or x is not target.outputs[0]:
                continue
            if self._into(target, found, name):
                target.nodes += unit.nodes
                target.outputs = [y]
                self._append(target)
                return True
        return False

    def _order(self, value: Buffer) -> int:
        unit = self.made.get(value)
        return unit.order if unit is not None else -1

    def _sole(self, value: Buffer) -> Buffer | None:
        """The buffer that this one aliases, if nothing else reads it under any name."""
        while not value.kept and not value.flat and self.readers.get(value.name, 0) == 1:
            if value.home is None:
                return value
            value = value.home
        return None

    def _into(self, unit: Unit, found: FusedElementwise, name: str) -> bool:
        if isinstance(unit.body, FusedElementwise):
            return self._composed(unit, unit.body, found, name)
        if not isinstance(unit.body, Correlation) or unit.epilogue is not None:
            return False
        others = [other for other in found.values if other != name]
        plain = not others and not unit.clamped and unit.residual is None
        if plain and algebra.is_affine(found.value, name):
            unit.folds.append((found.value, name, found.constants))
            return True
        if found.constants:
            return False
        if not others:
            limits = algebra.clamp(found.value, name)
            if limits is not None:
                low, high = limits
                unit.low, unit.high = max(unit.low, low), min(unit.high, high)
                return unit.low <= unit.high
            unit.epilogue = _renamed_operand(found.value, name)
            return True
        if len(others) == 1 and unit.residual is None and not unit.clamped and found.kinds[others[0]] == "s":
            match found.value:
                case Call("add", (Load(), Load())) if found.values[others[0]] is not found.values[name]:
                    other = found.values[others[0]]
                    if not other.given and _extent(other) == _extent(found.values[name]):
                        unit.residual = other
                        return True
        return False

    def _composed(self, unit: Unit, body: FusedElementwise, found: FusedElementwise, name: str) -> bool:
        """Merge two elementwise functions; the inner one's operands are renamed."""
        if len(body.kinds) + len(found.kinds) > 8:
            return False
        names = {old: f"m{len(unit.nodes)}_{old}" for old in body.kinds}
        inner = substituted(body.value, {old: Load(new, ()) for old, new in names.items()})
        if sum(load.tensor == name for load in walk(found.value)) > 1 and not isinstance(inner, Load):
            return False  # it would be computed twice
        body.value = substituted(found.value, {name: inner})
        for table in ("kinds", "values", "constants"):
            old = getattr(body, table)
            new = {other: item for other, item in getattr(found, table).items() if other != name}
            setattr(body, table, {names[key]: item for key, item in old.items()} | new)
        unit.inputs += [value for key, value in found.values.items() if key != name]
        return True


def _extent(value: Buffer) -> tuple[int, int, int, int]:
    return value.images, value.channels, value.height, value.width


def _renamed_operand(expr: Expr, name: str) -> Expr:
    return substituted(expr, {name: Load("x0", ())})


def graph(
    net: Network, weights: Mapping[str, Array], keep: Collection[str], covered: Callable[[Correlation], bool]
) -> UnitGraph:
    """Units of a network, fused; values named in `keep` stay as they are.

    covered: whether a sum of products has a kernel that can finish it.
    """
    return UnitGraph(net, weights, keep, covered)
