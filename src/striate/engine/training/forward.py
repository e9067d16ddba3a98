"""Units of the forward pass in training: fusion, and the buffers saved for the backward pass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

from striate.engine.derivatives import mul
from striate.engine.kernels import pool
from striate.engine.plan import algebra, choose, dense, recognize, windows
from striate.engine.plan.algebra import substitute
from striate.engine.plan.computation import Alias, Copies, Correlation, LocalResponseNorm, Norm, Pool, Softmax
from striate.engine.plan.units import ROLES, Buffer, Unit
from striate.engine.training.loop_builder import TapedNode
from striate.engine.training.norm_builder import NormBuilder
from striate.engine.training.unit_builder import Tensor, Unsupported, is_vector, names
from striate.geometry import Shift, Window
from striate.network import Network, Node
from striate.op import Declaration, Noise
from striate.statement import (
    Affine,
    Call,
    Const,
    Domain,
    Expr,
    Index,
    Load,
    Statement,
    Tap,
    index,
    load,
    walk,
)

MAX_READ_MAPS = 4
"""Maximum number of maps that one elementwise pass reads; beyond it a result is stored."""
MAX_INLINE_CALLS = 24
"""An expression with more calls than this is computed once and stored, not again for each reader."""


MAX_WASTED_PRODUCTS = 16
"""Merge small groups into one block while there are at most this many wasted products (with zeros) per useful one."""
SPECIALIZED_GROUP_CHANNELS = (2, 4, 8)
"""Channels per group that have a specialized forward kernel."""


class ForwardBuilder(NormBuilder):
    """Units of the forward pass. lanes: vector width of the target. loops: names of nodes to run as loop nests. values:
    names of values whose gradients are results."""

    def __init__(
        self,
        net: Network,
        declarations: Mapping[str, Declaration],
        narrow: int,
        lanes: int,
        loops: Collection[str] = (),
        values: Collection[str] = (),
    ) -> None:
        super().__init__(net, declarations, lanes)
        self._gradient_values = values
        self._runs: list[TapedNode] = []
        self._tensors: dict[str, Tensor] = {}
        self._readers: dict[str, int] = {}
        for node in net.nodes:
            for name in node.inputs:
                self._readers[name] = self._readers.get(name, 0) + 1
        self.inputs: dict[str, Buffer] = {}
        for name in net.inputs:
            self._enter_input(name, declarations, narrow, loops)
        for node in net.nodes:
            try:
                self._forward(node, declarations[node.name], node.name in loops)
            except Unsupported as error:
                error.nodes = error.nodes or (node.name,)
                raise

    def _enter_input(
        self, name: str, declarations: Mapping[str, Declaration], narrow: int, loops: Collection[str]
    ) -> None:
        spec, lanes = self.net.inputs[name], 0
        readers = [node for node in self.net.nodes if name in node.inputs]
        plain = not any(declarations[node.name].noise or node.name in loops for node in readers)
        if spec.shape[1] <= narrow and len(spec.shape) > 2 and plain:
            patterns = [recognize.recognize(declarations[node.name]) for node in readers]
            if all(
                isinstance(p, Correlation)
                and p.groups == 1
                and not p.adjoint
                and p.windows
                and choose.has_kernel(p, self.lanes)
                for p in patterns
            ):
                lanes = spec.shape[1]
        self.inputs[name], copy = self._copy_in(name, spec.shape, ROLES.get(len(spec.shape), ""), lanes)
        if name not in self._gradient_values:
            self.sources.add(copy)
        self._tensors[name] = Tensor(name, spec.shape, copy.roles, self._expr_of(copy), buffer=copy)

    def _forward(self, node: Node, declaration: Declaration, loops: bool) -> None:
        inputs = [self._tensors[name] for name in node.inputs]
        outputs = [
            Tensor(name, spec.shape, ROLES.get(len(spec.shape), ""), maker=node.name)
            for name, spec in zip(node.outputs, declaration.outputs, strict=True)
        ]
        pattern = None if declaration.noise or declaration.updates else recognize.recognize(declaration)
        run = TapedNode(node, declaration, pattern, inputs, outputs)
        if loops or not self._by_kernels(run):
            self._as_loops(run)
        self._runs.append(run)
        for y in outputs:
            self._tensors[y.name] = y
            if (
                y.plain is y
                and y.buffer is None
                and (self._readers.get(y.name, 0) != 1 or self._is_expensive(y.expr))
            ):
                self.memory(y)

    def _by_kernels(self, run: TapedNode) -> bool:
        """Append units with kernels for the node and its gradients; False if there are none."""
        pattern, inputs, outputs = run.pattern, run.inputs, run.outputs
        if isinstance(pattern, Alias):
            return self._alias(pattern, inputs[0], outputs[0])
        if isinstance(pattern, Correlation):
            return self._correlation(run, pattern)
        if isinstance(pattern, Norm):
            return self._norm(run, pattern)
        if isinstance(pattern, Softmax):
            return self._softmax(run, pattern)
        if isinstance(pattern, Pool | Copies):
            if isinstance(pattern, Pool) and not _pool_has_kernels(pattern):
                return False
            if any(x.plain is not x or x.roles not in ("nchw", "ncw", "nc") for x in inputs):
                return False
            values = [self.memory(x) for x in inputs]
            buffers = [Buffer(y.name, y.shape, y.roles) for y in outputs]
            self._append(Unit([run.node.name], pattern, values, buffers, run.declaration, {}))
            for y, value in zip(outputs, buffers, strict=True):
                y.buffer, y.expr = value, self._expr_of(value)
            return True
        if not isinstance(pattern, LocalResponseNorm):
            run.pattern = None
        return self._elementwise(run)

    def _is_expensive(self, expr: Expr) -> bool:
        names = {load.tensor for load in walk(expr) if not is_vector(self._values[load.tensor])}
        return len(names) > MAX_READ_MAPS or _size(expr) > MAX_INLINE_CALLS

    def _alias(self, pattern: Alias, x: Tensor, y: Tensor) -> bool:
        if pattern.kind == "same":
            y.expr, y.buffer, y.roles = x.expr, x.buffer, x.roles
            y.flat, y.permuted, y.maker = x.flat, x.permuted, x.maker
            return True
        if pattern.kind == "flat":
            if x.plain is not x or x.roles != ROLES[len(x.shape)]:
                return False
            y.flat, y.roles = x, "nc"
            return True
        if x.flat is not None or not x.roles:
            return False
        roles = "".join(x.roles[axis] for axis in pattern.axes)
        if [r for r in roles if r != "c"] != [r for r in x.roles if r != "c"]:
            return False
        if roles == x.plain.roles:
            y.expr, y.buffer, y.roles = x.plain.expr, x.plain.buffer, roles
        else:
            y.permuted, y.roles = x.plain, roles
        return True

    def _correlation(self, run: TapedNode, body: Correlation) -> bool:
        (x,), (y,), node = run.inputs, run.outputs, run.node.name
        if x.roles[body.channel : body.channel + 1] != "c":
            return False
        bare = _without_padding(body) if x.plain is x else body
        wide = merge_groups(bare, self.lanes)
        back = wide is not None or dense.covers(bare, self.lanes) or windows.slides(bare)
        if not back and (bare is not body or not choose.has_kernel(body, self.lanes)):
            return False
        if bare is not body:
            self._pad(run, body)
            (x,), body = run.inputs, bare
        value = self._memory_or_view(x)
        if x.permuted is not None or (body.windows is None and len(x.shape) > 2):
            if body.windows is not None:
                return False
            plain, value = x.plain, value.root
            ones = Window(value.height, 1), Window(value.width, 1)
            body = dataclasses.replace(body, channel=1, windows=ones)
            shape = (plain.shape[0], y.shape[x.roles.index("c")], *plain.shape[2:])
            y.permuted, y.roles = Tensor(y.name, shape, plain.roles, maker=y.maker), x.roles
            y = y.permuted
        elif x.plain.roles not in ("nchw", "ncw", "nc"):
            return False
        result = Buffer(y.name, y.shape, y.roles)
        parameters: dict[str, Buffer] = {}
        for p in run.declaration.parameters:
            parameters[p.name] = self._parameter(run.node.key(p.name), p.shape)
        run.pattern, run.saved_buffers = body, {"weight": parameters["weight"]}
        if wide is not None:
            run.pattern, run.saved_buffers = wide, {"weight": self._merged_weight(run.node, body, wide)}
            if not (windows.groups(body) and body.depth == body.outputs in SPECIALIZED_GROUP_CHANNELS):
                body, parameters = wide, parameters | run.saved_buffers
        self._append_products([node], body, value, result, parameters, run.declaration)
        y.buffer, y.expr = result, self._expr_of(result)
        return True

    def _pad(self, run: TapedNode, body: Correlation) -> None:
        """Padding with anything but zeros, or cropping, as a separate unit."""
        (x,), (spec,) = run.inputs, run.declaration.inputs
        assert body.windows is not None
        maps = [Shift(m.input, m.before, m.after, 1, m.mode) for m in body.windows][4 - len(x.shape) :]
        free = dict(zip(("n", "c", "i", "j"), (*x.shape[:2], *(m.output for m in maps)), strict=False))
        taps = (Tap(m, v) for m, v in zip(maps, "ij", strict=False))
        statement = Statement("y0", index(*free), load("x0", "n", "c", *taps), Domain(free))
        padded_spec = dataclasses.replace(spec, shape=tuple(free.values()))
        declaration = Declaration(run.node.op, (spec,), (padded_spec,), (), (statement,))
        y = Tensor(f"{x.name} padded", padded_spec.shape, x.roles, maker=run.node.name)
        padding = TapedNode(run.node, declaration, None, [x], [y])
        self._as_loops(padding)
        self._runs.append(padding)
        run.inputs = [y]

    def _merged_weight(self, node: Node, body: Correlation, wide: Correlation) -> Buffer:
        """The weight of merged groups, row-major: zeros where a filter does not read a channel. Computed first, so that
        packing need not wait."""
        weight, times = self.parameters[node.key("weight")], body.groups // wide.groups
        shape = (weight.shape[0], weight.shape[1] * times, *weight.shape[2:])
        merged = Buffer(f"{weight.name} of groups together", shape, weight.roles, lanes=1)
        rows, columns, taps, domain = diagonal(body, wide, weight.shape)
        statement = Statement("w", (rows, columns, *taps), load("weight", rows, "c", *taps), domain)
        self._loops(node.name, [(statement, False)], {"w": merged, "weight": weight})
        self.units.insert(0, self.units.pop())
        return merged

    # ------------------------------------------------------------ statements
    def _elementwise(self, run: TapedNode) -> bool:
        """Statements that are elementwise, or sums over everything but the channel."""
        declaration, node, near = run.declaration, run.node, run.pattern
        base = iteration_space(declaration, run.inputs, near is not None)
        if base is None:
            return False
        if near is not None and not (self._covers(near) and base.permuted is None and base.owns_memory):
            return False
        lead = base.plain
        env = run.locals
        run.lead = lead
        for k, x in enumerate(run.inputs):
            if x.flat is not None and x.plain.roles != x.roles:
                self.memory(x.plain)  # a view: elementwise work is done on the map itself
            env[f"x{k}"] = x.plain
        for p in declaration.parameters:
            count = math.prod(p.shape)
            expr = self._statistic(run, p.name, looped=False) or self._vector(node.key(p.name), count)
            env[p.name] = Tensor(p.name, (1, count), "nc", expr)
        for noise in declaration.noise:
            env[noise.name] = self._draw_noise(run, noise, lead)
        if near is not None:
            self._local_norm(run, near)
        for statement in declaration.statements[len(run.saved_buffers) :]:
            self._statement(run, statement, lead)
        for parameter, name in declaration.updates.items():
            full, value = node.key(parameter), self.memory(env[name])
            self._statistics[full] = env[name].expr
            if self._last[full] is node:
                self.updates[full] = self._copy_out(full, value)
        (y,), result = run.outputs, env["y0"]
        self._fuse_clamp(run.inputs[0], result)
        if base.flat is not None:
            y.flat = result
        elif base.permuted is not None:
            y.permuted = result
        else:
            y.expr, y.buffer = result.expr, result.buffer
        y.roles = base.roles
        return True

    def _fuse_clamp(self, x: Tensor, y: Tensor) -> None:
        """Fuse a clamp into the store of the products that compute its input, if nothing else reads that input: the
        gradient follows from the result."""
        value = x.plain.buffer
        if value is None or self._readers[x.name] > 1 or x.name in self.net.outputs:
            return
        (name,) = names(self._expr_of(value))
        limits = algebra.clamp(y.expr, name)
        if limits is None or limits[0] > limits[1] or value.name != x.name:
            return
        unit = self._producer(value)
        if unit is not None and isinstance(unit.body, Correlation) and not unit.clamped:
            unit.low, unit.high = limits
            unit.nodes.append(y.maker)
            y.buffer, y.expr = value, self._expr_of(value)

    def _draw_noise(self, run: TapedNode, noise: Noise, lead: Tensor) -> Tensor:
        """Random numbers: one per element of the map, or one per image."""
        name, shape = f"{run.node.name}.{noise.name}", tuple(noise.shape)
        if math.prod(shape[1:]) == 1 != math.prod(lead.shape[1:]):
            source = value = Buffer(name, shape, ROLES[len(shape)], is_input=True, lanes=1)
        else:
            # In the map's order, which may be flattened.
            shape = lead.shape
            source, value = self._copy_in(name, shape, lead.roles)
        self.noise.append((source, noise))
        return Tensor(noise.name, shape, value.roles, self._expr_of(value), buffer=value)

    def _statement(self, run: TapedNode, statement: Statement, lead: Tensor) -> None:
        env, name = run.locals, statement.target
        sums = statement.reduce and len(statement.index) == 1
        like = self.memory(lead) if sums else None  # first, because it changes the tensor's expression
        expr = substitute(statement.value, {n: t.expr for n, t in env.items()})
        if len(statement.index) > 1:
            env[name] = Tensor(run.outputs[0].name, lead.shape, lead.roles, expr, maker=run.node.name)
            return
        if like is not None:
            (expr,) = self._sum([expr], like)
        shape = (1, lead.shape[1])
        env[name] = Tensor(name, shape, "nc", self._hoist(expr) if isinstance(expr, Call) else expr)
        share = Const(1 / math.prod(statement.domain.reduced.values()))
        mean = mul(Load("x0", first_load(statement.value).index), share)
        if statement.reduce and statement.value == mean and isinstance(env[name].expr, Load):
            self._means[env[name].expr.tensor] = lead.expr.tensor  # type: ignore[attr-defined]


def iteration_space(declaration: Declaration, inputs: Sequence[Tensor], near: bool = False) -> Tensor | None:
    """The input that defines the iteration space; None if a statement is neither elementwise over it (operands: such
    maps, vectors over channels, numbers per image, gates) nor a per-channel sum.

    near: skip the first statement (the window sum of LRN).
    """
    full = declaration.outputs[0].shape
    base = next((x for x in inputs if x.shape == full), None)
    if len(declaration.outputs) != 1 or base is None or "c" not in base.roles:
        return None
    axis, channels = base.roles.index("c"), base.plain.size("c")
    kinds = {}
    for k, x in enumerate(inputs):
        if x.shape == full:
            if (x.roles, x.plain.shape) != (base.roles, base.plain.shape):
                return None
            kinds[f"x{k}"] = "full"
        elif x.shape == (*full[:2], *(1 for _ in full[2:])) and x.plain is x and base.plain is base:
            kinds[f"x{k}"] = "gate"
        else:
            return None
    for p in declaration.parameters:
        count = math.prod(p.shape)
        if count not in (1, channels) or (count > 1 and full[axis] != channels):
            return None
        kinds[p.name] = "vector" if count > 1 else "number"
    for noise in declaration.noise:
        per_element = noise.shape == full and base.permuted is None
        if not per_element and noise.shape != (full[0], *(1 for _ in full[1:])):
            return None
        kinds[noise.name] = "full" if per_element else "image"
    if near:
        kinds["t0"] = "full"
    for statement in declaration.statements[near:]:
        names = _positions(statement, kinds, full, axis)
        if names is None or not _pure(statement.value):
            return None
        if not all(_at(load, kinds.get(load.tensor, ""), names, axis) for load in walk(statement.value)):
            return None
        kinds[statement.target] = "full" if len(statement.index) > 1 or len(full) == 1 else "vector"
        if kinds[statement.target] == "vector" and full[axis] != channels:
            return None
    return base if kinds.get("y0") == "full" else None


def _positions(
    statement: Statement, kinds: Mapping[str, str], full: tuple[int, ...], axis: int
) -> list[str] | None:
    """The loop variable of each axis of the map; "" for axes without one."""
    free, reduced = statement.domain.free, statement.domain.reduced
    names = plain(statement.index)
    if statement.start is not None or "" in names or set(names) != set(free):
        return None
    if not statement.reduce:
        if tuple(free[v] for v in names) == full:
            return names
        alone = len(names) == 1 and free[names[0]] == full[axis]
        return ["" if k != axis else names[0] for k in range(len(full))] if alone else None
    maps = [plain(load.index) for load in walk(statement.value) if kinds.get(load.tensor) == "full"]
    if statement.reduce != "sum" or not maps or "" in maps[0] or len(set(maps[0])) != len(full):
        return None
    sizes = {**free, **reduced}
    if names != [maps[0][axis]] or set(maps[0]) != set(sizes) or tuple(sizes[v] for v in maps[0]) != full:
        return None
    return maps[0]


def _at(load: Load, kind: str, names: Sequence[str], axis: int) -> bool:
    """Whether a load reads its tensor at the position that is computed."""
    variables = plain(load.index)
    varying = [
        name
        for name, item in zip(variables, load.index, strict=True)
        if name or getattr(item, "terms", "map")
    ]
    if kind == "full":
        return variables == list(names)
    if kind == "gate":
        return variables[:2] == list(names[:2]) and varying == variables[:2] and axis == 1
    if kind == "image":
        return varying == [names[0]]
    if kind == "vector":
        return varying == [names[axis]] and names[axis] != ""
    return kind == "number"


def plain(items: Sequence[Index]) -> list[str]:
    """The variable of each index that is a single variable, else ""."""
    return [(item.variable or "") if isinstance(item, Affine) else "" for item in items]


def _pure(expr: Expr) -> bool:
    return isinstance(expr, Load | Const) or (isinstance(expr, Call) and all(map(_pure, expr.args)))


def _pool_has_kernels(body: Pool) -> bool:
    """Whether pooling has kernels for the forward and the backward pass."""
    return windows.has_pool_kernel(body) and all(
        pool.taps(m, body.padded) is not None for m in windows.pool_windows(body)
    )


def _without_padding(body: Correlation) -> Correlation:
    """The same correlation over a map that is padded or cropped first, unless zero padding alone suffices."""
    if body.windows is None or body.adjoint:
        return body
    if all(m.mode == "zeros" and min(m.before, m.after) >= 0 for m in body.windows):
        return body
    h, w = (Window(m.input + m.before + m.after, m.kernel, m.stride, m.dilation) for m in body.windows)
    return dataclasses.replace(body, windows=(h, w))


def merge_groups(body: Correlation, lanes: int) -> Correlation | None:
    """Merge the groups of a grouped correlation until they fill blocks, or all of them; None if that is not needed or
    too wasteful."""
    if body.groups == 1 or windows.slides(body) or dense.covers(body, lanes):
        return None
    times = math.lcm(lanes // math.gcd(lanes, body.depth), lanes // math.gcd(lanes, body.outputs))
    if body.groups % times:
        times = body.groups
    wide = dataclasses.replace(
        body, groups=body.groups // times, depth=body.depth * times, outputs=body.outputs * times
    )
    return wide if times <= MAX_WASTED_PRODUCTS and dense.covers(wide, lanes) else None


def diagonal(
    body: Correlation, wide: Correlation, shape: tuple[int, ...]
) -> tuple[Affine, Affine, tuple[Index, ...], Domain]:
    """Position of the weights of small groups among those of the merged groups: rows, columns, taps, and the ranges of
    their loop variables; c is the column within a small group. shape: of the small groups' weight."""
    times, columns = body.groups // wide.groups, shape[1]
    rows = shape[0] // body.groups
    taps = dict(zip("uv", shape[2:], strict=False))
    ranges = {"g": wide.groups, "q": times, "k": rows, "c": columns, **taps}
    at = Affine((("g", times * rows), ("q", rows), ("k", 1)))
    return at, Affine((("q", columns), ("c", 1))), index(*taps), Domain(ranges)


def same_positions(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same positions."""
    return a.shape == b.shape and a.roles == b.roles


def first_load(expr: Expr) -> Load:
    """The first number that an expression loads."""
    return next(iter(walk(expr)), Load("", ()))


def _size(expr: Expr) -> int:
    return 1 + sum(map(_size, expr.args)) if isinstance(expr, Call) else 0
