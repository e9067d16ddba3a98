"""Norms over the channels of a pixel or over groups of an image, local response norms and softmax, there and back."""

from __future__ import annotations

import dataclasses
import math

from striate.engine.kernels import lrn
from striate.engine.plan.pattern import Local, Norm, Softmax
from striate.engine.plan.units import NormGradient, Unit, Value
from striate.engine.training.adjoint import arriving
from striate.engine.training.ledger import Tensor
from striate.engine.training.looped import Looped, Run
from striate.engine.training.symbolic import ZERO
from striate.statement import Affine, Const, Domain, Expr, Index, Load, Statement, call, index, load


class Normed(Looped):
    """What is normed keeps its input; statistics are found again on the way back."""

    def _channels(self, x: Tensor, axis: int) -> bool:
        """Whether an axis is the one that blocks of channels lie along, and the only one on which it does."""
        return (x.alone or x.turned is not None) and x.roles[axis : axis + 1] == "c"

    def _result(self, run: Run) -> Tensor:
        """The output as it lies: like the input."""
        (x,), (y,) = run.inputs, run.outputs
        if x.plain is x:
            return y
        made = Tensor(y.name, x.plain.shape, x.plain.roles, maker=y.maker)
        if x.turned is not None:
            y.turned = made
        else:
            y.flat = made
        y.roles = x.roles
        return made

    # ------------------------------------------------------------ norms
    def _normed(self, run: Run, body: Norm) -> bool:
        (x,), node = run.inputs, run.node.name
        if not self._channels(x, body.channel) or (body.groups and (x.plain is not x or len(x.shape) < 3)):
            return False
        value, y = self.memory(x.plain), self._result(run)
        made = Value(y.name, y.shape, y.roles)
        vectors = []
        for p in run.declaration.parameters:
            own = self._vector(run.node.key(p.name), math.prod(p.shape))
            vectors.append(self._values[own.tensor])  # type: ignore[attr-defined]
        unit = Unit([node], dataclasses.replace(body, channel=1), [value, *vectors], [made], None, {})
        self._made(unit)
        run.kept = {"x0": value} | {
            p.name: v for p, v in zip(run.declaration.parameters, vectors, strict=True)
        }
        y.kept, y.expr = made, self._named(made)
        return True

    def _normed_back(self, run: Run, body: Norm) -> None:
        (y,) = run.outputs
        dy = self._gradient_memory(y, self._arrived(y))
        if body.groups:
            self._groups_back(run, body, dy)
        else:
            self._pixels_back(run, body, dy)

    def _pixels_back(self, run: Run, body: Norm, dy: Value) -> None:
        """One pass for the input's gradient and each pixel's statistics; sums of these for scale and bias."""
        (x,), node = run.inputs, run.node.name
        value = run.kept["x0"]
        one = (value.shape[0], 1, *value.shape[2:])
        dx = Value(f"gradient of {x.plain.name}", value.shape, value.roles)
        mean, scale = (Value(f"{node} {name}", one, value.roles, lanes=1) for name in ("mean", "scale"))
        weight = [run.kept["weight"]] if body.scaled else []
        unit = Unit(
            [f"gradient through {node}"],
            NormGradient(body),
            [dy, value, *weight],
            [dx, mean, scale],
            None,
            {},
        )
        self._made(unit)
        self._hand(x, self._named(dx))
        wanted = run.trainable
        if wanted:
            g, v, m, s = map(self._named, (dy, value, mean, scale))
            sums = {"weight": call("mul", g, call("mul", v - m, s)), "bias": g}
            totals = self._summed([sums[name] for name in wanted], value)
            for name, total in zip(wanted, totals, strict=True):
                made = self._computed(name, total, (1, value.channels), "nc")
                self._given(run, name, self._leave(run.node.key(name), made))

    def _groups_back(self, run: Run, body: Norm, dy: Value) -> None:
        """Sums by image and channel, the groups' from these, and what arrives as an expression of them."""
        (x,), node = run.inputs, run.node.name
        value, groups = run.kept["x0"], body.groups
        each = value.channels // groups
        share = 1 / (each * value.height * value.width)
        ones = (value.shape[0], value.channels, *(1 for _ in value.shape[2:]))
        rest = (Affine(()),) * (len(value.shape) - 2)
        member: tuple[Index, ...] = (*index("n"), Affine((("g", each), ("c", 1))), *rest)
        group, outer = index("n", "g"), {"n": value.images, "g": groups}
        every = Domain({**outer, "c": each})

        def channels(name: str) -> Value:
            return Value(f"{node} {name}", ones, value.roles)

        def groups_of(name: str) -> Value:
            return Value(f"{node} {name}", (value.images, groups), "nc", lanes=1)

        def summed(name: str, of: Expr) -> Statement:
            return Statement(name, group, of * share, Domain(outer, {"c": each}), "sum")

        def at(name: str) -> Expr:
            return Load(name, member)

        def by_image(*exprs: Expr) -> list[Value]:
            found = self._summed(exprs, value, by_image=True)
            return [self._values[one.tensor] for one in found]  # type: ignore[attr-defined]

        v, g = self._named(value), self._named(dy)
        (total,) = by_image(v)
        mean = channels("mean")
        self._loops(
            node,
            [(summed("m", at("x")), False), (Statement("mean", member, Load("m", group), every), False)],
            {"x": total, "m": groups_of("means"), "mean": mean},
        )
        far = v - self._named(mean)
        (total,) = by_image(call("mul", far, far))
        scale = channels("scale")
        root = call("div", 1.0, call("sqrt", Load("s", group) + body.eps))
        self._loops(
            node,
            [(summed("s", at("x")), False), (Statement("scale", member, root, every), False)],
            {"x": total, "s": groups_of("variances"), "scale": scale},
        )
        slopes, products = by_image(g, call("mul", g, far))
        values = {"a": slopes, "b": products, "scale": scale, "p": groups_of("a"), "q": groups_of("b")}
        values |= {name: channels(name) for name in ("times", "far", "all")}
        w: Expr = Const(1.0)
        if body.scaled:
            values["weight"] = run.kept["weight"]
            w = Load("weight", (Affine(()), member[1]))
        r = at("scale")
        statements = [
            summed("p", at("a") * w),
            summed("q", at("b") * w * r),
            Statement("times", member, w * r, every),
            Statement("far", member, Load("q", group) * r * r, every),
            Statement("all", member, Load("p", group) * r, every),
        ]
        if body.scaled:
            over = Domain({"g": groups, "c": each}, {"n": value.images})
            sums = {"weight": at("b") * r, "bias": at("a")}
            for name in run.trainable:
                of = sums[name]
                values[arriving(name)] = self._gradient(run.node.key(name), (value.channels,))
                statements.append(Statement(arriving(name), (member[1],), of, over, "sum"))
        self._loops(f"gradient through {node}", [(s, False) for s in statements], values)
        for name in run.trainable if body.scaled else ():
            self._given(run, name, values[arriving(name)])
        times, slope, shift = (self._named(values[name]) for name in ("times", "far", "all"))
        self._hand(x, call("mul", g, times) - call("mul", far, slope) - shift)

    # ------------------------------------------------------------ local response norm
    def _near(self, run: Run, body: Local) -> None:
        """The sums of squares, in memory; what is made of them is elementwise."""
        assert run.lead is not None
        value = self.memory(run.lead)
        total = Value(f"{run.node.name} squares", value.shape, value.roles)
        self._made(Unit([run.node.name], Local(body.size, Load("t0", ())), [value], [total], None, {}))
        run.kept = {"t0": total}
        run.locals["t0"] = Tensor("t0", value.shape, value.roles, self._named(total), kept=total)

    def _near_back(self, run: Run, body: Local, g: Expr) -> Expr:
        """What arrives at the input from the sums: twice the input, times the sum of what arrives at these."""
        assert run.lead is not None
        value = self.memory(run.lead)
        slope = self._computed(f"gradient of {run.kept['t0'].name}", g, value.shape, value.roles)
        total = Value(f"{run.node.name} slopes", value.shape, value.roles)
        near = Local(body.size, Load("t0", ()), squares=False)
        self._made(Unit([f"gradient through {run.node.name}"], near, [slope], [total], None, {}))
        return call("mul", call("mul", self._named(value), Const(2.0)), self._named(total))

    def _covers(self, body: Local) -> bool:
        return lrn.covers(self.lanes, body.size)

    # ------------------------------------------------------------ softmax
    def _shared_out(self, run: Run, body: Softmax) -> bool:
        (x,) = run.inputs
        if not self._channels(x, body.channel):
            return False
        value, y = self.memory(x.plain), self._result(run)
        made = Value(y.name, y.shape, y.roles)
        self._made(Unit([run.node.name], dataclasses.replace(body, channel=1), [value], [made], None, {}))
        y.kept, y.expr = made, self._named(made)
        return True

    def _shared_back(self, run: Run, body: Softmax) -> None:
        """dx = y·(dy - Σ dy·y), its logarithm's dy - e^y·Σ dy; sums over the channels of each pixel."""
        (x,), y = run.inputs, run.outputs[0].plain
        dy, made = self._gradient_memory(y, self._arrived(y)), self.memory(y)
        space = "ijl"[: len(y.shape) - 2]
        sizes = dict(zip(space, y.shape[2:], strict=True))
        one = Value(f"{run.node.name} sums", (y.shape[0], 1, *y.shape[2:]), y.roles, lanes=1)
        g = load("g", "n", "c", *space)
        total = Statement(
            "s", (*index("n"), Affine(()), *index(*space)), g if body.log else g * load("y", "n", "c", *space),
            Domain({"n": y.shape[0], **sizes}, {"c": y.shape[1]}), "sum",
        )  # fmt: skip
        self._loops(f"gradient through {run.node.name}", [(total, False)], {"g": dy, "y": made, "s": one})
        slope, value, sums = self._named(dy), self._named(made), self._named(one)
        if body.log:
            self._hand(x, slope - call("mul", call("exp", value), sums))
        else:
            self._hand(x, call("mul", value, slope - sums))

    def _nothing(self, run: Run) -> bool:
        """Whether nothing arrives at any output: then no gradient but 0 is handed on."""
        if any(self._arriving.get(y.plain, ZERO) != ZERO for y in run.outputs):
            return False
        self._pulled(run, run.trainable, [], {})
        return True
