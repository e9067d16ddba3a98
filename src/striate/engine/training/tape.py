"""A network's forward and backward computation as units: what is fused, what is kept, and who adds to which gradient.

Elementwise results stay expressions over what lies in memory until someone needs them there, and gradients do too: a
batch norm with its activation and sum is one pass over memory, and so is its way back. Sums over everything but the
channels (statistics, gradients of scales and biases) are taken together, one pass for all that are asked for at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from striate.engine.plan import algebra, patterns
from striate.engine.plan.pattern import Correlation, Moves, Piece, Pool, Rename
from striate.engine.plan.units import (
    ROLES,
    PoolGradient,
    Unit,
    Value,
    WeightGradient,
)
from striate.engine.training.ledger import Ledger, Tensor, Unsupported, is_vector
from striate.engine.training.symbolic import (
    ZERO,
    add,
    gradients,
    mul,
    where,
)
from striate.geometry import Window
from striate.network import Network, Node
from striate.op import Declaration, Noise
from striate.statement import Call, Const, Expr, Load, Statement, walk

Array = NDArray[Any]

STREAMS = 4
"""Maps that one elementwise pass reads at most, before a result is put into memory."""
LONG = 24
"""Calls of an expression from which on it is computed once and kept, rather than again for each reader."""


@dataclasses.dataclass
class Run:
    """A node's training declaration with its tensors, for the way back. pattern None: its statements, one by one."""

    node: Node
    declaration: Declaration
    pattern: Any
    inputs: list[Tensor]
    outputs: list[Tensor]
    locals: dict[str, Tensor]
    lead: Tensor | None = None
    """The tensor whose positions its statements go through."""


class Tape(Ledger):
    """Units of one training step, forward then backward.

    parameters, noise: what is read from outside, by full name; results: what is handed out (outputs, new running
    statistics, gradients), by name; seeds: the outputs' gradients, by output.
    """

    def __init__(self, net: Network, declarations: Mapping[str, Declaration], narrow: int) -> None:
        super().__init__()
        self.net = net
        self.parameters: dict[str, Value] = {}
        self.noise: list[tuple[Value, Noise]] = []
        self.updates: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        self.gradients: dict[str, Value] = {}
        self.seeds: dict[str, Value] = {}
        self._runs: list[Run] = []
        self._tensors: dict[str, Tensor] = {}
        self._arriving: dict[Tensor, Expr] = {}
        self._readers: dict[str, int] = {}
        for node in net.nodes:
            for name in node.inputs:
                self._readers[name] = self._readers.get(name, 0) + 1
        self._enter_input(declarations, narrow)
        for node in net.nodes:
            self._forward(node, declarations[node.name])
        for name in net.outputs:
            tensor = self._tensors[name]
            self.outputs[name] = self._leave(name, self._plain_memory(tensor))
        self.turn = len(self.units)
        """The first unit of the way back."""
        for name in dict.fromkeys(net.outputs):
            self._seed(name)
        for run in reversed(self._runs):
            self._backward(run)

    def _enter_input(self, declarations: Mapping[str, Declaration], narrow: int) -> None:
        ((name, spec),) = self.net.inputs.items()
        lanes = 0
        readers = [node for node in self.net.nodes if name in node.inputs]
        plain = not any(declarations[node.name].noise for node in readers)
        if spec.shape[1] <= narrow and len(spec.shape) > 2 and plain:
            found = [patterns.recognise(declarations[node.name]) for node in readers]
            if all(
                isinstance(p, Correlation) and p.groups == 1 and not p.adjoint and p.windows for p in found
            ):
                lanes = spec.shape[1]
        self.input, own = self._enter(name, spec.shape, ROLES.get(len(spec.shape), ""), lanes)
        self.source = own
        self._tensors[name] = Tensor(name, spec.shape, own.roles, self._named(own), kept=own)

    # ------------------------------------------------------------ forward
    def _forward(self, node: Node, declaration: Declaration) -> None:
        inputs = [self._tensors[name] for name in node.inputs]
        outputs = [
            Tensor(name, spec.shape, ROLES.get(len(spec.shape), ""))
            for name, spec in zip(node.outputs, declaration.outputs, strict=True)
        ]
        pattern = None if declaration.noise or declaration.updates else patterns.recognise(declaration)
        run = Run(node, declaration, pattern, inputs, outputs, {})
        if isinstance(pattern, Rename):
            self._renamed(pattern, inputs[0], outputs[0])
        elif isinstance(pattern, Correlation):
            self._correlated(run, pattern)
        elif isinstance(pattern, Pool | Moves):
            if any(x.flat is not None or x.roles not in ("nchw", "ncw", "nc") for x in inputs):
                raise Unsupported(node.op.word)
            values = [self.memory(x) for x in inputs]
            made = [Value(y.name, y.shape, y.roles) for y in outputs]
            self._made(Unit([node.name], pattern, values, made, declaration, {}))
            for y, value in zip(outputs, made, strict=True):
                y.kept, y.expr = value, self._named(value)
        else:
            run.pattern = None
            self._stated(run)
        self._runs.append(run)
        for y in outputs:
            self._tensors[y.name] = y
            if (
                y.flat is None
                and y.kept is None
                and (self._readers.get(y.name, 0) != 1 or self._heavy(y.expr))
            ):
                self.memory(y)

    def _heavy(self, expr: Expr) -> bool:
        names = {load.tensor for load in walk(expr) if not is_vector(self._values[load.tensor])}
        return len(names) > STREAMS or _size(expr) > LONG

    def _renamed(self, pattern: Rename, x: Tensor, y: Tensor) -> None:
        if pattern.kind == "same":
            y.expr, y.kept, y.flat, y.roles = x.expr, x.kept, x.flat, x.roles
        elif pattern.kind == "flat" and x.flat is None and x.roles == ROLES[len(x.shape)]:
            y.flat, y.roles = x, "nc"
        else:
            raise Unsupported(pattern.kind)

    def _correlated(self, run: Run, body: Correlation) -> None:
        (x,), (y,) = run.inputs, run.outputs
        if body.channel != 1 or x.plain.roles not in ("nchw", "ncw", "nc"):
            raise Unsupported(run.node.op.word)
        value = self._plain_memory(x)
        made = Value(y.name, y.shape, y.roles)
        weights = self._weights(run)
        self._made(Unit([run.node.name], body, [value], [made], run.declaration, weights))
        y.kept, y.expr = made, self._named(made)

    def _weights(self, run: Run) -> dict[str, Any]:
        for p in run.declaration.parameters:
            name = f"{run.node.name}.{p.name}"
            if name not in self.parameters:
                self.parameters[name] = Value(name, p.shape, "nchw"[: len(p.shape)], given=True, lanes=1)
        return {p.name: self.parameters[f"{run.node.name}.{p.name}"] for p in run.declaration.parameters}

    def _stated(self, run: Run) -> None:
        """Statements that are elementwise, or sums over everything but the channel."""
        declaration, node = run.declaration, run.node
        env = run.locals
        for k, x in enumerate(run.inputs):
            if x.flat is not None and x.plain.roles != x.roles:
                self.memory(x.plain)  # only renamed: elementwise work is done on the map itself
            env[f"x{k}"] = x.plain
        lead = run.lead = max(env.values(), key=lambda t: math.prod(t.shape))
        for p in declaration.parameters:
            count = math.prod(p.shape)
            if count not in (1, lead.shape[1]):
                raise Unsupported(node.op.word)
            expr = self._vector(f"{node.name}.{p.name}", count, self.parameters)
            env[p.name] = Tensor(p.name, (1, count), "nc", expr)
        for noise in declaration.noise:
            own = tuple(noise.shape)
            if own == run.inputs[0].shape:
                own = lead.shape  # in the same order, though the map may have been flattened
            if len(own) != len(lead.shape) or own[0] != lead.shape[0]:
                raise Unsupported(node.op.word)
            given, value = self._enter(f"{node.name}.{noise.name}", own, lead.roles)
            if own[1] == 1 != lead.shape[1]:
                raise Unsupported(node.op.word)
            self.noise.append((given, noise))
            env[noise.name] = Tensor(noise.name, own, lead.roles, self._named(value), kept=value)
        for statement in declaration.statements:
            self._statement(run, statement, lead, len(declaration.outputs[0].shape))
        for parameter, name in declaration.updates.items():
            full = f"{node.name}.{parameter}"
            self.updates[full] = self._leave(full, self.memory(env[name]))
        for k, y in enumerate(run.outputs):
            made = env[f"y{k}"]
            y.expr, y.kept, y.roles = made.expr, made.kept, made.roles
            if run.inputs[0].flat is not None:
                y.flat = made

    def _statement(self, run: Run, statement: Statement, lead: Tensor, full: int) -> None:
        env = run.locals
        if statement.start is not None or any(not _simple(load, env, lead) for load in walk(statement.value)):
            raise Unsupported(run.node.op.word)
        expr = _filled(statement.value, {name: tensor.expr for name, tensor in env.items()})
        rank, free, reduced = len(statement.index), statement.domain.free, statement.domain.reduced
        name = statement.target
        if (
            statement.reduce == "sum"
            and rank == 1
            and list(free) == ["c"]
            and math.prod(free.values()) == lead.shape[1]
        ):
            like = self.memory(lead)
            expr = _filled(statement.value, {n: t.expr for n, t in env.items()})
            (total,) = self._summed([expr], like)
            env[name] = Tensor(
                name, (1, lead.shape[1]), "nc", self._hoist(total) if isinstance(total, Call) else total
            )
            share = Const(1 / math.prod(reduced.values()))
            if statement.value == mul(Load("x0", _first(statement.value).index), share) and isinstance(
                env[name].expr, Load
            ):
                self._means[env[name].expr.tensor] = lead.expr.tensor  # type: ignore[attr-defined]
        elif not statement.reduce and rank == 1 and list(free) == ["c"]:
            env[name] = Tensor(
                name, (1, lead.shape[1]), "nc", self._hoist(expr) if isinstance(expr, Call) else expr
            )
        elif not statement.reduce and rank == full:
            env[name] = Tensor(run.outputs[0].name, lead.shape, lead.roles, expr)
        else:
            raise Unsupported(run.node.op.word)

    # ------------------------------------------------------------ backward
    def _seed(self, name: str) -> None:
        tensor = self._tensors[name]
        given, own = self._enter(f"gradient of {name}", tensor.shape, ROLES[len(tensor.shape)])
        self.seeds[name] = given
        if tensor.flat is not None and tensor.plain.shape[2:] and math.prod(tensor.plain.shape[2:]) != 1:
            raise Unsupported("a flattened output")
        self._hand(tensor, self._named(own))

    def _hand(self, tensor: Tensor, g: Expr) -> None:
        """Let a gradient arrive at a tensor that is made by a node."""
        tensor = tensor.plain
        if tensor.kept is self.source:
            return
        self._arriving[tensor] = add(self._arriving.get(tensor, ZERO), g)

    def _arrived(self, tensor: Tensor) -> Expr:
        return self._arriving.pop(tensor.plain, ZERO)

    def _gradient_memory(self, tensor: Tensor, g: Expr) -> Value:
        """What arrives, in memory."""
        plain = tensor.plain
        return self._computed(f"gradient of {plain.name}", g, plain.shape, plain.roles)

    def _backward(self, run: Run) -> None:
        pattern = run.pattern
        if isinstance(pattern, Rename):
            x, y = run.inputs[0], run.outputs[0]
            if y.plain is not x.plain:
                g = self._arrived(y)
                if g != ZERO:
                    self._hand(x, g)
        elif isinstance(pattern, Correlation):
            self._correlated_back(run, pattern)
        elif isinstance(pattern, Pool):
            self._pooled_back(run, pattern)
        elif isinstance(pattern, Moves):
            self._moved_back(run, pattern)
        else:
            self._stated_back(run)

    def _correlated_back(self, run: Run, body: Correlation) -> None:
        (x,), (y,) = run.inputs, run.outputs
        g = self._arrived(y)
        node = run.node.name
        if g == ZERO:
            raise Unsupported("an output that nothing learns from")
        dy = self._gradient_memory(y, g)
        if body.bias:
            (total,) = self._summed([self._named(dy)], dy)
            self.gradients[f"{node}.bias"] = self._leave(f"{node}.bias", self._values[total.tensor])  # type: ignore[attr-defined]
        value = self._plain_memory(x)
        seen = _windowed(body, value.shaped)
        weight = self.parameters[f"{node}.weight"]
        assert seen.windows is not None
        taps = seen.windows[0].kernel * seen.windows[1].kernel
        shape = (1, weight.shape[0], weight.size("c") if seen.windows is body.windows else seen.depth, taps)
        dw = Value(f"gradient of {node}.weight", shape, "nchw")
        pair = [dy, value.shaped] if seen.adjoint else [value.shaped, dy]
        self._made(Unit([dw.name], WeightGradient(seen), pair, [dw], None, {}))
        self.gradients[f"{node}.weight"] = self._leave(f"{node}.weight", dw)
        if x.plain.kept is self.source:
            return
        plain = x.plain
        # What arrived before is added in the store; depthwise kernels have no place for it.
        earlier = ZERO if body.groups > 1 and body.depth == 1 else self._arriving.pop(plain, ZERO)
        residual = None if earlier == ZERO else self._gradient_memory(plain, earlier)
        dx = Value(f"gradient of {plain.name}", plain.shape, plain.roles)
        turned = dataclasses.replace(
            seen, depth=seen.each, each=seen.depth, bias=False, adjoint=not seen.adjoint
        )
        given: dict[str, Any] = {"weight": weight}
        unit = Unit([f"gradient through {node}"], turned, [dy], [dx], None, given)
        unit.residual = residual
        self._made(unit)
        self._hand(plain, self._named(dx))

    def _pooled_back(self, run: Run, body: Pool) -> None:
        (x,), (y,) = run.inputs, run.outputs
        g = self._arrived(y)
        if g == ZERO:
            return
        dy = self._gradient_memory(y, g)
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
            if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
                raise Unsupported("pieces that overlap")
            if not pieces:
                continue
            dx = Value(f"gradient of {x.name}", x.shape, x.roles)
            unit = Unit([f"gradient through {run.node.name}"], Moves(tuple(pieces)), sources, [dx], None, {})
            self._made(unit)
            self._hand(x, self._named(dx))

    def _stated_back(self, run: Run) -> None:
        env = run.locals
        lead = run.lead
        assert lead is not None
        trainable = {p.name for p in run.declaration.parameters if p.trainable}
        wanted = {name for name in env if name[0] in "xt"} | trainable
        arriving: dict[str, Expr] = {"y0": self._arrived(run.outputs[0])}
        if arriving["y0"] == ZERO:
            raise Unsupported("an output that nothing learns from")
        if _streams(arriving["y0"], self._values) > 2:
            made = self._gradient_memory(run.outputs[0], arriving["y0"])
            arriving["y0"] = self._named(made)
        for statement in reversed(run.declaration.statements):
            g = arriving.pop(statement.target, ZERO)
            if g == ZERO:
                continue
            self._statement_back(run, statement, g, arriving, wanted, lead)
        for k, x in enumerate(run.inputs):
            if arriving.get(f"x{k}", ZERO) != ZERO:
                self._hand(x, arriving[f"x{k}"])
        for p in run.declaration.parameters:
            if p.trainable:
                total = arriving.get(p.name, ZERO)
                full = f"{run.node.name}.{p.name}"
                value = self._computed(full, total, (1, math.prod(p.shape)), "nc")
                self.gradients[full] = self._leave(full, value)

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
        value = _filled(statement.value, names)
        known = {f"own {name}": tensor.expr for name, tensor in env.items()}
        clamped = self._clamp_back(run, statement, value, g)
        found = clamped or gradients(value, Load("arriving", ()), {f"own {name}" for name in wanted})
        known["arriving"] = g
        shape = lead.kept if lead.kept is not None else Value("", lead.shape, lead.roles)
        sums: dict[str, Expr] = {}
        for own, expr in found.items():
            name = own.removeprefix("own ")
            filled = _filled(expr, known)
            tensor = env[name]
            if _same(tensor, lead) or (len(statement.index) == 1 and not statement.reduce):
                arriving[name] = add(arriving.get(name, ZERO), filled)
            elif len(tensor.shape) == 2 and tensor.shape[0] == 1:
                sums[name] = filled
            elif tensor.shape[:2] == lead.shape[:2]:
                (total,) = self._summed([filled], shape, by_image=True)
                arriving[name] = add(arriving.get(name, ZERO), total)
            else:
                raise Unsupported(run.node.op.word)
        if sums:
            for name, total in zip(sums, self._summed(list(sums.values()), shape), strict=True):
                arriving[name] = add(arriving.get(name, ZERO), total)
                if env[name].shape[1] == 1 != lead.shape[1]:
                    raise Unsupported(run.node.op.word)

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
        if math.isfinite(high):
            passed = where(Const(high) - kept, passed, ZERO)
        if math.isfinite(low):
            passed = where(kept - Const(low) if low else kept, passed, ZERO)
        return {"own x0": passed}


def _filled(expr: Expr, by: Mapping[str, Expr]) -> Expr:
    """The expression with what its tensors stand for."""
    if isinstance(expr, Load):
        return by.get(expr.tensor, expr)
    if isinstance(expr, Call):
        return Call(expr.function, tuple(_filled(arg, by) for arg in expr.args))
    return expr


def _first(expr: Expr) -> Load:
    return next(iter(walk(expr)), Load("", ()))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.roles == b.roles


def _size(expr: Expr) -> int:
    return 1 + sum(map(_size, expr.args)) if isinstance(expr, Call) else 0


def _streams(expr: Expr, values: Mapping[str, Value]) -> int:
    """Maps that an expression reads."""
    return len({load.tensor for load in walk(expr) if not is_vector(values[load.tensor])})


def _simple(load: Load, env: Mapping[str, Tensor], lead: Tensor) -> bool:
    """Whether a load reads its tensor at the position that is computed."""
    tensor = env.get(load.tensor)
    if tensor is None:
        return False
    plain = [getattr(item, "variable", None) for item in load.index]
    if _same(tensor, lead):
        return None not in plain and len(set(plain)) == len(plain)
    if len(tensor.shape) == 2 and tensor.shape[0] == 1:
        return True
    return tensor.shape[:2] == lead.shape[:2]


def _windowed(body: Correlation, x: Value) -> Correlation:
    """A fully connected layer as a convolution whose one window is the whole map."""
    if body.windows is not None:
        return body
    h, w = x.height, x.width
    return dataclasses.replace(body, depth=x.channels, windows=(Window(h, h, h), Window(w, w, w)))
