"""Fuse nodes into units: batch norm into weights; bias, activation and residual into the store of their producer.

Aliases (flatten of a 1x1 map, permutations, dropout at inference) cost nothing: the value keeps its memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.plan import algebra, recognize
from striate.engine.plan.algebra import substitute
from striate.engine.plan.computation import Alias, Correlation, Elementwise, OverChannels, WholeMaps
from striate.engine.plan.stages import Fused
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
        self.producers: dict[Buffer, Unit] = {}
        self.readers: dict[str, int] = {}
        for node in net.nodes:
            for value in node.inputs:
                self.readers[value] = self.readers.get(value, 0) + 1
        for name, spec in net.inputs.items():
            self.values[name] = Buffer(
                name, spec.shape, ROLES[len(spec.shape)], is_input=True, keep=name in self.keep
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
            outputs.append(Buffer(name, spec.shape, roles, keep=name in self.keep))
            self.values[name] = outputs[-1]
        pattern = recognize.recognize(declaration)
        if isinstance(pattern, Alias) and self._make_alias(pattern, inputs[0], outputs[0]):
            return
        unit = Unit([node.name], GenericNest(), inputs, outputs, declaration, weights)
        if isinstance(pattern, Elementwise):
            body = self._as_elementwise(pattern, unit)
            if body is not None:
                unit.body = body
                if self._absorb(unit, body):
                    return
        elif isinstance(pattern, WholeMaps | OverChannels) and self._has_kernel(pattern, inputs):
            unit.body = pattern
            outputs[0].roles = inputs[0].roles
        self._append(unit)

    @property
    def units(self) -> list[Unit]:
        """In execution order: a unit runs at the position of its last node, when all its inputs are there."""
        return sorted(set(self.producers.values()), key=lambda unit: unit.order)

    def _append(self, unit: Unit) -> None:
        self._clock += 1
        unit.order = self._clock
        for value in unit.outputs:
            self.producers[value] = unit

    def _has_kernel(self, pattern: WholeMaps | OverChannels, inputs: Sequence[Buffer]) -> bool:
        covered = not isinstance(pattern, Correlation) or self.covered(pattern)
        return covered and pattern.fits([x.roles for x in inputs])

    def _make_alias(self, pattern: Alias, x: Buffer, y: Buffer) -> bool:
        """Make y an alias of x, if it can be one."""
        if (x.is_input and pattern.kind != "same") or (y.keep and x.keep):
            return False
        roles = pattern.view(x.roles, x.flat)
        if roles is None:
            return False
        y.home, y.roles = x, roles
        y.flat = x.flat or (pattern.kind == "flat" and math.prod(x.shape[2:]) != 1)
        return True

    def _as_elementwise(self, pattern: Elementwise, unit: Unit) -> FusedElementwise | None:
        """The elementwise function over this unit's buffers, or None if their axes do not match."""
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

    def _absorb(self, unit: Unit, elementwise: FusedElementwise) -> bool:
        """Fuse this elementwise function into the store of the unit that computes an operand."""
        (y,) = unit.outputs
        for name in sorted(elementwise.values, key=lambda n: -self._order(elementwise.values[n])):
            x = self._sole(elementwise.values[name])
            target = self.producers.get(x) if x is not None else None
            if target is None or elementwise.kinds[name] != "s" or x is not target.outputs[0]:
                continue
            if self._fuse_into(target, elementwise, name):
                target.nodes += unit.nodes
                target.outputs = [y]
                self._append(target)
                return True
        return False

    def _order(self, value: Buffer) -> int:
        unit = self.producers.get(value)
        return unit.order if unit is not None else -1

    def _sole(self, value: Buffer) -> Buffer | None:
        """The buffer that this one aliases, if nothing else reads it under any name."""
        while not value.keep and not value.flat and self.readers.get(value.name, 0) == 1:
            if value.home is None:
                return value
            value = value.home
        return None

    def _fuse_into(self, unit: Unit, elementwise: FusedElementwise, name: str) -> bool:
        if isinstance(unit.body, FusedElementwise):
            return self._compose(unit, unit.body, elementwise, name)
        if not isinstance(unit.body, Correlation) or unit.epilogue is not None:
            return False
        others = [other for other in elementwise.values if other != name]
        plain = not others and not unit.clamped and unit.residual is None
        if plain and algebra.is_affine(elementwise.value, name):
            unit.folds.append((elementwise.value, name, elementwise.constants))
            return True
        if elementwise.constants:
            return False
        if not others:
            limits = algebra.clamp(elementwise.value, name)
            if limits is not None:
                return unit.clamp(*limits)
            unit.epilogue = _as_epilogue(elementwise.value, name)
            return True
        if (
            len(others) == 1
            and unit.residual is None
            and not unit.clamped
            and elementwise.kinds[others[0]] == "s"
        ):
            match elementwise.value:
                case Call("add", (Load(), Load())) if (
                    elementwise.values[others[0]] is not elementwise.values[name]
                ):
                    other = elementwise.values[others[0]]
                    if not other.is_input and _extent(other) == _extent(elementwise.values[name]):
                        unit.residual = other
                        return True
        return False

    def _compose(self, unit: Unit, body: FusedElementwise, outer: FusedElementwise, name: str) -> bool:
        """Merge two elementwise functions; the inner one's operands are renamed."""
        if len(body.kinds) + len(outer.kinds) > 8:
            return False
        names = {old: f"m{len(unit.nodes)}_{old}" for old in body.kinds}
        inner = substitute(body.value, {old: Load(new, ()) for old, new in names.items()})
        if sum(load.tensor == name for load in walk(outer.value)) > 1 and not isinstance(inner, Load):
            return False  # it would be computed twice
        body.value = substitute(outer.value, {name: inner})
        for table in ("kinds", "values", "constants"):
            old = getattr(body, table)
            new = {other: item for other, item in getattr(outer, table).items() if other != name}
            setattr(body, table, {names[key]: item for key, item in old.items()} | new)
        unit.inputs += [value for key, value in outer.values.items() if key != name]
        return True


def _extent(value: Buffer) -> tuple[int, int, int, int]:
    return value.images, value.channels, value.height, value.width


def _as_epilogue(expr: Expr, name: str) -> Expr:
    return substitute(expr, {name: Load("x0", ())})


def fuse(
    net: Network, weights: Mapping[str, Array], keep: Collection[str], covered: Callable[[Correlation], bool]
) -> Fused:
    """Fuse the nodes of a network into units; values named in `keep` stay as they are.

    covered: whether a kernel supports a sum of products, epilogue included.
    """
    graph = UnitGraph(net, weights, keep, covered)
    return Fused(net, tuple(graph.units), graph.values, tuple(graph.keep))
