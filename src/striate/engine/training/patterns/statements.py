"""Statements in training that are elementwise, or sums over everything but the channel.

They stay expressions: `symbolic` derives the gradient of such an expression as another one. So batch norm, activations,
residual sums, gates and dropout are computed together, and none of them is known by name.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from striate.engine.derivatives import ZERO, add, mul
from striate.engine.plan.algebra import substitute
from striate.engine.plan.units import ROLES, Buffer
from striate.engine.training.gradient_nests import gradient_nests
from striate.engine.training.patterns import clamps
from striate.engine.training.patterns.iteration_space import iteration_space
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.symbolic import gradients
from striate.engine.training.taped_node import TapedNode, Tensor, Unsupported
from striate.engine.training.unit_builder import UnitBuilder
from striate.op import Noise
from striate.statement import Affine, Call, Const, Domain, Expr, Load, Statement, index, walk

P = TypeVar("P")

MAX_READ_GRADIENTS = 2
"""Maximum number of maps that an arriving gradient reads; beyond it the gradient is stored."""


@dataclasses.dataclass(frozen=True)
class SavedStatements:
    """lead: the tensor whose positions the statements go over; tensors: what they load and compute, by name."""

    lead: Tensor
    tensors: dict[str, Tensor]


class KernelStatement(abc.ABC, Generic[P]):
    """The first statement of a pattern P: a map that a kernel computes, because it is not elementwise."""

    @abc.abstractmethod
    def covers(self, pattern: P, lanes: int) -> bool:
        """Whether the kernel supports it."""

    @abc.abstractmethod
    def forward(self, builder: UnitBuilder, node: TapedNode[P, SavedStatements], lead: Tensor) -> Tensor:
        """Append its unit; returns the map."""

    @abc.abstractmethod
    def backward(self, builder: UnitBuilder, node: TapedNode[P, SavedStatements], g: Expr) -> Expr:
        """Append the units of the gradient of `x0`, from the gradient of the map."""


class StatementsTraining(PatternTraining[Any, SavedStatements]):
    """Elementwise patterns, and declarations of several such statements, which fit no pattern.

    first: how the first statement is computed, where a kernel does it.
    """

    def __init__(self, first: KernelStatement[Any] | None = None) -> None:
        self._first = first

    def forward(self, builder: UnitBuilder, node: TapedNode[Any, SavedStatements]) -> bool:
        declaration, first = node.declaration, self._first
        base = iteration_space(declaration, node.inputs, skipped=0 if first is None else 1)
        if base is None:
            return False
        if first is not None:
            plain = base.permuted is None and base.owns_memory
            if not plain or not first.covers(node.pattern, builder.lanes):
                return False
        lead = base.plain
        tensors: dict[str, Tensor] = {}
        node.saved = SavedStatements(lead, tensors)
        for k, x in enumerate(node.inputs):
            if x.flat is not None and x.plain.roles != x.roles:
                builder.memory(x.plain)  # a view: elementwise work is done on the map itself
            tensors[f"x{k}"] = x.plain
        for p in declaration.parameters:
            count = math.prod(p.shape)
            expr = builder.statistic(node, p.name, looped=False) or builder.vector(node.key(p.name), count)
            tensors[p.name] = Tensor(p.name, (1, count), "nc", expr)
        for noise in declaration.noise:
            tensors[noise.name] = _draw_noise(builder, node, noise)
        statements = list(declaration.statements)
        if first is not None:
            tensors[statements.pop(0).target] = first.forward(builder, node, lead)
        for statement in statements:
            _compute(builder, node, statement)
        for parameter, name in declaration.updates.items():
            full, value = node.key(parameter), builder.memory(tensors[name])
            builder.statistics[full] = tensors[name].expr
            if builder.updates_last(full, node.node):
                builder.updates[full] = builder.copy_out(full, value)
        (y,), result = node.outputs, tensors["y0"]
        clamps.fuse(builder, node.inputs[0], result)
        if base.flat is not None:
            y.flat = result
        elif base.permuted is not None:
            y.permuted = result
        else:
            y.expr, y.buffer = result.expr, result.buffer
        y.roles = base.roles
        return True

    def backward(self, builder: UnitBuilder, node: TapedNode[Any, SavedStatements]) -> None:
        (y,), lead, tensors = node.outputs, node.saved.lead, node.saved.tensors
        differentiable = {name for name in tensors if name[0] in "xt"} | {*node.trainable}
        g = builder.pop_gradient(y)
        if builder.map_count(g) > MAX_READ_GRADIENTS:
            g = builder.expr_of(builder.gradient_memory(y, g))
        arriving: dict[str, Expr] = {"y0": g}
        for k, statement in reversed([*enumerate(node.declaration.statements)]):
            g = arriving.pop(statement.target, ZERO)
            if g == ZERO:
                continue
            parts: Iterable[tuple[str, Expr]]
            if self._first is not None and k == 0:
                parts = [("x0", self._first.backward(builder, node, g))]
            else:
                parts = _gradients(builder, node, statement, g, differentiable)
            for name, part in parts:
                arriving[name] = add(arriving.get(name, ZERO), part)
        for k, x in enumerate(node.inputs):
            if arriving.get(f"x{k}", ZERO) != ZERO:
                builder.accumulate_gradient(x, arriving[f"x{k}"])
        for name in node.trainable:
            total = arriving.get(name, ZERO)
            if total == ZERO:
                gradient_nests(builder, node, [name], [], {})
            else:
                value = builder.compute(node.key(name), total, (1, lead.size("c")), "nc")
                _emit_vector_gradient(builder, node, name, value)


def _draw_noise(builder: UnitBuilder, node: TapedNode[Any, SavedStatements], noise: Noise) -> Tensor:
    """Random numbers: one per element of the map, or one per image."""
    lead = node.saved.lead
    name, shape = f"{node.name}.{noise.name}", tuple(noise.shape)
    if math.prod(shape[1:]) == 1 != math.prod(lead.shape[1:]):
        source = value = Buffer(name, shape, ROLES[len(shape)], is_input=True, lanes=1)
    else:
        # In the map's order, which may be flattened.
        shape = lead.shape
        source, value = builder.copy_in(name, shape, lead.roles)
    builder.noise.append((source, noise))
    return Tensor(noise.name, shape, value.roles, builder.expr_of(value), buffer=value)


def _compute(builder: UnitBuilder, node: TapedNode[Any, SavedStatements], statement: Statement) -> None:
    """The target of a statement, from the tensors before it."""
    lead, tensors, name = node.saved.lead, node.saved.tensors, statement.target
    sums = statement.reduce and len(statement.index) == 1
    like = builder.memory(lead) if sums else None  # first, because it changes the tensor's expression
    expr = substitute(statement.value, {n: t.expr for n, t in tensors.items()})
    if len(statement.index) > 1:
        tensors[name] = Tensor(node.outputs[0].name, lead.shape, lead.roles, expr, maker=node.name)
        return
    if like is not None:
        (expr,) = builder.channel_sums([expr], like)
    value = builder.hoist(expr) if isinstance(expr, Call) else expr
    tensors[name] = Tensor(name, (1, lead.shape[1]), "nc", value)
    if _is_mean(statement):
        builder.note_mean(value, lead.expr)


def _is_mean(statement: Statement) -> bool:
    """Whether a statement is the mean of `x0` over everything but the channel."""
    share = Const(1 / math.prod(statement.domain.reduced.values()))
    x = next(walk(statement.value), None)
    return statement.reduce != "" and x is not None and statement.value == mul(Load("x0", x.index), share)


def _gradients(
    builder: UnitBuilder,
    node: TapedNode[Any, SavedStatements],
    statement: Statement,
    g: Expr,
    differentiable: set[str],
) -> Iterator[tuple[str, Expr]]:
    """The gradients of the tensors that a statement loads, by name, from that of its target. Raises Unsupported."""
    lead, tensors = node.saved.lead, node.saved.tensors
    value = substitute(statement.value, {name: Load(f"own {name}", ()) for name in tensors})
    exprs = {f"own {name}": tensor.expr for name, tensor in tensors.items()}
    partials = clamps.gradient(builder, node, statement, value, g) or gradients(
        value, Load("arriving", ()), {f"own {name}" for name in differentiable}
    )
    exprs["arriving"] = g
    shape = lead.buffer if lead.buffer is not None else Buffer("", lead.shape, lead.roles)
    sums: dict[str, Expr] = {}
    for load_name, expr in partials.items():
        name = load_name.removeprefix("own ")
        part, tensor = substitute(expr, exprs), tensors[name]
        same_positions = (tensor.shape, tensor.roles) == (lead.shape, lead.roles)
        if same_positions or (len(statement.index) == 1 and not statement.reduce):
            yield name, part
        elif len(tensor.shape) == 2 and tensor.shape[0] == 1:
            sums[name] = part
        elif tensor.shape[:2] == lead.shape[:2]:
            (total,) = builder.channel_sums([part], shape, by_image=True)
            yield name, total
        else:
            raise Unsupported("a tensor of another shape")
    yield from zip(sums, builder.channel_sums([*sums.values()], shape), strict=True)


def _emit_vector_gradient(
    builder: UnitBuilder, node: TapedNode[Any, SavedStatements], name: str, value: Buffer
) -> None:
    """Register the gradient of a parameter with one number per channel, or of one number: the sum over the channels."""
    full = node.key(name)
    shape = next(p.shape for p in node.declaration.parameters if p.name == name)
    if math.prod(shape) == value.channels:
        builder.emit_copied_gradient(node, name, value)
        return
    every = Domain({f"z{k}": 1 for k in range(len(shape))}, {"c": value.channels})
    one = Statement("one", index(*every.free), Load("all", (Affine(()), *index("c"))), every, "sum")
    sole = builder.gradient_result(full, shape)
    builder.append_nests(full, [(one, False)], {"one": sole, "all": value})
    builder.emit_gradient(node, name, sole)
