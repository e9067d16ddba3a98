"""Gradients of norms: over the channels of each pixel by a kernel, over groups by sums and expressions of them."""

from __future__ import annotations

import dataclasses

from striate.engine.plan.computation import Norm
from striate.engine.plan.units import Buffer, NormGradient, Unit
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Affine, Const, Domain, Expr, Index, Load, Statement, call, index


@dataclasses.dataclass(frozen=True)
class SavedNorm:
    """A norm's input, and its weight if it has one."""

    x: Buffer
    weight: Buffer | None


def pixel_gradient(builder: UnitBuilder, node: TapedNode[Norm, SavedNorm], dy: Buffer) -> None:
    """One pass for the input's gradient and each pixel's statistics; sums of both for weight and bias."""
    (x,), body, value, weight = node.inputs, node.pattern, node.saved.x, node.saved.weight
    one = (value.shape[0], 1, *value.shape[2:])
    dx = Buffer(f"gradient of {x.plain.name}", value.shape, value.roles)
    mean, scale = (Buffer(f"{node.name} {name}", one, value.roles, lanes=1) for name in ("mean", "scale"))
    reads = [dy, value] if weight is None else [dy, value, weight]
    name = f"gradient through {node.name}"
    builder.append(Unit([name], NormGradient(body), reads, [dx, mean, scale], None, {}))
    builder.accumulate_gradient(x, builder.expr_of(dx))
    if node.trainable:
        g, v, m, s = map(builder.expr_of, (dy, value, mean, scale))
        sums = {"weight": call("mul", g, call("mul", v - m, s)), "bias": g}
        totals = builder.channel_sums([sums[name] for name in node.trainable], value)
        for name, total in zip(node.trainable, totals, strict=True):
            buffer = builder.compute(name, total, (1, value.channels), "nc")
            builder.emit_copied_gradient(node, name, buffer)


def group_gradient(builder: UnitBuilder, node: TapedNode[Norm, SavedNorm], dy: Buffer) -> None:
    """Sums by image and channel, then by group, and the input's gradient as an expression of these."""
    (x,), body, value, weight = node.inputs, node.pattern, node.saved.x, node.saved.weight
    groups, group_channels = body.groups, value.channels // body.groups
    share = 1 / (group_channels * value.height * value.width)
    ones = (value.shape[0], value.channels, *(1 for _ in value.shape[2:]))
    rest = (Affine(()),) * (len(value.shape) - 2)
    member: tuple[Index, ...] = (*index("n"), Affine((("g", group_channels), ("c", 1))), *rest)
    group, outer = index("n", "g"), {"n": value.images, "g": groups}
    every = Domain({**outer, "c": group_channels})

    def channels(name: str) -> Buffer:
        return Buffer(f"{node.name} {name}", ones, value.roles)

    def groups_of(name: str) -> Buffer:
        return Buffer(f"{node.name} {name}", (value.images, groups), "nc", lanes=1)

    def group_sum(name: str, of: Expr) -> Statement:
        return Statement(name, group, of * share, Domain(outer, {"c": group_channels}), "sum")

    def at(name: str) -> Expr:
        return Load(name, member)

    def by_image(*exprs: Expr) -> list[Buffer]:
        return [builder.buffer_of(total) for total in builder.channel_sums(exprs, value, by_image=True)]

    v, g = builder.expr_of(value), builder.expr_of(dy)
    (total,) = by_image(v)
    mean = channels("mean")
    builder.append_nests(
        node.name,
        [(group_sum("m", at("x")), False), (Statement("mean", member, Load("m", group), every), False)],
        {"x": total, "m": groups_of("means"), "mean": mean},
    )
    far = v - builder.expr_of(mean)
    (total,) = by_image(call("mul", far, far))
    scale = channels("scale")
    root = call("div", 1.0, call("sqrt", Load("s", group) + body.eps))
    builder.append_nests(
        node.name,
        [(group_sum("s", at("x")), False), (Statement("scale", member, root, every), False)],
        {"x": total, "s": groups_of("variances"), "scale": scale},
    )
    slopes, products = by_image(g, call("mul", g, far))
    values = {"a": slopes, "b": products, "scale": scale, "p": groups_of("a"), "q": groups_of("b")}
    values |= {name: channels(name) for name in ("times", "far", "all")}
    w: Expr = Const(1.0)
    if weight is not None:
        values["weight"] = weight
        w = Load("weight", (Affine(()), member[1]))
    r = at("scale")
    statements = [
        group_sum("p", at("a") * w),
        group_sum("q", at("b") * w * r),
        Statement("times", member, w * r, every),
        Statement("far", member, Load("q", group) * r * r, every),
        Statement("all", member, Load("p", group) * r, every),
    ]
    over = Domain({"g": groups, "c": group_channels}, {"n": value.images})
    sums = {"weight": at("b") * r, "bias": at("a")}
    for name in node.trainable:
        values[gradient_name(name)] = builder.gradient_result(node.key(name), (value.channels,))
        statements.append(Statement(gradient_name(name), (member[1],), sums[name], over, "sum"))
    builder.append_nests(f"gradient through {node.name}", [(s, False) for s in statements], values)
    for name in node.trainable:
        builder.emit_gradient(node, name, values[gradient_name(name)])
    times, slope, shift = (builder.expr_of(values[name]) for name in ("times", "far", "all"))
    builder.accumulate_gradient(x, call("mul", g, times) - call("mul", far, slope) - shift)
