"""Gradients without a kernel: the adjoints of a node's statements, as loop nests."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from striate.engine.plan.nest import extent
from striate.engine.plan.units import ROLES, Buffer
from striate.engine.training.adjoint import adjoints, gradient_name
from striate.engine.training.taped_node import AnyNode
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Const, Domain, Statement, index


def gradient_nests(
    builder: UnitBuilder,
    node: AnyNode,
    tensors: Collection[str],
    outputs: Collection[str],
    values: Mapping[str, Buffer],
) -> None:
    """Compute the gradients of some inputs and parameters of a node by loop nests; those of parameters are 0 where no
    output has one. values: tensors that the statements load, gradients of the outputs included."""
    values = dict(values)
    gradients = adjoints(node.declaration, tensors, outputs)
    targets = {statement.target for statement in gradients}
    inputs: dict[str, Buffer] = {}
    for k, x in enumerate(node.inputs):
        name = gradient_name(f"x{k}")
        if name in targets:
            plain = x.plain
            home = inputs[name] = Buffer(f"gradient of {plain.name}", plain.shape, plain.roles)
            other_axes = plain is not x
            values[name] = Buffer(home.name, x.shape, x.roles, home=home) if other_axes else home
    missing: list[Statement] = []
    parameters: dict[str, Buffer] = {}
    for p in node.declaration.parameters:
        if p.name in tensors:
            name = gradient_name(p.name)
            values[name] = builder.gradient_result(node.key(p.name), p.shape)
            parameters[p.name] = values[name]
            if name not in targets:
                free = {f"z{k}": size for k, size in enumerate(p.shape)}
                missing.append(Statement(name, index(*free), Const(0.0), Domain(free)))
    add_temporaries(gradients, values)
    started: set[str] = set()
    statements = []
    for statement in [*gradients, *missing]:
        statements.append((statement, statement.target in started))
        started.add(statement.target)
    if statements:
        builder.append_nests(f"gradient through {node.name}", statements, values)
    for parameter, value in parameters.items():
        builder.emit_gradient(node, parameter, value)
    for k, x in enumerate(node.inputs):
        if gradient_name(f"x{k}") in inputs:
            builder.accumulate_gradient(x, builder.expr_of(inputs[gradient_name(f"x{k}")]))


def add_temporaries(statements: Collection[Statement], values: dict[str, Buffer]) -> None:
    """Add a buffer for every target that has none yet."""
    for statement in statements:
        if statement.target not in values:
            shape = extent(statement)
            values[statement.target] = Buffer(statement.target, shape, ROLES.get(len(shape), ""), lanes=1)
