"""Nodes that run as loop nests, forward and backward, because they have no kernels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from striate.engine.derivatives import ZERO, add
from striate.engine.plan.nest import extent
from striate.engine.plan.units import ROLES, Buffer
from striate.engine.training.adjoint import adjoints, gradient_name
from striate.engine.training.unit_builder import Tensor, UnitBuilder, Unsupported
from striate.network import Network, Node
from striate.op import Declaration, Noise
from striate.statement import Affine, Const, Domain, Expr, Index, Load, Statement, index


@dataclasses.dataclass
class TapedNode:
    """A node of the tape: its training declaration and tensors, for the backward pass. pattern None: by statements."""

    node: Node
    declaration: Declaration
    pattern: Any
    inputs: list[Tensor]
    outputs: list[Tensor]
    locals: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    lead: Tensor | None = None
    """The tensor that defines the iteration space of its statements."""
    values: dict[str, Buffer] | None = None
    """For a node that runs as loop nests: every tensor of its statements."""
    saved_buffers: dict[str, Buffer] = dataclasses.field(default_factory=dict)
    """Buffers that its pattern saves for the backward pass."""

    @property
    def trainable(self) -> list[str]:
        """The parameters whose gradients are computed."""
        return [p.name for p in self.declaration.parameters if p.trainable]


class LoopBuilder(UnitBuilder):
    """Builds units of nodes that run as loop nests.

    parameter_inputs, noise: external inputs by full name; updates, gradients: results by name. parameters: those of
    `parameter_inputs` in row-major order.
    """

    def __init__(self, net: Network, declarations: Mapping[str, Declaration], lanes: int) -> None:
        super().__init__()
        self.net, self.lanes = net, lanes
        self.noise: list[tuple[Buffer, Noise]] = []
        self.updates: dict[str, Buffer] = {}
        self.gradients: dict[str, Buffer] = {}
        self._statistics: dict[str, Any] = {}
        self._last = {
            node.key(parameter): node for node in net.nodes for parameter in declarations[node.name].updates
        }
        self.sources: set[Buffer] = set()
        self._pending: dict[Tensor, Expr] = {}

    # ------------------------------------------------------------ gradients
    def _accumulate_gradient(self, tensor: Tensor, g: Expr) -> None:
        """Add a gradient to those of a tensor that a node computes."""
        tensor = tensor.plain
        if tensor.buffer not in self.sources:
            self._pending[tensor] = add(self._pending.get(tensor, ZERO), g)

    def _pop_gradient(self, tensor: Tensor) -> Expr:
        return self._pending.pop(tensor.plain, ZERO)

    def _gradient_memory(self, tensor: Tensor, g: Expr) -> Buffer:
        """Buffer of a gradient, with the axes of the tensor; the gradient of a flattened 1x1 map has no spatial
        axes."""
        plain = tensor.plain
        value = self._compute(f"gradient of {plain.name}", g, plain.shape, plain.roles)
        if value.roles == plain.roles:
            return value
        return Buffer(value.name, plain.shape, plain.roles, home=value)

    def _gradient_result(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """Row-major buffer for a node's gradient of a parameter; `_emit_gradient` registers it once it is computed."""
        return Buffer(name, shape, ROLES[len(shape)], lanes=1)

    def _emit_gradient(self, run: TapedNode, parameter: str, value: Buffer) -> None:
        """Register a parameter's gradient, added to those of other nodes that share the parameter."""
        name = run.node.key(parameter)
        before = self.gradients.get(name)
        if before is not None:
            shape = next(p.shape for p in run.declaration.parameters if p.name == parameter)
            total = self._gradient_result(name, shape)
            free = {f"z{k}": size for k, size in enumerate(shape)}
            both = Load("a", _within(before.shape, free)) + Load("b", _within(value.shape, free))
            statement = Statement("sum", index(*free), both, Domain(free))
            self._loops(name, [(statement, False)], {"a": before, "b": value, "sum": total})
            value = total
        self.gradients[name] = value

    def _emit_copied_gradient(self, run: TapedNode, parameter: str, value: Buffer) -> None:
        """Register a parameter's gradient that a kernel computed in its own layout: copied into plain order."""
        name = run.node.key(parameter)
        self._emit_gradient(run, parameter, self._copy_out(name, value, is_result=False))

    # ------------------------------------------------------------ loop nests
    def _addressable(self, tensor: Tensor) -> Buffer:
        """Buffer of a tensor, for statements that index its axes."""
        if tensor.flat is not None and math.prod(tensor.plain.shape[2:]) != 1:
            raise Unsupported("a flattened map", tensor.maker)
        return self._memory_or_view(tensor)

    def _as_loops(self, run: TapedNode) -> None:
        """Append loop nests for all statements of a node."""
        declaration, node = run.declaration, run.node.name
        if not declaration.statements:
            raise Unsupported(run.node.op.word)
        values = run.values = {f"x{k}": self._addressable(x) for k, x in enumerate(run.inputs)}
        for p in declaration.parameters:
            full = run.node.key(p.name)
            values[p.name] = self._statistic(run, p.name, looped=True) or self._parameter(full, p.shape)
        for noise in declaration.noise:
            source = Buffer(
                f"{node}.{noise.name}", noise.shape, ROLES[len(noise.shape)], is_input=True, lanes=1
            )
            self.noise.append((source, noise))
            values[noise.name] = source
        for parameter, name in declaration.updates.items():
            full = run.node.key(parameter)
            shape = next(p.shape for p in declaration.parameters if p.name == parameter)
            last = self._last[full] is run.node
            values[name] = Buffer(full, shape, ROLES[len(shape)], is_result=last, lanes=1)
            self._statistics[full] = values[name]
            if last:
                self.updates[full] = values[name]
        for k, y in enumerate(run.outputs):
            y.buffer = values[f"y{k}"] = Buffer(y.name, y.shape, y.roles)
            y.expr = self._expr_of(y.buffer)
        self._temporaries(declaration.statements, values)
        self._loops(node, [(statement, False) for statement in declaration.statements], values)

    def _statistic(self, run: TapedNode, parameter: str, looped: bool) -> Any:
        """A running statistic after the previous node that shares it: a buffer of loop nests, or an expression; None
        for the first node. Raises Unsupported if one node produces the one kind and the next needs the other."""
        full = run.node.key(parameter)
        statistic = self._statistics.get(full)
        if statistic is not None and isinstance(statistic, Buffer) != looped:
            raise Unsupported(full, *(n.name for n in self.net.nodes if n.key(parameter) == full))
        return statistic

    def _temporaries(self, statements: Collection[Statement], values: dict[str, Buffer]) -> None:
        """Create a buffer for every target that has none yet."""
        for statement in statements:
            if statement.target not in values:
                shape = extent(statement)
                values[statement.target] = Buffer(statement.target, shape, ROLES.get(len(shape), ""), lanes=1)

    def _loops_backward(self, run: TapedNode) -> None:
        """Gradients of the inputs and parameters of a node that ran as loop nests."""
        assert run.values is not None
        values = dict(run.values)
        outputs = []
        for k, y in enumerate(run.outputs):
            g = self._pop_gradient(y)
            if g != ZERO:
                outputs.append(f"y{k}")
                values[gradient_name(f"y{k}")] = self._gradient_memory(y, g)
        tensors = [f"x{k}" for k, x in enumerate(run.inputs) if x.plain.buffer not in self.sources]
        tensors += run.trainable
        self._gradient_nests(run, tensors, outputs, values)

    def _gradient_nests(
        self, run: TapedNode, tensors: Collection[str], outputs: Collection[str], values: Mapping[str, Buffer]
    ) -> None:
        """Compute gradients of some inputs and parameters by loop nests. values: tensors that their statements load."""
        values, node = dict(values), run.node.name
        gradients = adjoints(run.declaration, tensors, outputs)
        targets = {statement.target for statement in gradients}
        inputs: dict[str, Buffer] = {}
        for k, x in enumerate(run.inputs):
            name = gradient_name(f"x{k}")
            if name in targets:
                plain = x.plain
                home = inputs[name] = Buffer(f"gradient of {plain.name}", plain.shape, plain.roles)
                other_axes = plain is not x
                values[name] = Buffer(home.name, x.shape, x.roles, home=home) if other_axes else home
        missing: list[Statement] = []
        parameters: dict[str, Buffer] = {}
        for p in run.declaration.parameters:
            if p.name in tensors:
                name = gradient_name(p.name)
                values[name] = self._gradient_result(run.node.key(p.name), p.shape)
                parameters[p.name] = values[name]
                if name not in targets:
                    free = {f"z{k}": size for k, size in enumerate(p.shape)}
                    missing.append(Statement(name, index(*free), Const(0.0), Domain(free)))
        self._temporaries(gradients, values)
        started: set[str] = set()
        statements = []
        for statement in [*gradients, *missing]:
            statements.append((statement, statement.target in started))
            started.add(statement.target)
        if statements:
            self._loops(f"gradient through {node}", statements, values)
        for parameter, value in parameters.items():
            self._emit_gradient(run, parameter, value)
        for k, x in enumerate(run.inputs):
            if gradient_name(f"x{k}") in inputs:
                self._accumulate_gradient(x, self._expr_of(inputs[gradient_name(f"x{k}")]))


def _within(shape: tuple[int, ...], free: Mapping[str, int]) -> tuple[Index, ...]:
    """Index into a row-major tensor of this shape; free: axes of another view of the same numbers."""
    axes = list(free.items())
    indices: list[Index] = []
    for size in shape:
        factors: list[tuple[str, int]] = []
        covered = 1
        while covered < size:
            factors.append(axes.pop(0))
            covered *= factors[-1][1]
        names = [name for name, _ in factors]
        steps = [math.prod(extent for _, extent in factors[k + 1 :]) for k in range(len(factors))]
        indices.append(Affine(tuple(zip(names, steps, strict=True))))
    return tuple(indices)
