"""Nodes in training whose statements run as loop nests in both passes: what no kernel covers."""

from __future__ import annotations

from typing import Any

from striate.engine.derivatives import ZERO
from striate.engine.plan.units import ROLES, Buffer
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.gradient_nests import add_temporaries, gradient_nests
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.taped_node import TapedNode, Unsupported
from striate.engine.training.unit_builder import UnitBuilder

LoopsNode = TapedNode[Any, dict[str, Buffer]]
"""It saves every tensor of its statements, by name."""


class LoopsTraining(PatternTraining[Any, dict[str, Buffer]]):
    """Any pattern, or none: the gradient of a statement is a statement, too."""

    def forward(self, builder: UnitBuilder, node: LoopsNode) -> bool:
        declaration = node.declaration
        if not declaration.statements:
            raise Unsupported(node.node.op.word)
        values = {f"x{k}": builder.addressable(x) for k, x in enumerate(node.inputs)}
        for p in declaration.parameters:
            statistic = builder.statistic(node, p.name, looped=True)
            values[p.name] = statistic or builder.parameter(node.key(p.name), p.shape)
        for noise in declaration.noise:
            name, roles = f"{node.name}.{noise.name}", ROLES[len(noise.shape)]
            source = Buffer(name, noise.shape, roles, is_input=True, lanes=1)
            builder.noise.append((source, noise))
            values[noise.name] = source
        for parameter, name in declaration.updates.items():
            full = node.key(parameter)
            shape = next(p.shape for p in declaration.parameters if p.name == parameter)
            last = builder.updates_last(full, node.node)
            values[name] = Buffer(full, shape, ROLES[len(shape)], is_result=last, lanes=1)
            builder.statistics[full] = values[name]
            if last:
                builder.updates[full] = values[name]
        for k, y in enumerate(node.outputs):
            values[f"y{k}"] = Buffer(y.name, y.shape, y.roles)
            builder.define(y, values[f"y{k}"])
        add_temporaries(declaration.statements, values)
        builder.append_nests(node.name, [(statement, False) for statement in declaration.statements], values)
        node.saved = values
        return True

    def backward(self, builder: UnitBuilder, node: LoopsNode) -> None:
        values = dict(node.saved)
        outputs = []
        for k, y in enumerate(node.outputs):
            g = builder.pop_gradient(y)
            if g != ZERO:
                outputs.append(f"y{k}")
                values[gradient_name(f"y{k}")] = builder.gradient_memory(y, g)
        tensors = [f"x{k}" for k, x in enumerate(node.inputs) if builder.needs_gradient(x)]
        gradient_nests(builder, node, [*tensors, *node.trainable], outputs, values)


LOOPS = LoopsTraining()
