"""The units of a training step: each node's pattern appends its own, forward in order, then backward in reverse.

A node without kernels in both passes runs as loop nests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from striate.engine.derivatives import ZERO
from striate.engine.plan import choose, recognize
from striate.engine.plan.computation import Correlation
from striate.engine.plan.place import PIXEL_MAJOR_MAX_CHANNELS
from striate.engine.plan.units import ROLES, Buffer
from striate.engine.training.gradient_nests import gradient_nests
from striate.engine.training.patterns.loops import LOOPS
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.patterns.registry import TRAINING
from striate.engine.training.taped import StepBuffers, Taped
from striate.engine.training.taped_node import AnyNode, TapedNode, Tensor, Unsupported
from striate.engine.training.unit_builder import UnitBuilder
from striate.network import Network, Node
from striate.op import Declaration
from striate.statement import Call, Expr

MAX_READ_MAPS = 4
"""Maximum number of maps that one elementwise pass reads; beyond it a result is stored."""
MAX_INLINE_CALLS = 24
"""An expression with more calls than this is computed once and stored, not again for each reader."""


def build_tape(
    net: Network, declarations: Mapping[str, Declaration], lanes: int, values: Collection[str] = ()
) -> Taped:
    """The units of a network, with loop nests where kernels are missing.

    lanes: vector width of the target. values: names of values whose gradients are results. Raises Unsupported if loop
    nests cannot help.
    """
    loops: set[str] = set()
    while True:
        try:
            return _record(net, declarations, lanes, loops, values)
        except Unsupported as error:
            more = set(error.nodes)
            if more <= loops:  # expressions of its neighbors
                more = {
                    other.name
                    for node in net.nodes
                    if node.name in error.nodes
                    for other in net.nodes
                    if {*other.outputs} & {*node.inputs} or {*other.inputs} & {*node.outputs}
                }
            if more <= loops:
                raise
            loops |= more


def _record(
    net: Network,
    declarations: Mapping[str, Declaration],
    lanes: int,
    loops: Collection[str],
    values: Collection[str],
) -> Taped:
    """The units of both passes. loops: names of nodes to run as loop nests. Raises Unsupported."""
    builder = UnitBuilder(net, declarations, lanes, values)
    tensors: dict[str, Tensor] = {}
    inputs = {name: _enter(builder, name, declarations, loops, tensors) for name in net.inputs}
    steps: list[tuple[PatternTraining[Any, Any], AnyNode]] = []
    for node in net.nodes:
        try:
            steps.append(_forward(builder, node, declarations[node.name], node.name in loops, tensors))
        except Unsupported as error:
            error.nodes = error.nodes or (node.name,)
            raise
    outputs: dict[str, Buffer] = {}
    for name in net.outputs:
        outputs[name] = builder.copy_out(name, builder.memory_or_view(tensors[name]))
    first_backward = len(builder.units)
    seeds = {name: _seed(builder, tensors[name]) for name in dict.fromkeys(net.outputs)}
    for training, taped in reversed(steps):
        try:
            _backward(builder, training, taped)
        except Unsupported as error:
            error.nodes = error.nodes or (taped.name,)
            raise
    for name in net.inputs:
        _emit_value_gradient(builder, tensors[name])
    buffers = StepBuffers(
        inputs, builder.parameters, tuple(builder.parameter_inputs), tuple(builder.noise), outputs, seeds,
        builder.updates, builder.gradients,
    )  # fmt: skip
    return Taped(net, tuple(builder.units), first_backward, buffers)


def _enter(
    builder: UnitBuilder,
    name: str,
    declarations: Mapping[str, Declaration],
    loops: Collection[str],
    tensors: dict[str, Tensor],
) -> Buffer:
    """Copy an input of the network into a layout that kernels read. Returns the input itself."""
    spec, lanes = builder.net.inputs[name], 0
    readers = [node for node in builder.net.nodes if name in node.inputs]
    plain = not any(declarations[node.name].noise or node.name in loops for node in readers)
    if spec.shape[1] <= PIXEL_MAJOR_MAX_CHANNELS and len(spec.shape) > 2 and plain:
        patterns = [recognize.recognize(declarations[node.name]) for node in readers]
        if all(
            isinstance(p, Correlation) and p.reads_pixels and choose.has_kernel(p, builder.lanes)
            for p in patterns
        ):
            lanes = spec.shape[1]
    source, copy = builder.copy_in(name, spec.shape, ROLES.get(len(spec.shape), ""), lanes)
    if name not in builder.gradient_values:
        builder.sources.add(copy)
    tensors[name] = Tensor(name, spec.shape, copy.roles, builder.expr_of(copy), buffer=copy)
    return source


def _forward(
    builder: UnitBuilder, node: Node, declaration: Declaration, loops: bool, tensors: dict[str, Tensor]
) -> tuple[PatternTraining[Any, Any], AnyNode]:
    """Compute the outputs of a node. Returns what computes its gradients, and the node with what that needs."""
    inputs = [tensors[name] for name in node.inputs]
    outputs = [
        Tensor(name, spec.shape, ROLES.get(len(spec.shape), ""), maker=node.name)
        for name, spec in zip(node.outputs, declaration.outputs, strict=True)
    ]
    pattern = None if declaration.noise or declaration.updates else recognize.recognize(declaration)
    taped: AnyNode = TapedNode(node, declaration, pattern, inputs, outputs, None)
    training = LOOPS if loops else TRAINING[type(pattern)]
    if not training.forward(builder, taped):
        training = LOOPS
        training.forward(builder, taped)
    for y in outputs:
        tensors[y.name] = y
        pending = y.plain is y and y.buffer is None
        if pending and (builder.readers.get(y.name, 0) != 1 or _is_expensive(builder, y.expr)):
            builder.memory(y)
    return training, taped


def _is_expensive(builder: UnitBuilder, expr: Expr) -> bool:
    return builder.map_count(expr) > MAX_READ_MAPS or _size(expr) > MAX_INLINE_CALLS


def _size(expr: Expr) -> int:
    """Number of calls in an expression."""
    return 1 + sum(map(_size, expr.args)) if isinstance(expr, Call) else 0


def _seed(builder: UnitBuilder, tensor: Tensor) -> Buffer:
    """The gradient of an output, as an external input."""
    if not tensor.owns_memory:
        raise Unsupported("an output that is a view", tensor.maker)
    source, copy = builder.copy_in(f"gradient of {tensor.name}", tensor.shape, ROLES[len(tensor.shape)])
    builder.accumulate_gradient(tensor, builder.expr_of(copy))
    return source


def _backward(builder: UnitBuilder, training: PatternTraining[Any, Any], taped: AnyNode) -> None:
    """Compute the gradients of a node's inputs and parameters; all that arrive at its outputs have arrived."""
    for y in taped.outputs:
        _emit_value_gradient(builder, y)
    if any(map(builder.has_gradient, taped.outputs)):
        training.backward(builder, taped)
    else:
        gradient_nests(builder, taped, taped.trainable, [], {})


def _emit_value_gradient(builder: UnitBuilder, tensor: Tensor) -> None:
    """Register the gradient of a value if it is a result, and all of it has arrived; none where no output depends on
    it."""
    if tensor.name not in builder.gradient_values:
        return
    if tensor.plain is not tensor:
        raise Unsupported("the gradient of a view", tensor.maker)
    g = builder.pop_gradient(tensor)
    if g != ZERO:
        value = builder.gradient_memory(tensor, g)
        builder.accumulate_gradient(tensor, builder.expr_of(value))
        builder.gradients[tensor.name] = builder.copy_out(tensor.name, value, is_result=False)
