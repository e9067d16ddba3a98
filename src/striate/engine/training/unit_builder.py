"""Builds the units of a training step: buffers, expressions over them, parameters, and gradients on their way.

Elementwise results stay expressions over buffers until a kernel needs them in memory, and so do gradients: a batch
norm with its activation and residual sum is one pass over memory, and so are its gradients. Per-channel sums
(statistics, gradients of scales and biases) that are requested together share one pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from striate.engine.derivatives import ONE, ZERO, add, mul
from striate.engine.plan.computation import Correlation
from striate.engine.plan.units import ROLES, Buffer, ChannelSums, Enter, FusedElementwise, Leave, Loops, Unit
from striate.engine.training.operands import (
    MAX_OPERANDS,
    broadcast_kind,
    calls,
    is_vector,
    names,
    operand_groups,
    replaced,
)
from striate.engine.training.symbolic import hoist, split, terms
from striate.engine.training.taped_node import AnyNode, Tensor, Unsupported
from striate.network import Network, Node
from striate.op import Declaration, Noise
from striate.statement import Affine, Call, Const, Domain, Expr, Index, Load, Statement, index


class UnitBuilder:
    """Units so far, and the names by which expressions read buffers.

    lanes: vector width of the target. gradient_values: names of values whose gradients are results. readers: number of
    nodes that read a value. parameter_inputs, noise: external inputs by full name; parameters: those of
    `parameter_inputs` in row-major order; updates, gradients: results by name. statistics: the newest value of each
    running statistic, a buffer of loop nests or an expression. sources: buffers that need no gradient.
    """

    def __init__(
        self,
        net: Network,
        declarations: Mapping[str, Declaration],
        lanes: int,
        gradient_values: Collection[str] = (),
    ) -> None:
        self.net, self.lanes, self.gradient_values = net, lanes, gradient_values
        self.units: list[Unit] = []
        self.parameters: dict[str, Buffer] = {}
        self.parameter_inputs: list[tuple[str, Buffer]] = []
        self.noise: list[tuple[Buffer, Noise]] = []
        self.updates: dict[str, Buffer] = {}
        self.gradients: dict[str, Buffer] = {}
        self.statistics: dict[str, Buffer | Expr] = {}
        self.sources: set[Buffer] = set()
        self.readers: dict[str, int] = {}
        for node in net.nodes:
            for name in node.inputs:
                self.readers[name] = self.readers.get(name, 0) + 1
        self._last = {
            node.key(parameter): node for node in net.nodes for parameter in declarations[node.name].updates
        }
        self._values: dict[str, Buffer] = {}
        self._names: dict[Buffer, str] = {}
        self._hoisted: dict[Expr, Expr] = {}
        self._means: dict[str, str] = {}
        self._vectors: dict[str, Expr] = {}
        self._pending: dict[Tensor, Expr] = {}

    # ------------------------------------------------------------ units
    def append(self, unit: Unit) -> None:
        """Append a unit to the step."""
        unit.order = len(self.units)
        self.units.append(unit)

    def append_products(
        self, nodes: list[str], body: Correlation, x: Buffer, y: Buffer, parameters: dict[str, Buffer],
        declaration: Declaration | None = None, residual: Buffer | None = None,
    ) -> None:  # fmt: skip
        """Append sums of products whose parameters are buffers: their contents change from run to run."""
        shapes = {name: np.broadcast_to(np.float32(0), value.shape) for name, value in parameters.items()}
        self.append(
            Unit(nodes, body, [x], [y], declaration, shapes, residual=residual, parameters=parameters)
        )

    def append_nests(
        self, name: str, statements: Sequence[tuple[Statement, bool]], values: Mapping[str, Buffer]
    ) -> None:
        """Append statements as loop nests over buffers, each with whether it adds to its target."""
        targets = dict.fromkeys(values[statement.target] for statement, _ in statements)
        loads = [load.tensor for statement, _ in statements for load in statement.loads]
        read = dict.fromkeys(values[tensor] for tensor in loads)
        tensors = {*loads, *(statement.target for statement, _ in statements)}
        body = Loops(tuple(statements), {tensor: values[tensor] for tensor in values if tensor in tensors})
        self.append(Unit([name], body, [v for v in read if v not in targets], list(targets), None, {}))

    def producer(self, value: Buffer) -> Unit | None:
        """The unit that writes a buffer; None for an alias."""
        return next((unit for unit in reversed(self.units) if value in unit.outputs), None)

    def copy_in(self, name: str, shape: tuple[int, ...], roles: str, lanes: int = 0) -> tuple[Buffer, Buffer]:
        """(external input, its copy in a layout that kernels read)"""
        source = Buffer(name, shape, roles, is_input=True, lanes=1)
        copy = Buffer(name, shape, roles, lanes=lanes)
        self.append(Unit([name], Enter(), [source], [copy], None, {}))
        return source, copy

    def copy_out(self, name: str, x: Buffer, is_result: bool = True) -> Buffer:
        """A buffer in plain order: a result, which the caller owns, or a gradient, which lies in the arena."""
        result = Buffer(name, x.shape, x.roles, is_result=is_result, lanes=1)
        self.append(Unit([name], Leave(), [x], [result], None, {}))
        return result

    # ------------------------------------------------------------ parameters
    def vector(self, name: str, channels: int) -> Expr:
        """A parameter with one number per channel, or one for all."""
        if name not in self._vectors:
            source, copy = self.copy_in(name, (1, channels), "nc")
            self.parameter_inputs.append((name, source))
            self._vectors[name] = self.expr_of(copy)
        return self._vectors[name]

    def parameter(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """A parameter in place, row-major."""
        if name not in self.parameters:
            value = Buffer(name, shape, ROLES.get(len(shape), ""), is_input=True, lanes=1)
            self.parameters[name] = value
            self.parameter_inputs.append((name, value))
        return self.parameters[name]

    def statistic(self, node: AnyNode, parameter: str, looped: bool) -> Any:
        """A running statistic after the previous node that shares it: a buffer of loop nests, or an expression; None
        for the first node. Raises Unsupported if one node produces the one kind and the next needs the other."""
        full = node.key(parameter)
        statistic = self.statistics.get(full)
        if statistic is not None and isinstance(statistic, Buffer) != looped:
            raise Unsupported(full, *(n.name for n in self.net.nodes if n.key(parameter) == full))
        return statistic

    def updates_last(self, full: str, node: Node) -> bool:
        """Whether a node is the last one that updates a running statistic: its value is then a result."""
        return self._last[full] is node

    # ------------------------------------------------------------ expressions
    def expr_of(self, value: Buffer) -> Expr:
        """The expression that reads a buffer."""
        if value not in self._names:
            name = f"v{len(self._values)}"
            self._names[value], self._values[name] = name, value
        return Load(self._names[value], ())

    def buffer_of(self, expr: Expr) -> Buffer:
        """The buffer that an expression reads and does not change."""
        assert isinstance(expr, Load)
        return self._values[expr.tensor]

    def define(self, tensor: Tensor, value: Buffer) -> None:
        """Make a buffer, which a unit computes, that of a tensor."""
        tensor.buffer, tensor.expr = value, self.expr_of(value)

    def memory(self, tensor: Tensor) -> Buffer:
        """The buffer of a tensor; its expression is computed now if it has none."""
        value = tensor.buffer
        if value is None:
            value = self.compute(tensor.name, tensor.expr, tensor.shape, tensor.roles)
            self.define(tensor, value)
        return value

    def memory_or_view(self, tensor: Tensor) -> Buffer:
        """The buffer of a tensor that may be a view."""
        if tensor.plain is tensor:
            return self.memory(tensor)
        home = self.memory(tensor.plain)
        if tensor.permuted is not None:
            return Buffer(tensor.name, tensor.shape, tensor.roles, home=home)
        flat = Buffer(tensor.name, tensor.shape, "nc", home=home, flat=True)
        if home.height * home.width == 1:
            flat.flat = False
        return flat

    def addressable(self, tensor: Tensor) -> Buffer:
        """The buffer of a tensor, for statements that index its axes. Raises Unsupported."""
        if tensor.flat is not None and math.prod(tensor.plain.shape[2:]) != 1:
            raise Unsupported("a flattened map", tensor.maker)
        return self.memory_or_view(tensor)

    def compute(self, name: str, expr: Expr, shape: tuple[int, ...], roles: str) -> Buffer:
        """The buffer of an expression, computed now unless it is one buffer."""
        if isinstance(expr, Load):
            return self._values[expr.tensor]
        y = Buffer(name, shape, roles)
        if not is_vector(y):
            expr = self._within_operand_limit(hoist(expr, self._is_map, self.hoist), y)
        self.append(Unit([name], self._map(expr, y), self._operands(expr), [y], None, {}))
        return y

    def hoist(self, expr: Expr) -> Expr:
        """Compute an expression over vectors alone into a vector."""
        if expr not in self._hoisted:
            channels = max(value.channels for value in self._operands(expr))
            self._hoisted[expr] = self.expr_of(self.compute("vector", expr, (1, channels), "nc"))
        return self._hoisted[expr]

    def map_count(self, expr: Expr) -> int:
        """Number of maps that an expression reads."""
        return sum(map(self._is_map, names(expr)))

    def note_mean(self, mean: Expr, of: Expr) -> None:
        """Note that one expression is the mean over each channel of another, if both are buffers."""
        if isinstance(mean, Load) and isinstance(of, Load):
            self._means[mean.tensor] = of.tensor

    def channel_sums(self, exprs: Sequence[Expr], like: Buffer, by_image: bool = False) -> list[Expr]:
        """Per-channel sums (`by_image`: per image and channel) of expressions over maps, in as few passes as fit."""
        wide = self._is_map
        sums: dict[Expr, Expr] = {}
        pairs = []
        for expr in exprs:
            products = []
            for term in terms(expr):
                broad, narrow = split(term, wide)
                if not by_image and self._sums_to_zero(broad):
                    continue
                if broad == ONE:
                    narrow = mul(narrow, Const(float(like.images * like.height * like.width)))
                else:
                    broad = self._within_operand_limit(hoist(broad, wide, self.hoist), like)
                    sums.setdefault(broad, ZERO)
                products.append((broad, narrow))
            pairs.append(products)
        for some in operand_groups(sums):
            values = {
                name: self._values[name] for name in dict.fromkeys(n for expr in some for n in names(expr))
            }
            kinds = {name: broadcast_kind(value, like) for name, value in values.items()}
            shape: tuple[int, ...] = (like.images if by_image else 1, like.channels)
            roles = "nc"
            if by_image:
                shape, roles = (*shape, *(1 for _ in like.shape[2:])), like.roles
            outputs = [Buffer("sum", shape, roles) for _ in some]
            body = ChannelSums(tuple(some), kinds, values, like, by_image)
            self.append(Unit(["channel sums"], body, list(values.values()), outputs, None, {}))
            sums |= {expr: self.expr_of(value) for expr, value in zip(some, outputs, strict=True)}
        results = []
        for products in pairs:
            total: Expr = ZERO
            for broad, narrow in products:
                total = add(total, mul(sums.get(broad, ONE), narrow))
            results.append(total)
        return results

    def _is_map(self, name: str) -> bool:
        """Whether a tensor has more than one number per channel."""
        return not is_vector(self._values[name])

    def _within_operand_limit(self, expr: Expr, like: Buffer) -> Expr:
        """The expression, with parts computed into buffers until one pass can read all operands."""
        while len(names(expr)) > MAX_OPERANDS:
            parts = [
                part
                for part in calls(expr)
                if 1 < len(names(part)) <= MAX_OPERANDS and self._spans(part, like)
            ]
            if not parts:
                raise Unsupported("an expression over many values")
            part = max(parts, key=lambda part: len(names(part)))
            buffer = self.compute("part", part, like.shape, like.roles)
            expr = replaced(expr, part, self.expr_of(buffer))
        return expr

    def _spans(self, expr: Expr, like: Buffer) -> bool:
        return any(broadcast_kind(value, like) == "s" for value in self._operands(expr))

    def _operands(self, expr: Expr) -> list[Buffer]:
        return [self._values[name] for name in names(expr)]

    def _map(self, expr: Expr, like: Buffer) -> FusedElementwise:
        values = {name: self._values[name] for name in names(expr)}
        if not values or len(values) > MAX_OPERANDS:
            raise Unsupported("elementwise expression")
        return FusedElementwise(
            expr, {name: broadcast_kind(value, like) for name, value in values.items()}, values, {}
        )

    def _sums_to_zero(self, expr: Expr) -> bool:
        """Whether an expression is x - mean(x), whose sum is 0."""
        match expr:
            case Call("sub", (Load(tensor=x), Load(tensor=mean))):
                return self._means.get(mean) == x
        return False

    # ------------------------------------------------------------ gradients
    def needs_gradient(self, tensor: Tensor) -> bool:
        """Whether anything needs the gradient of a tensor; that of an input of the network is seldom a result."""
        return tensor.plain.buffer not in self.sources

    def has_gradient(self, tensor: Tensor) -> bool:
        """Whether a gradient has arrived at a tensor."""
        return self._pending.get(tensor.plain, ZERO) != ZERO

    def accumulate_gradient(self, tensor: Tensor, g: Expr) -> None:
        """Add a gradient to those that have arrived at a tensor."""
        tensor = tensor.plain
        if self.needs_gradient(tensor):
            self._pending[tensor] = add(self._pending.get(tensor, ZERO), g)

    def pop_gradient(self, tensor: Tensor) -> Expr:
        """The sum of the gradients that have arrived at a tensor."""
        return self._pending.pop(tensor.plain, ZERO)

    def gradient_memory(self, tensor: Tensor, g: Expr) -> Buffer:
        """Buffer of a gradient, with the axes of the tensor; the gradient of a flattened 1x1 map has no spatial
        axes."""
        plain = tensor.plain
        value = self.compute(f"gradient of {plain.name}", g, plain.shape, plain.roles)
        if value.roles == plain.roles:
            return value
        return Buffer(value.name, plain.shape, plain.roles, home=value)

    def gradient_result(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """Row-major buffer for a node's gradient of a parameter; `emit_gradient` registers it once it is computed."""
        return Buffer(name, shape, ROLES[len(shape)], lanes=1)

    def emit_gradient(self, node: AnyNode, parameter: str, value: Buffer) -> None:
        """Register a parameter's gradient, added to those of other nodes that share the parameter."""
        name = node.key(parameter)
        before = self.gradients.get(name)
        if before is not None:
            shape = next(p.shape for p in node.declaration.parameters if p.name == parameter)
            total = self.gradient_result(name, shape)
            free = {f"z{k}": size for k, size in enumerate(shape)}
            both = Load("a", _within(before.shape, free)) + Load("b", _within(value.shape, free))
            statement = Statement("sum", index(*free), both, Domain(free))
            self.append_nests(name, [(statement, False)], {"a": before, "b": value, "sum": total})
            value = total
        self.gradients[name] = value

    def emit_copied_gradient(self, node: AnyNode, parameter: str, value: Buffer) -> None:
        """Register a parameter's gradient that a kernel computed in its own layout: copied into plain order."""
        self.emit_gradient(node, parameter, self.copy_out(node.key(parameter), value, is_result=False))


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
