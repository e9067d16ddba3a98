"""Nodes that run as loop nests, there and back: whatever has no kernels of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from striate.engine.plan.nest import extent
from striate.engine.plan.units import ROLES, Value
from striate.engine.training.adjoint import adjoints, arriving
from striate.engine.training.ledger import Ledger, Tensor, Unsupported
from striate.engine.training.symbolic import ZERO, add
from striate.network import Network, Node
from striate.op import Declaration, Noise
from striate.statement import Affine, Const, Domain, Expr, Index, Load, Statement, index


@dataclasses.dataclass
class Run:
    """A node's training declaration with its tensors, for the way back. pattern None: its statements, one by one."""

    node: Node
    declaration: Declaration
    pattern: Any
    inputs: list[Tensor]
    outputs: list[Tensor]
    locals: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    lead: Tensor | None = None
    """The tensor whose positions its statements go through."""
    values: dict[str, Value] | None = None
    """Of a node that runs as loop nests: every tensor of its statements."""
    kept: dict[str, Value] = dataclasses.field(default_factory=dict)
    """What its pattern leaves for the way back."""

    @property
    def trainable(self) -> list[str]:
        """The parameters whose gradients are wanted."""
        return [p.name for p in self.declaration.parameters if p.trainable]


class Looped(Ledger):
    """entered, noise: what is read from outside, by full name; updates, gradients: what is handed out, by name.

    parameters: those of `entered` that lie row-major; parts: gradients of single nodes that share a parameter.
    """

    def __init__(self, net: Network, lanes: int) -> None:
        super().__init__()
        self.net, self.lanes = net, lanes
        self.noise: list[tuple[Value, Noise]] = []
        self.updates: dict[str, Value] = {}
        self.gradients: dict[str, Value] = {}
        self.parts: list[Value] = []
        self._statistics: dict[str, Any] = {}
        self._last = {
            node.key(parameter): node for node in net.nodes for parameter in net.training[node.name].updates
        }
        self.sources: set[Value] = set()
        self._arriving: dict[Tensor, Expr] = {}

    # ------------------------------------------------------------ what arrives
    def _hand(self, tensor: Tensor, g: Expr) -> None:
        """Let a gradient arrive at a tensor that is made by a node."""
        tensor = tensor.plain
        if tensor.kept not in self.sources:
            self._arriving[tensor] = add(self._arriving.get(tensor, ZERO), g)

    def _arrived(self, tensor: Tensor) -> Expr:
        return self._arriving.pop(tensor.plain, ZERO)

    def _gradient_memory(self, tensor: Tensor, g: Expr) -> Value:
        """What arrives, in memory, with the axes of the tensor: that of a flattened 1x1 map arrives without space."""
        plain = tensor.plain
        value = self._computed(f"gradient of {plain.name}", g, plain.shape, plain.roles)
        if value.roles == plain.roles:
            return value
        return Value(value.name, plain.shape, plain.roles, home=value)

    def _gradient(self, name: str, shape: tuple[int, ...]) -> Value:
        """Where a node's gradient of a parameter goes, row-major; `_given` hands it out once it is computed."""
        return Value(name, shape, ROLES[len(shape)], result=True, lanes=1)

    def _given(self, run: Run, parameter: str, value: Value) -> None:
        """Hand out a parameter's gradient, added to those of other nodes that share it."""
        name = run.node.key(parameter)
        before = self.gradients.get(name)
        if before is not None:
            self.parts += [before, value]
            shape = next(p.shape for p in run.declaration.parameters if p.name == parameter)
            total = self._gradient(name, shape)
            free = {f"z{k}": size for k, size in enumerate(shape)}
            both = Load("a", _within(before.shape, free)) + Load("b", _within(value.shape, free))
            added = Statement("sum", index(*free), both, Domain(free))
            self._loops(name, [(added, False)], {"a": before, "b": value, "sum": total})
            value = total
        self.gradients[name] = value

    # ------------------------------------------------------------ loop nests
    def _look(self, tensor: Tensor) -> Value:
        """Where a tensor lies, for statements that address its axes."""
        if tensor.flat is not None and math.prod(tensor.plain.shape[2:]) != 1:
            raise Unsupported("a flattened map", tensor.maker)
        return self._plain_memory(tensor)

    def _looped(self, run: Run) -> None:
        """All statements of a node."""
        declaration, node = run.declaration, run.node.name
        if not declaration.statements:
            raise Unsupported(run.node.op.word)
        values = run.values = {f"x{k}": self._look(x) for k, x in enumerate(run.inputs)}
        for p in declaration.parameters:
            full = run.node.key(p.name)
            values[p.name] = self._statistic(run, p.name, looped=True) or self._parameter(full, p.shape)
        for noise in declaration.noise:
            given = Value(f"{node}.{noise.name}", noise.shape, ROLES[len(noise.shape)], given=True, lanes=1)
            self.noise.append((given, noise))
            values[noise.name] = given
        for parameter, name in declaration.updates.items():
            full = run.node.key(parameter)
            shape = next(p.shape for p in declaration.parameters if p.name == parameter)
            last = self._last[full] is run.node
            values[name] = Value(full, shape, ROLES[len(shape)], result=last, lanes=1)
            self._statistics[full] = values[name]
            if last:
                self.updates[full] = values[name]
        for k, y in enumerate(run.outputs):
            y.kept = values[f"y{k}"] = Value(y.name, y.shape, y.roles)
            y.expr = self._named(y.kept)
        self._temporaries(declaration.statements, values)
        self._loops(node, [(statement, False) for statement in declaration.statements], values)

    def _statistic(self, run: Run, parameter: str, looped: bool) -> Any:
        """A running statistic as the node before, which shares it, has left it: a value of loop nests, or an
        expression; None where there was none. Raises Unsupported where one node left the one and needs the other."""
        full = run.node.key(parameter)
        found = self._statistics.get(full)
        if found is not None and isinstance(found, Value) != looped:
            raise Unsupported(full, *(n.name for n in self.net.nodes if n.key(parameter) == full))
        return found

    def _temporaries(self, statements: Collection[Statement], values: dict[str, Value]) -> None:
        """A value for every target that has none yet."""
        for statement in statements:
            if statement.target not in values:
                shape = extent(statement)
                values[statement.target] = Value(statement.target, shape, ROLES.get(len(shape), ""), lanes=1)

    def _looped_back(self, run: Run) -> None:
        """What arrives at the inputs and parameters of a node that ran as loop nests."""
        assert run.values is not None
        values = dict(run.values)
        given = []
        for k, y in enumerate(run.outputs):
            g = self._arrived(y)
            if g != ZERO:
                given.append(f"y{k}")
                values[arriving(f"y{k}")] = self._gradient_memory(y, g)
        wanted = [f"x{k}" for k, x in enumerate(run.inputs) if x.plain.kept not in self.sources]
        wanted += run.trainable
        self._pulled(run, wanted, given, values)

    def _pulled(
        self, run: Run, wanted: Collection[str], given: Collection[str], values: Mapping[str, Value]
    ) -> None:
        """The gradients of some inputs and parameters by loop nests; values: what their statements load."""
        values, node = dict(values), run.node.name
        found = adjoints(run.declaration, wanted, given)
        made = {statement.target for statement in found}
        inputs: dict[str, Value] = {}
        for k, x in enumerate(run.inputs):
            name = arriving(f"x{k}")
            if name in made:
                plain = x.plain
                home = inputs[name] = Value(f"gradient of {plain.name}", plain.shape, plain.roles)
                turned = plain is not x
                values[name] = Value(home.name, x.shape, x.roles, home=home) if turned else home
        missing: list[Statement] = []
        pulled: dict[str, Value] = {}
        for p in run.declaration.parameters:
            if p.name in wanted:
                name = arriving(p.name)
                values[name] = self._gradient(run.node.key(p.name), p.shape)
                pulled[p.name] = values[name]
                if name not in made:
                    free = {f"z{k}": size for k, size in enumerate(p.shape)}
                    missing.append(Statement(name, index(*free), Const(0.0), Domain(free)))
        self._temporaries(found, values)
        seen: set[str] = set()
        statements = []
        for statement in [*found, *missing]:
            statements.append((statement, statement.target in seen))
            seen.add(statement.target)
        if statements:
            self._loops(f"gradient through {node}", statements, values)
        for parameter, value in pulled.items():
            self._given(run, parameter, value)
        for k, x in enumerate(run.inputs):
            if arriving(f"x{k}") in inputs:
                self._hand(x, self._named(inputs[arriving(f"x{k}")]))


def _within(shape: tuple[int, ...], free: Mapping[str, int]) -> tuple[Index, ...]:
    """Where a number stands in a row-major tensor of this shape; free: the axes of another one of the same numbers."""
    axes = list(free.items())
    found: list[Index] = []
    for size in shape:
        own: list[tuple[str, int]] = []
        covered = 1
        while covered < size:
            own.append(axes.pop(0))
            covered *= own[-1][1]
        names = [name for name, _ in own]
        steps = [math.prod(extent for _, extent in own[k + 1 :]) for k in range(len(own))]
        found.append(Affine(tuple(zip(names, steps, strict=True))))
    return tuple(found)
