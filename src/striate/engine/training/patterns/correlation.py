"""Sums of products in training: convolutions, their adjoints and fully connected layers.

The gradient with respect to the input is a correlation, too; that with respect to the weight has kernels of its own.
"""

from __future__ import annotations

import dataclasses
import math

from striate.engine.derivatives import ZERO
from striate.engine.plan import choose, dense, windows
from striate.engine.plan.computation import Correlation
from striate.engine.plan.units import Buffer, Unit, WeightGradient
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.gradient_nests import gradient_nests
from striate.engine.training.patterns import merged_groups
from striate.engine.training.patterns.loops import LOOPS, LoopsNode
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.taped_node import TapedNode, Tensor
from striate.engine.training.unit_builder import UnitBuilder
from striate.geometry import Shift, Window
from striate.op import Declaration
from striate.statement import Affine, Domain, Load, Statement, Tap, index, load

SPECIALIZED_GROUP_CHANNELS = (2, 4, 8)
"""Channels per group that have a specialized forward kernel."""


@dataclasses.dataclass(frozen=True)
class SavedProducts:
    """body: what is computed, after padding and with merged groups. x: the input, padded; weight: that of `body`;
    padding: the node that pads, if another one than the kernel does."""

    body: Correlation
    x: Tensor
    weight: Buffer
    padding: LoopsNode | None


ProductsNode = TapedNode[Correlation, SavedProducts]


class CorrelationTraining(PatternTraining[Correlation, SavedProducts]):
    """Padding with anything but zeros, and cropping, are loop nests before the products."""

    def forward(self, builder: UnitBuilder, node: ProductsNode) -> bool:
        (x,), (y,), body = node.inputs, node.outputs, node.pattern
        padding: LoopsNode | None = None
        if not body.fits([x.roles]) or (len(x.shape) == 2 and x.plain.roles == "ncdhw"):
            return False
        bare = _without_padding(body) if x.plain is x else body
        wide = merged_groups.merge_groups(bare, builder.lanes)
        back = wide is not None or dense.covers(bare, builder.lanes) or windows.slides(bare)
        if not back and (bare is not body or not choose.has_kernel(body, builder.lanes)):
            return False
        if bare is not body:
            padding = _pad(builder, node)
            (x,), body = padding.outputs, bare
        value = builder.memory_or_view(x)
        if x.permuted is not None or (body.windows is None and len(x.shape) > 2):
            plain, value = x.plain, value.root
            ones = Window(value.height, 1), Window(value.width, 1)
            body = dataclasses.replace(body, channel=1, windows=ones)
            shape = (plain.shape[0], y.shape[x.roles.index("c")], *plain.shape[2:])
            y.permuted, y.roles = Tensor(y.name, shape, plain.roles, maker=y.maker), x.roles
            y = y.permuted
        result = Buffer(y.name, y.shape, y.roles)
        parameters = {
            p.name: builder.parameter(node.key(p.name), p.shape) for p in node.declaration.parameters
        }
        node.saved = SavedProducts(body, x, parameters["weight"], padding)
        if wide is not None:
            weight = merged_groups.merged_weight(builder, node, body, wide)
            node.saved = SavedProducts(wide, x, weight, padding)
            if not (windows.groups(body) and body.depth == body.outputs in SPECIALIZED_GROUP_CHANNELS):
                body, parameters = wide, parameters | {"weight": weight}
        builder.append_products([node.name], body, value, result, parameters, node.declaration)
        builder.define(y, result)
        return True

    def backward(self, builder: UnitBuilder, node: ProductsNode) -> None:
        x, y, body = node.saved.x, node.outputs[0].plain, node.saved.body
        dy = builder.gradient_memory(y, builder.pop_gradient(y))
        if body.bias and "bias" in node.trainable:
            (total,) = builder.channel_sums([builder.expr_of(dy)], dy)
            builder.emit_copied_gradient(node, "bias", builder.buffer_of(total))
        value = builder.memory_or_view(x.plain if x.permuted is not None else x)
        convolution = _as_convolution(body, value.shaped)
        nests = []
        if "weight" in node.trainable:
            if choose.has_kernel(WeightGradient(convolution), builder.lanes, bare=True):
                _weight_gradient(builder, node, convolution, value.shaped, dy)
            else:
                nests.append("weight")
        if builder.needs_gradient(x) and value.flat:
            _flattened_input_gradient(builder, node, dy)
        elif builder.needs_gradient(x):
            transposed = dataclasses.replace(
                convolution,
                depth=convolution.outputs,
                outputs=convolution.depth,
                bias=False,
                adjoint=not convolution.adjoint,
            )
            # Output padding that reaches further than a stride leaves windows without an input.
            sizes = value.shaped.height, value.shaped.width
            fits = transposed.adjoint or sizes == tuple(m.output for m in transposed.windows or ())
            if fits and choose.has_kernel(transposed, builder.lanes, bare=True):
                _input_gradient(builder, node, transposed, dy)
            else:
                nests.append("x0")
        if nests:
            assert node.saved.padding is None, "kernels cover all gradients where the map is padded first"
            parameter = builder.parameters[node.key("weight")]
            values = {"x0": builder.addressable(x), "weight": parameter, gradient_name("y0"): dy}
            gradient_nests(builder, node, nests, ["y0"], values)
        if node.saved.padding is not None:
            LOOPS.backward(builder, node.saved.padding)


def _weight_gradient(
    builder: UnitBuilder, node: ProductsNode, convolution: Correlation, x: Buffer, dy: Buffer
) -> None:
    body, weight, name = node.saved.body, node.saved.weight, node.key("weight")
    assert convolution.windows is not None
    taps = convolution.windows[0].kernel * convolution.windows[1].kernel
    depth = weight.size("c") if convolution.windows is body.windows else convolution.depth
    shape = (1, weight.shape[0], 1, depth * taps)  # as one row, of which squares are transposed at a time
    dw = Buffer(f"gradient of {name}", shape, "nchw")
    inputs = [dy, x] if convolution.adjoint else [x, dy]
    builder.append(Unit([dw.name], WeightGradient(convolution), inputs, [dw], None, {}))
    if weight is builder.parameters[name]:
        builder.emit_copied_gradient(node, "weight", dw)
    else:
        merged_groups.emit_gradient(builder, node, body, dw, taps)


def _flattened_input_gradient(builder: UnitBuilder, node: ProductsNode, dy: Buffer) -> None:
    """Input gradient of a fully connected layer on a flattened map: computed in the order of its weights, which are
    then contiguous, and copied into the map's order afterwards."""
    x, body, one = node.saved.x, node.saved.body, Window(1, 1)
    transposed = dataclasses.replace(
        body, depth=body.outputs, outputs=x.shape[1], windows=(one, one), bias=False, adjoint=True
    )
    flat = Buffer(f"gradient of {x.name}", x.shape, "nc")
    name, weight = f"gradient through {node.name}", {"weight": node.saved.weight}
    builder.append_products([name], transposed, dy, flat, weight)
    names, shape = "ncijl"[: len(x.plain.shape)], x.plain.shape
    along = tuple((v, math.prod(shape[k + 1 :])) for k, v in enumerate(names) if k)
    domain = Domain(dict(zip(names, shape, strict=True)))
    statement = Statement("map", index(*names), Load("flat", (*index("n"), Affine(along))), domain)
    dx = Buffer(f"gradient of {x.plain.name}", shape, x.plain.roles)
    builder.append_nests(f"gradient of {x.name}", [(statement, False)], {"flat": flat, "map": dx})
    builder.accumulate_gradient(x, builder.expr_of(dx))


def _input_gradient(builder: UnitBuilder, node: ProductsNode, transposed: Correlation, dy: Buffer) -> None:
    x = node.saved.x.plain
    # Earlier gradients are added in the store, which depthwise kernels cannot do.
    narrow = transposed.groups > 1 and transposed.outputs == 1
    earlier = ZERO if narrow else builder.pop_gradient(x)
    residual = None if earlier == ZERO else builder.gradient_memory(x, earlier)
    dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
    name, weight = f"gradient through {node.name}", {"weight": node.saved.weight}
    builder.append_products([name], transposed, dy, dx, weight, residual=residual)
    builder.accumulate_gradient(x, builder.expr_of(dx))


def _pad(builder: UnitBuilder, node: ProductsNode) -> LoopsNode:
    """Padding with anything but zeros, or cropping, as a node of its own."""
    (x,), (spec,), pairs = node.inputs, node.declaration.inputs, node.pattern.windows
    assert pairs is not None
    maps = [Shift(m.input, m.before, m.after, 1, m.mode) for m in pairs][4 - len(x.shape) :]
    free = dict(zip(("n", "c", "i", "j"), (*x.shape[:2], *(m.output for m in maps)), strict=False))
    taps = (Tap(m, v) for m, v in zip(maps, "ij", strict=False))
    statement = Statement("y0", index(*free), load("x0", "n", "c", *taps), Domain(free))
    padded_spec = dataclasses.replace(spec, shape=tuple(free.values()))
    declaration = Declaration(node.node.op, (spec,), (padded_spec,), (), (statement,))
    y = Tensor(f"{x.name} padded", padded_spec.shape, x.roles, maker=node.name)
    padding = LoopsNode(node.node, declaration, None, [x], [y], {})
    LOOPS.forward(builder, padding)
    return padding


def _without_padding(body: Correlation) -> Correlation:
    """The same correlation over a map that is padded or cropped first, unless zero padding alone suffices."""
    if body.windows is None or body.adjoint:
        return body
    if all(m.mode == "zeros" and min(m.before, m.after) >= 0 for m in body.windows):
        return body
    h, w = (Window(m.input + m.before + m.after, m.kernel, m.stride, m.dilation) for m in body.windows)
    return dataclasses.replace(body, windows=(h, w))


def _as_convolution(body: Correlation, x: Buffer) -> Correlation:
    """A fully connected layer as a convolution with one window, the size of the map."""
    if body.windows is not None:
        return body
    h, w = x.height, x.width
    return dataclasses.replace(body, depth=x.channels, windows=(Window(h, h, h), Window(w, w, w)))
