"""A network's forward and backward computation as units: what is fused, what is kept, and who adds to which gradient.

Elementwise results stay expressions over what lies in memory until someone needs them there, and gradients do too: a
batch norm with its activation and sum is one pass over memory, and so is its way back. Sums over everything but the
channels (statistics, gradients of scales and biases) are taken together, one pass for all that are asked for at once.
What fits no kernel runs as loop nests, there and back.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

from striate.engine.plan import algebra
from striate.engine.plan.algebra import substituted
from striate.engine.plan.pattern import Correlation, Local, Moves, Norm, Piece, Pool, Rename, Softmax
from striate.engine.plan.units import ROLES, PoolGradient, Unit, Value, WeightGradient
from striate.engine.training import steps as kernels
from striate.engine.training.adjoint import arriving as arriving_at
from striate.engine.training.forward import Forward, diagonal, same
from striate.engine.training.ledger import Tensor, Unsupported, is_vector
from striate.engine.training.looped import Run
from striate.engine.training.symbolic import ZERO, add, gradients, mul, where
from striate.geometry import Window
from striate.network import Network
from striate.op import Declaration
from striate.statement import Affine, Const, Domain, Expr, Load, Statement, index, walk


class Tape(Forward):
    """Units of one training step, forward then backward.

    outputs, gradients: results by name; seeds: the outputs' gradients, by output.
    """

    def __init__(
        self,
        net: Network,
        declarations: Mapping[str, Declaration],
        narrow: int,
        lanes: int,
        loops: Collection[str] = (),
    ) -> None:
        super().__init__(net, declarations, narrow, lanes, loops)
        self.outputs: dict[str, Value] = {}
        self.seeds: dict[str, Value] = {}
        for name in net.outputs:
            self.outputs[name] = self._leave(name, self._plain_memory(self._tensors[name]))
        self.turn = len(self.units)
        """The first unit of the way back."""
        for name in dict.fromkeys(net.outputs):
            self._seed(name)
        for run in reversed(self._runs):
            try:
                self._backward(run)
            except Unsupported as error:
                error.nodes = error.nodes or (run.node.name,)
                raise

    # ------------------------------------------------------------ backward
    def _seed(self, name: str) -> None:
        tensor = self._tensors[name]
        if not tensor.alone:
            raise Unsupported("an output without memory of its own", tensor.maker)
        given, own = self._enter(f"gradient of {name}", tensor.shape, ROLES[len(tensor.shape)])
        self.seeds[name] = given
        self._hand(tensor, self._named(own))

    def _backward(self, run: Run) -> None:
        pattern = run.pattern
        if isinstance(pattern, Rename) and run.values is None:
            x, y = run.inputs[0], run.outputs[0]
            if y.plain is not x.plain:
                g = self._arrived(y)
                if g != ZERO:
                    self._hand(x, g)
        elif self._nothing(run):
            return
        elif run.values is not None:
            self._looped_back(run)
        elif isinstance(pattern, Norm):
            self._normed_back(run, pattern)
        elif isinstance(pattern, Softmax):
            self._shared_back(run, pattern)
        elif isinstance(pattern, Correlation):
            self._correlated_back(run, pattern)
        elif isinstance(pattern, Pool):
            self._pooled_back(run, pattern)
        elif isinstance(pattern, Moves):
            self._moved_back(run, pattern)
        else:
            self._stated_back(run)

    def _correlated_back(self, run: Run, body: Correlation) -> None:
        (x,), y = run.inputs, run.outputs[0].plain
        node, g = run.node.name, self._arrived(y)
        dy = self._gradient_memory(y, g)
        if body.bias and "bias" in run.trainable:
            (total,) = self._summed([self._named(dy)], dy)
            value = self._values[total.tensor]  # type: ignore[attr-defined]
            self._given(run, "bias", self._leave(run.node.key("bias"), value))
        value = self._plain_memory(x.plain if x.turned is not None else x)
        seen = _windowed(body, value.shaped)
        weight = run.kept["weight"]
        learned = "weight" in run.trainable
        nests = ["weight"] if learned and not kernels.weighs(seen, self.lanes) else []
        if learned and not nests:
            self._weight_back(run, body, seen, (value.shaped, dy))
        if x.plain.kept not in self.sources and value.flat:
            self._flat_back(node, x, body, dy, weight)
        elif x.plain.kept not in self.sources:
            turned = dataclasses.replace(
                seen, depth=seen.each, each=seen.depth, bias=False, adjoint=not seen.adjoint
            )
            # Output padding that reaches further than a stride leaves windows without an input.
            sizes = value.shaped.height, value.shaped.width
            fits = turned.adjoint or sizes == tuple(m.output for m in turned.windows or ())
            if fits and kernels.returns(turned, self.lanes):
                self._input_back(node, x.plain, turned, dy, weight)
            else:
                nests.append("x0")
        if nests:
            given = self.parameters[run.node.key("weight")]
            values = {"x0": self._look(x), "weight": given, arriving_at("y0"): dy}
            self._pulled(run, nests, ["y0"], values)

    def _weight_back(self, run: Run, body: Correlation, seen: Correlation, pair: tuple[Value, Value]) -> None:
        weight, name = run.kept["weight"], run.node.key("weight")
        assert seen.windows is not None
        taps = seen.windows[0].kernel * seen.windows[1].kernel
        depth = weight.size("c") if seen.windows is body.windows else seen.depth
        shape = (1, weight.shape[0], 1, depth * taps)  # as one row, of which squares are turned at a time
        dw = Value(f"gradient of {name}", shape, "nchw")
        inputs = list(reversed(pair)) if seen.adjoint else list(pair)
        self._made(Unit([dw.name], WeightGradient(seen), inputs, [dw], None, {}))
        plain = self.parameters[name]
        if weight is plain:
            self._given(run, "weight", self._leave(name, dw))
            return
        times = weight.shape[1] // plain.shape[1]
        small = dataclasses.replace(
            body, groups=body.groups * times, depth=body.depth // times, each=body.each // times
        )
        rows, columns, own, domain = diagonal(small, body, plain.shape)
        kernel = {"u": plain.shape[3], "v": 1} if len(own) == 2 else {"u": 1}
        along = (*((v, factor * taps) for v, factor in columns.terms), *kernel.items())
        found = Load("wide", (Affine(()), rows, Affine(()), Affine(along)))
        statement = Statement("dw", (rows, *index("c"), *own), found, domain)
        total = self._gradient(name, plain.shape)
        self._loops(name, [(statement, False)], {"wide": dw, "dw": total})
        self._given(run, "weight", total)

    def _flat_back(self, node: str, x: Tensor, body: Correlation, dy: Value, weight: Value) -> None:
        """A fully connected layer's way back to a flattened map: in the order of its weights, which lie side by side
        then, and put into the map's order afterwards."""
        one = Window(1, 1)
        turned = dataclasses.replace(
            body, depth=body.each, each=x.shape[1], windows=(one, one), bias=False, adjoint=True
        )
        flat = Value(f"gradient of {x.name}", x.shape, "nc")
        given: dict[str, Any] = {"weight": weight}
        self._made(Unit([f"gradient through {node}"], turned, [dy], [flat], None, given))
        names, shape = "ncijl"[: len(x.plain.shape)], x.plain.shape
        along = tuple((v, math.prod(shape[k + 1 :])) for k, v in enumerate(names) if k)
        domain = Domain(dict(zip(names, shape, strict=True)))
        moved = Statement("map", index(*names), Load("flat", (*index("n"), Affine(along))), domain)
        dx = Value(f"gradient of {x.plain.name}", shape, x.plain.roles)
        self._loops(f"gradient of {x.name}", [(moved, False)], {"flat": flat, "map": dx})
        self._hand(x, self._named(dx))

    def _input_back(self, node: str, x: Tensor, turned: Correlation, dy: Value, weight: Value) -> None:
        # What arrived before is added in the store; depthwise kernels have no place for it.
        narrow = turned.groups > 1 and turned.each == 1
        earlier = ZERO if narrow else self._arriving.pop(x, ZERO)
        residual = None if earlier == ZERO else self._gradient_memory(x, earlier)
        dx = Value(f"gradient of {x.name}", x.shape, x.roles)
        given: dict[str, Any] = {"weight": weight}
        unit = Unit([f"gradient through {node}"], turned, [dy], [dx], None, given)
        unit.residual = residual
        self._made(unit)
        self._hand(x, self._named(dx))

    def _pooled_back(self, run: Run, body: Pool) -> None:
        (x,), (y,) = run.inputs, run.outputs
        dy = self._gradient_memory(y, self._arrived(y))
        if body.reduce == "mean" and all(m.taps == m.input and m.output == 1 for m in body.maps):
            pixels = math.prod(x.shape[2:])
            self._hand(x, mul(self._named(dy), Const(1 / pixels)))
            return
        dx = Value(f"gradient of {x.name}", x.shape, x.roles)
        reads = [dy] if body.reduce == "mean" else [dy, self.memory(x), self.memory(y)]
        self._made(Unit([f"gradient through {run.node.name}"], PoolGradient(body), reads, [dx], None, {}))
        self._hand(x, self._named(dx))

    def _moved_back(self, run: Run, body: Moves) -> None:
        arriving = [self._arrived(y) for y in run.outputs]
        for port, x in enumerate(run.inputs):
            pieces: list[Piece] = []
            sources: list[Value] = []
            for piece in body.pieces:
                if piece.port != port or arriving[piece.output] == ZERO:
                    continue
                back = dataclasses.replace(
                    piece, port=len(sources), output=0, source=piece.target, target=piece.source, back=True
                )
                pieces.append(back)
                sources.append(self._gradient_memory(run.outputs[piece.output], arriving[piece.output]))
            spans = sorted((p.target, p.target + p.channels) for p in pieces)
            if not pieces:
                continue
            if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
                given = {
                    arriving_at(f"y{k}"): self._gradient_memory(y, g)
                    for k, (y, g) in enumerate(zip(run.outputs, arriving, strict=True))
                    if g != ZERO
                }
                self._pulled(run, [f"x{port}"], [name.removeprefix("d ") for name in given], given)
                continue
            dx = Value(f"gradient of {x.name}", x.shape, x.roles)
            unit = Unit([f"gradient through {run.node.name}"], Moves(tuple(pieces)), sources, [dx], None, {})
            self._made(unit)
            self._hand(x, self._named(dx))

    def _stated_back(self, run: Run) -> None:
        env = run.locals
        lead = run.lead
        assert lead is not None
        wanted = {name for name in env if name[0] in "xt"} | {*run.trainable}
        arriving: dict[str, Expr] = {"y0": self._arrived(run.outputs[0])}
        if _streams(arriving["y0"], self._values) > 2:
            made = self._gradient_memory(run.outputs[0], arriving["y0"])
            arriving["y0"] = self._named(made)
        for statement in reversed(run.declaration.statements):
            g = arriving.pop(statement.target, ZERO)
            if g == ZERO:
                continue
            if isinstance(run.pattern, Local) and statement.target in run.kept:
                more = self._near_back(run, run.pattern, g)
                arriving["x0"] = add(arriving.get("x0", ZERO), more)
            else:
                self._statement_back(run, statement, g, arriving, wanted, lead)
        for k, x in enumerate(run.inputs):
            if arriving.get(f"x{k}", ZERO) != ZERO:
                self._hand(x, arriving[f"x{k}"])
        for p in run.declaration.parameters:
            if p.trainable:
                total = arriving.get(p.name, ZERO)
                full = run.node.key(p.name)
                if total == ZERO:
                    self._pulled(run, [p.name], [], {})
                    continue
                value = self._computed(full, total, (1, lead.size("c")), "nc")
                if math.prod(p.shape) == value.channels:
                    self._given(run, p.name, self._leave(full, value))
                    continue
                every = Domain({f"z{k}": 1 for k in range(len(p.shape))}, {"c": value.channels})
                one = Statement(
                    "one", index(*every.free), Load("all", (Affine(()), *index("c"))), every, "sum"
                )
                sole = self._gradient(full, p.shape)
                self._loops(full, [(one, False)], {"one": sole, "all": value})
                self._given(run, p.name, sole)

    def _statement_back(
        self,
        run: Run,
        statement: Statement,
        g: Expr,
        arriving: dict[str, Expr],
        wanted: set[str],
        lead: Tensor,
    ) -> None:
        env = run.locals
        names = {name: Load(f"own {name}", ()) for name in env}
        value = substituted(statement.value, names)
        known = {f"own {name}": tensor.expr for name, tensor in env.items()}
        clamped = self._clamp_back(run, statement, value, g)
        found = clamped or gradients(value, Load("arriving", ()), {f"own {name}" for name in wanted})
        known["arriving"] = g
        shape = lead.kept if lead.kept is not None else Value("", lead.shape, lead.roles)
        sums: dict[str, Expr] = {}
        for own, expr in found.items():
            name = own.removeprefix("own ")
            part = substituted(expr, known)
            tensor = env[name]
            if same(tensor, lead) or (len(statement.index) == 1 and not statement.reduce):
                arriving[name] = add(arriving.get(name, ZERO), part)
            elif len(tensor.shape) == 2 and tensor.shape[0] == 1:
                sums[name] = part
            elif tensor.shape[:2] == lead.shape[:2]:
                (total,) = self._summed([part], shape, by_image=True)
                arriving[name] = add(arriving.get(name, ZERO), total)
            else:
                raise Unsupported("a tensor of another shape")
        if sums:
            for name, total in zip(sums, self._summed(list(sums.values()), shape), strict=True):
                arriving[name] = add(arriving.get(name, ZERO), total)

    def _clamp_back(self, run: Run, statement: Statement, value: Expr, g: Expr) -> dict[str, Expr] | None:
        """A clamp's gradient, told from its result where that is in memory."""
        y = run.outputs[0].plain
        loads = {load.tensor for load in walk(value)}
        if statement.target != "y0" or loads != {"own x0"} or y.kept is None:
            return None
        limits = algebra.clamp(value, "own x0")
        if limits is None:
            return None
        low, high = limits
        kept = self._named(y.kept)
        passed: Expr = Load("arriving", ())
        if self._pooled(g, y.kept, low, high):
            return {"own x0": passed}
        if math.isfinite(high):
            passed = where(Const(high) - kept, passed, ZERO)
        if math.isfinite(low):
            passed = where(kept - Const(low) if low else kept, passed, ZERO)
        return {"own x0": passed}

    def _pooled(self, g: Expr, kept: Value, low: float, high: float) -> bool:
        """Let the gradient of a maximum over a clamp's result do the clamp's, where it is all that arrives there."""
        if not isinstance(g, Load):
            return False
        unit = self._maker(self._values[g.tensor])
        body = unit.body if unit is not None else None
        if unit is None or not isinstance(body, PoolGradient) or kept not in unit.inputs[1:2]:
            return False
        unit.body = dataclasses.replace(body, low=low, high=high)
        return True


def _streams(expr: Expr, values: Mapping[str, Value]) -> int:
    """Maps that an expression reads."""
    return len({load.tensor for load in walk(expr) if not is_vector(values[load.tensor])})


def _windowed(body: Correlation, x: Value) -> Correlation:
    """A fully connected layer as a convolution whose one window is the whole map."""
    if body.windows is not None:
        return body
    h, w = x.height, x.width
    return dataclasses.replace(body, depth=x.channels, windows=(Window(h, h, h), Window(w, w, w)))


def taped(net: Network, declarations: Mapping[str, Declaration], narrow: int, lanes: int) -> Tape:
    """The tape of a network, with loop nests where it cannot do without. Raises Unsupported where these do not help."""
    loops: set[str] = set()
    while True:
        try:
            return Tape(net, declarations, narrow, lanes, loops)
        except Unsupported as error:
            more = set(error.nodes)
            if more <= loops:  # what its neighbours left as expressions
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
