"""Norms over the channels of a pixel or over groups of an image, local response norms and softmax, forward and
backward."""

from __future__ import annotations

import dataclasses
import math

from striate.engine.derivatives import ZERO
from striate.engine.kernels import lrn
from striate.engine.plan.computation import LocalResponseNorm, Norm, Softmax
from striate.engine.plan.units import Buffer, NormGradient, Unit
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.loop_builder import LoopBuilder, TapedNode
from striate.engine.training.unit_builder import Tensor
from striate.statement import Affine, Const, Domain, Expr, Index, Load, Statement, call, index, load


class NormBuilder(LoopBuilder):
    """Builds units of norms. They keep their input; the backward pass computes the statistics again."""

    def _channels(self, x: Tensor, axis: int) -> bool:
        """Whether an axis is the channel axis, along which blocks lie, and the only one."""
        return (x.owns_memory or x.permuted is not None) and x.roles[axis : axis + 1] == "c"

    def _result(self, run: TapedNode) -> Tensor:
        """The output in the memory order of the input."""
        (x,), (y,) = run.inputs, run.outputs
        if x.plain is x:
            return y
        tensor = Tensor(y.name, x.plain.shape, x.plain.roles, maker=y.maker)
        if x.permuted is not None:
            y.permuted = tensor
        else:
            y.flat = tensor
        y.roles = x.roles
        return tensor

    # ------------------------------------------------------------ norms
    def _norm(self, run: TapedNode, body: Norm) -> bool:
        (x,), node = run.inputs, run.node.name
        if not self._channels(x, body.channel) or (body.groups and (x.plain is not x or len(x.shape) < 3)):
            return False
        value, y = self.memory(x.plain), self._result(run)
        result = Buffer(y.name, y.shape, y.roles)
        vectors = []
        for p in run.declaration.parameters:
            vector = self._vector(run.node.key(p.name), math.prod(p.shape))
            vectors.append(self._values[vector.tensor])  # type: ignore[attr-defined]
        unit = Unit([node], dataclasses.replace(body, channel=1), [value, *vectors], [result], None, {})
        self._append(unit)
        run.saved_buffers = {"x0": value} | {
            p.name: v for p, v in zip(run.declaration.parameters, vectors, strict=True)
        }
        y.buffer, y.expr = result, self._expr_of(result)
        return True

    def _norm_backward(self, run: TapedNode, body: Norm) -> None:
        (y,) = run.outputs
        dy = self._gradient_memory(y, self._pop_gradient(y))
        if body.groups:
            self._group_norm_backward(run, body, dy)
        else:
            self._pixel_norm_backward(run, body, dy)

    def _pixel_norm_backward(self, run: TapedNode, body: Norm, dy: Buffer) -> None:
        """One pass for the input's gradient and each pixel's statistics; sums of both for weight and bias."""
        (x,), node = run.inputs, run.node.name
        value = run.saved_buffers["x0"]
        one = (value.shape[0], 1, *value.shape[2:])
        dx = Buffer(f"gradient of {x.plain.name}", value.shape, value.roles)
        mean, scale = (Buffer(f"{node} {name}", one, value.roles, lanes=1) for name in ("mean", "scale"))
        weight = [run.saved_buffers["weight"]] if body.scaled else []
        unit = Unit(
            [f"gradient through {node}"],
            NormGradient(body),
            [dy, value, *weight],
            [dx, mean, scale],
            None,
            {},
        )
        self._append(unit)
        self._accumulate_gradient(x, self._expr_of(dx))
        trainable = run.trainable
        if trainable:
            g, v, m, s = map(self._expr_of, (dy, value, mean, scale))
            sums = {"weight": call("mul", g, call("mul", v - m, s)), "bias": g}
            totals = self._sum([sums[name] for name in trainable], value)
            for name, total in zip(trainable, totals, strict=True):
                buffer = self._compute(name, total, (1, value.channels), "nc")
                self._emit_copied_gradient(run, name, buffer)

    def _group_norm_backward(self, run: TapedNode, body: Norm, dy: Buffer) -> None:
        """Sums by image and channel, then by group, and the input's gradient as an expression of these."""
        (x,), node = run.inputs, run.node.name
        value, groups = run.saved_buffers["x0"], body.groups
        group_channels = value.channels // groups
        share = 1 / (group_channels * value.height * value.width)
        ones = (value.shape[0], value.channels, *(1 for _ in value.shape[2:]))
        rest = (Affine(()),) * (len(value.shape) - 2)
        member: tuple[Index, ...] = (*index("n"), Affine((("g", group_channels), ("c", 1))), *rest)
        group, outer = index("n", "g"), {"n": value.images, "g": groups}
        every = Domain({**outer, "c": group_channels})

        def channels(name: str) -> Buffer:
            return Buffer(f"{node} {name}", ones, value.roles)

        def groups_of(name: str) -> Buffer:
            return Buffer(f"{node} {name}", (value.images, groups), "nc", lanes=1)

        def group_sum(name: str, of: Expr) -> Statement:
            return Statement(name, group, of * share, Domain(outer, {"c": group_channels}), "sum")

        def at(name: str) -> Expr:
            return Load(name, member)

        def by_image(*exprs: Expr) -> list[Buffer]:
            totals = self._sum(exprs, value, by_image=True)
            return [self._values[one.tensor] for one in totals]  # type: ignore[attr-defined]

        v, g = self._expr_of(value), self._expr_of(dy)
        (total,) = by_image(v)
        mean = channels("mean")
        self._loops(
            node,
            [(group_sum("m", at("x")), False), (Statement("mean", member, Load("m", group), every), False)],
            {"x": total, "m": groups_of("means"), "mean": mean},
        )
        far = v - self._expr_of(mean)
        (total,) = by_image(call("mul", far, far))
        scale = channels("scale")
        root = call("div", 1.0, call("sqrt", Load("s", group) + body.eps))
        self._loops(
            node,
            [(group_sum("s", at("x")), False), (Statement("scale", member, root, every), False)],
            {"x": total, "s": groups_of("variances"), "scale": scale},
        )
        slopes, products = by_image(g, call("mul", g, far))
        values = {"a": slopes, "b": products, "scale": scale, "p": groups_of("a"), "q": groups_of("b")}
        values |= {name: channels(name) for name in ("times", "far", "all")}
        w: Expr = Const(1.0)
        if body.scaled:
            values["weight"] = run.saved_buffers["weight"]
            w = Load("weight", (Affine(()), member[1]))
        r = at("scale")
        statements = [
            group_sum("p", at("a") * w),
            group_sum("q", at("b") * w * r),
            Statement("times", member, w * r, every),
            Statement("far", member, Load("q", group) * r * r, every),
            Statement("all", member, Load("p", group) * r, every),
        ]
        if body.scaled:
            over = Domain({"g": groups, "c": group_channels}, {"n": value.images})
            sums = {"weight": at("b") * r, "bias": at("a")}
            for name in run.trainable:
                of = sums[name]
                values[gradient_name(name)] = self._gradient_result(run.node.key(name), (value.channels,))
                statements.append(Statement(gradient_name(name), (member[1],), of, over, "sum"))
        self._loops(f"gradient through {node}", [(s, False) for s in statements], values)
        for name in run.trainable if body.scaled else ():
            self._emit_gradient(run, name, values[gradient_name(name)])
        times, slope, shift = (self._expr_of(values[name]) for name in ("times", "far", "all"))
        self._accumulate_gradient(x, call("mul", g, times) - call("mul", far, slope) - shift)

    # ------------------------------------------------------------ local response norm
    def _local_norm(self, run: TapedNode, body: LocalResponseNorm) -> None:
        """Store the sums of squares; the rest is elementwise."""
        assert run.lead is not None
        value = self.memory(run.lead)
        total = Buffer(f"{run.node.name} squares", value.shape, value.roles)
        self._append(
            Unit([run.node.name], LocalResponseNorm(body.size, Load("t0", ())), [value], [total], None, {})
        )
        run.saved_buffers = {"t0": total}
        run.locals["t0"] = Tensor("t0", value.shape, value.roles, self._expr_of(total), buffer=total)

    def _local_norm_backward(self, run: TapedNode, body: LocalResponseNorm, g: Expr) -> Expr:
        """Gradient of the input through the sums: twice the input, times the window sum of the sums' gradient."""
        assert run.lead is not None
        value = self.memory(run.lead)
        slope = self._compute(f"gradient of {run.saved_buffers['t0'].name}", g, value.shape, value.roles)
        total = Buffer(f"{run.node.name} slopes", value.shape, value.roles)
        near = LocalResponseNorm(body.size, Load("t0", ()), squares=False)
        self._append(Unit([f"gradient through {run.node.name}"], near, [slope], [total], None, {}))
        return call("mul", call("mul", self._expr_of(value), Const(2.0)), self._expr_of(total))

    def _covers(self, body: LocalResponseNorm) -> bool:
        return lrn.covers(self.lanes, body.size)

    # ------------------------------------------------------------ softmax
    def _softmax(self, run: TapedNode, body: Softmax) -> bool:
        (x,) = run.inputs
        if not self._channels(x, body.channel):
            return False
        value, y = self.memory(x.plain), self._result(run)
        result = Buffer(y.name, y.shape, y.roles)
        self._append(Unit([run.node.name], dataclasses.replace(body, channel=1), [value], [result], None, {}))
        y.buffer, y.expr = result, self._expr_of(result)
        return True

    def _softmax_backward(self, run: TapedNode, body: Softmax) -> None:
        """dx = y·(dy - Σ dy·y), its logarithm's dy - e^y·Σ dy; sums over the channels of each pixel."""
        (x,), y = run.inputs, run.outputs[0].plain
        dy, result = self._gradient_memory(y, self._pop_gradient(y)), self.memory(y)
        space = "ijl"[: len(y.shape) - 2]
        sizes = dict(zip(space, y.shape[2:], strict=True))
        one = Buffer(f"{run.node.name} sums", (y.shape[0], 1, *y.shape[2:]), y.roles, lanes=1)
        g = load("g", "n", "c", *space)
        total = Statement(
            "s", (*index("n"), Affine(()), *index(*space)), g if body.log else g * load("y", "n", "c", *space),
            Domain({"n": y.shape[0], **sizes}, {"c": y.shape[1]}), "sum",
        )  # fmt: skip
        self._loops(f"gradient through {run.node.name}", [(total, False)], {"g": dy, "y": result, "s": one})
        slope, value, sums = self._expr_of(dy), self._expr_of(result), self._expr_of(one)
        if body.log:
            self._accumulate_gradient(x, slope - call("mul", call("exp", value), sums))
        else:
            self._accumulate_gradient(x, call("mul", value, slope - sums))

    def _without_gradient(self, run: TapedNode) -> bool:
        """True if no output has a gradient; the gradients of the parameters are then set to 0."""
        if any(self._pending.get(y.plain, ZERO) != ZERO for y in run.outputs):
            return False
        self._gradient_nests(run, run.trainable, [], {})
        return True
