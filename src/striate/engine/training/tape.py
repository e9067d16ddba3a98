"""Units of a training step: fusion, saved buffers, and accumulation of gradients.

Elementwise results stay expressions over buffers until a kernel needs them in memory, and so do gradients: a batch
norm with its activation and residual sum is one pass over memory, and so are its gradients. Per-channel sums
(statistics, gradients of scales and biases) that are requested together share one pass. Ops without kernels run as loop
nests, forward and backward.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping

from striate.engine.derivatives import ZERO, add, mul, where
from striate.engine.plan import algebra, choose
from striate.engine.plan.algebra import substitute
from striate.engine.plan.computation import (
    Alias,
    Copies,
    Copy,
    Correlation,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.engine.plan.units import ROLES, Buffer, PoolGradient, Unit, WeightGradient
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.forward import ForwardBuilder, diagonal, same_positions
from striate.engine.training.loop_builder import TapedNode
from striate.engine.training.symbolic import gradients
from striate.engine.training.taped import StepBuffers, Taped
from striate.engine.training.unit_builder import Tensor, Unsupported, is_vector
from striate.geometry import Window
from striate.network import Network
from striate.op import Declaration
from striate.statement import Affine, Const, Domain, Expr, Load, Statement, index, walk


class TapeBuilder(ForwardBuilder):
    """Units of one training step, forward then backward.

    outputs, gradients: results by name, the gradients of parameters and of `values`; seeds: the outputs' gradients, by
    output.
    """

    def __init__(
        self,
        net: Network,
        declarations: Mapping[str, Declaration],
        narrow: int,
        lanes: int,
        loops: Collection[str] = (),
        values: Collection[str] = (),
    ) -> None:
        super().__init__(net, declarations, narrow, lanes, loops, values)
        self.outputs: dict[str, Buffer] = {}
        self.seeds: dict[str, Buffer] = {}
        for name in net.outputs:
            self.outputs[name] = self._copy_out(name, self._memory_or_view(self._tensors[name]))
        self.first_backward = len(self.units)
        """Number of the first unit of the backward pass."""
        for name in dict.fromkeys(net.outputs):
            self._seed(name)
        for run in reversed(self._runs):
            try:
                for y in run.outputs:
                    self._value_gradient(y)
                self._backward(run)
            except Unsupported as error:
                error.nodes = error.nodes or (run.node.name,)
                raise
        for name in net.inputs:
            self._value_gradient(self._tensors[name])

    def taped(self) -> Taped:
        """The units and their buffers."""
        buffers = StepBuffers(
            self.inputs, self.parameters, tuple(self.parameter_inputs), tuple(self.noise), self.outputs,
            self.seeds, self.updates, self.gradients,
        )  # fmt: skip
        return Taped(self.net, tuple(self.units), self.first_backward, buffers)

    # ------------------------------------------------------------ backward
    def _seed(self, name: str) -> None:
        tensor = self._tensors[name]
        if not tensor.owns_memory:
            raise Unsupported("an output that is a view", tensor.maker)
        source, copy = self._copy_in(f"gradient of {name}", tensor.shape, ROLES[len(tensor.shape)])
        self.seeds[name] = source
        self._accumulate_gradient(tensor, self._expr_of(copy))

    def _value_gradient(self, tensor: Tensor) -> None:
        """Emit the gradient of one of `values`, which is complete; none where no output depends on it."""
        if tensor.name not in self._gradient_values:
            return
        if tensor.plain is not tensor:
            raise Unsupported("the gradient of a view", tensor.maker)
        g = self._pop_gradient(tensor)
        if g != ZERO:
            value = self._gradient_memory(tensor, g)
            self._pending[tensor] = self._expr_of(value)
            self.gradients[tensor.name] = self._copy_out(tensor.name, value, is_result=False)

    def _backward(self, run: TapedNode) -> None:
        pattern = run.pattern
        if isinstance(pattern, Alias) and run.values is None:
            x, y = run.inputs[0], run.outputs[0]
            if y.plain is not x.plain:
                g = self._pop_gradient(y)
                if g != ZERO:
                    self._accumulate_gradient(x, g)
        elif self._without_gradient(run):
            return
        elif run.values is not None:
            self._loops_backward(run)
        elif isinstance(pattern, Norm):
            self._norm_backward(run, pattern)
        elif isinstance(pattern, Softmax):
            self._softmax_backward(run, pattern)
        elif isinstance(pattern, Correlation):
            self._correlation_backward(run, pattern)
        elif isinstance(pattern, Pool):
            self._pool_backward(run, pattern)
        elif isinstance(pattern, Copies):
            self._copies_backward(run, pattern)
        else:
            self._elementwise_backward(run)

    def _correlation_backward(self, run: TapedNode, body: Correlation) -> None:
        (x,), y = run.inputs, run.outputs[0].plain
        node, g = run.node.name, self._pop_gradient(y)
        dy = self._gradient_memory(y, g)
        if body.bias and "bias" in run.trainable:
            (total,) = self._sum([self._expr_of(dy)], dy)
            value = self._values[total.tensor]  # type: ignore[attr-defined]
            self._emit_copied_gradient(run, "bias", value)
        value = self._memory_or_view(x.plain if x.permuted is not None else x)
        convolution = _as_convolution(body, value.shaped)
        weight = run.saved_buffers["weight"]
        learned = "weight" in run.trainable
        known = choose.has_kernel(WeightGradient(convolution), self.lanes, bare=True)
        nests = ["weight"] if learned and not known else []
        if learned and not nests:
            self._weight_gradient(run, body, convolution, (value.shaped, dy))
        if x.plain.buffer not in self.sources and value.flat:
            self._flattened_input_gradient(node, x, body, dy, weight)
        elif x.plain.buffer not in self.sources:
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
            if fits and choose.has_kernel(transposed, self.lanes, bare=True):
                self._input_gradient(node, x.plain, transposed, dy, weight)
            else:
                nests.append("x0")
        if nests:
            parameter = self.parameters[run.node.key("weight")]
            values = {"x0": self._addressable(x), "weight": parameter, gradient_name("y0"): dy}
            self._gradient_nests(run, nests, ["y0"], values)

    def _weight_gradient(
        self, run: TapedNode, body: Correlation, convolution: Correlation, pair: tuple[Buffer, Buffer]
    ) -> None:
        weight, name = run.saved_buffers["weight"], run.node.key("weight")
        assert convolution.windows is not None
        taps = convolution.windows[0].kernel * convolution.windows[1].kernel
        depth = weight.size("c") if convolution.windows is body.windows else convolution.depth
        shape = (1, weight.shape[0], 1, depth * taps)  # as one row, of which squares are transposed at a time
        dw = Buffer(f"gradient of {name}", shape, "nchw")
        inputs = list(reversed(pair)) if convolution.adjoint else list(pair)
        self._append(Unit([dw.name], WeightGradient(convolution), inputs, [dw], None, {}))
        plain = self.parameters[name]
        if weight is plain:
            self._emit_copied_gradient(run, "weight", dw)
            return
        times = weight.shape[1] // plain.shape[1]
        small = dataclasses.replace(
            body, groups=body.groups * times, depth=body.depth // times, outputs=body.outputs // times
        )
        rows, columns, tap_index, domain = diagonal(small, body, plain.shape)
        kernel = {"u": plain.shape[3], "v": 1} if len(tap_index) == 2 else {"u": 1}
        along = (*((v, factor * taps) for v, factor in columns.terms), *kernel.items())
        element = Load("wide", (Affine(()), rows, Affine(()), Affine(along)))
        statement = Statement("dw", (rows, *index("c"), *tap_index), element, domain)
        total = self._gradient_result(name, plain.shape)
        self._loops(name, [(statement, False)], {"wide": dw, "dw": total})
        self._emit_gradient(run, "weight", total)

    def _flattened_input_gradient(
        self, node: str, x: Tensor, body: Correlation, dy: Buffer, weight: Buffer
    ) -> None:
        """Input gradient of a fully connected layer on a flattened map: computed in the order of its weights, which are
        then contiguous, and copied into the map's order afterwards."""
        one = Window(1, 1)
        transposed = dataclasses.replace(
            body, depth=body.outputs, outputs=x.shape[1], windows=(one, one), bias=False, adjoint=True
        )
        flat = Buffer(f"gradient of {x.name}", x.shape, "nc")
        self._append_products([f"gradient through {node}"], transposed, dy, flat, {"weight": weight})
        names, shape = "ncijl"[: len(x.plain.shape)], x.plain.shape
        along = tuple((v, math.prod(shape[k + 1 :])) for k, v in enumerate(names) if k)
        domain = Domain(dict(zip(names, shape, strict=True)))
        statement = Statement("map", index(*names), Load("flat", (*index("n"), Affine(along))), domain)
        dx = Buffer(f"gradient of {x.plain.name}", shape, x.plain.roles)
        self._loops(f"gradient of {x.name}", [(statement, False)], {"flat": flat, "map": dx})
        self._accumulate_gradient(x, self._expr_of(dx))

    def _input_gradient(
        self, node: str, x: Tensor, transposed: Correlation, dy: Buffer, weight: Buffer
    ) -> None:
        # Earlier gradients are added in the store, which depthwise kernels cannot do.
        narrow = transposed.groups > 1 and transposed.outputs == 1
        earlier = ZERO if narrow else self._pending.pop(x, ZERO)
        residual = None if earlier == ZERO else self._gradient_memory(x, earlier)
        dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
        self._append_products(
            [f"gradient through {node}"], transposed, dy, dx, {"weight": weight}, residual=residual
        )
        self._accumulate_gradient(x, self._expr_of(dx))

    def _pool_backward(self, run: TapedNode, body: Pool) -> None:
        (x,), (y,) = run.inputs, run.outputs
        dy = self._gradient_memory(y, self._pop_gradient(y))
        if body.reduce == "mean" and all(m.taps == m.input and m.output == 1 for m in body.maps):
            pixels = math.prod(x.shape[2:])
            self._accumulate_gradient(x, mul(self._expr_of(dy), Const(1 / pixels)))
            return
        dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
        reads = [dy] if body.reduce == "mean" else [dy, self.memory(x), self.memory(y)]
        self._append(Unit([f"gradient through {run.node.name}"], PoolGradient(body), reads, [dx], None, {}))
        self._accumulate_gradient(x, self._expr_of(dx))

    def _copies_backward(self, run: TapedNode, body: Copies) -> None:
        arriving = [self._pop_gradient(y) for y in run.outputs]
        for port, x in enumerate(run.inputs):
            pieces: list[Copy] = []
            sources: list[Buffer] = []
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
                values = {
                    gradient_name(f"y{k}"): self._gradient_memory(y, g)
                    for k, (y, g) in enumerate(zip(run.outputs, arriving, strict=True))
                    if g != ZERO
                }
                self._gradient_nests(run, [f"x{port}"], [name.removeprefix("d ") for name in values], values)
                continue
            dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
            unit = Unit([f"gradient through {run.node.name}"], Copies(tuple(pieces)), sources, [dx], None, {})
            self._append(unit)
            self._accumulate_gradient(x, self._expr_of(dx))

    def _elementwise_backward(self, run: TapedNode) -> None:
        env = run.locals
        lead = run.lead
        assert lead is not None
        tensors = {name for name in env if name[0] in "xt"} | {*run.trainable}
        arriving: dict[str, Expr] = {"y0": self._pop_gradient(run.outputs[0])}
        if _streams(arriving["y0"], self._values) > 2:
            buffer = self._gradient_memory(run.outputs[0], arriving["y0"])
            arriving["y0"] = self._expr_of(buffer)
        for statement in reversed(run.declaration.statements):
            g = arriving.pop(statement.target, ZERO)
            if g == ZERO:
                continue
            if isinstance(run.pattern, LocalResponseNorm) and statement.target in run.saved_buffers:
                more = self._local_norm_backward(run, run.pattern, g)
                arriving["x0"] = add(arriving.get("x0", ZERO), more)
            else:
                self._statement_backward(run, statement, g, arriving, tensors, lead)
        for k, x in enumerate(run.inputs):
            if arriving.get(f"x{k}", ZERO) != ZERO:
                self._accumulate_gradient(x, arriving[f"x{k}"])
        for p in run.declaration.parameters:
            if p.trainable:
                total = arriving.get(p.name, ZERO)
                full = run.node.key(p.name)
                if total == ZERO:
                    self._gradient_nests(run, [p.name], [], {})
                    continue
                value = self._compute(full, total, (1, lead.size("c")), "nc")
                if math.prod(p.shape) == value.channels:
                    self._emit_copied_gradient(run, p.name, value)
                    continue
                every = Domain({f"z{k}": 1 for k in range(len(p.shape))}, {"c": value.channels})
                one = Statement(
                    "one", index(*every.free), Load("all", (Affine(()), *index("c"))), every, "sum"
                )
                sole = self._gradient_result(full, p.shape)
                self._loops(full, [(one, False)], {"one": sole, "all": value})
                self._emit_gradient(run, p.name, sole)

    def _statement_backward(
        self,
        run: TapedNode,
        statement: Statement,
        g: Expr,
        arriving: dict[str, Expr],
        tensors: set[str],
        lead: Tensor,
    ) -> None:
        env = run.locals
        names = {name: Load(f"own {name}", ()) for name in env}
        value = substitute(statement.value, names)
        exprs = {f"own {name}": tensor.expr for name, tensor in env.items()}
        clamped = self._clamp_backward(run, statement, value, g)
        partials = clamped or gradients(value, Load("arriving", ()), {f"own {name}" for name in tensors})
        exprs["arriving"] = g
        shape = lead.buffer if lead.buffer is not None else Buffer("", lead.shape, lead.roles)
        sums: dict[str, Expr] = {}
        for load_name, expr in partials.items():
            name = load_name.removeprefix("own ")
            part = substitute(expr, exprs)
            tensor = env[name]
            if same_positions(tensor, lead) or (len(statement.index) == 1 and not statement.reduce):
                arriving[name] = add(arriving.get(name, ZERO), part)
            elif len(tensor.shape) == 2 and tensor.shape[0] == 1:
                sums[name] = part
            elif tensor.shape[:2] == lead.shape[:2]:
                (total,) = self._sum([part], shape, by_image=True)
                arriving[name] = add(arriving.get(name, ZERO), total)
            else:
                raise Unsupported("a tensor of another shape")
        if sums:
            for name, total in zip(sums, self._sum(list(sums.values()), shape), strict=True):
                arriving[name] = add(arriving.get(name, ZERO), total)

    def _clamp_backward(
        self, run: TapedNode, statement: Statement, value: Expr, g: Expr
    ) -> dict[str, Expr] | None:
        """A clamp's gradient, computed from its result if that is in memory."""
        y = run.outputs[0].plain
        loads = {load.tensor for load in walk(value)}
        if statement.target != "y0" or loads != {"own x0"} or y.buffer is None:
            return None
        limits = algebra.clamp(value, "own x0")
        if limits is None:
            return None
        low, high = limits
        result = self._expr_of(y.buffer)
        passed: Expr = Load("arriving", ())
        watched = run.outputs[0].name in self._gradient_values
        if not watched and self._fuse_clamp_gradient(g, y.buffer, low, high):
            return {"own x0": passed}
        if math.isfinite(high):
            passed = where(Const(high) - result, passed, ZERO)
        if math.isfinite(low):
            passed = where(result - Const(low) if low else result, passed, ZERO)
        return {"own x0": passed}

    def _fuse_clamp_gradient(self, g: Expr, result: Buffer, low: float, high: float) -> bool:
        """Fuse a clamp's gradient into that of the maximum pooling that reads it, if nothing else reads it."""
        if not isinstance(g, Load):
            return False
        unit = self._producer(self._values[g.tensor])
        body = unit.body if unit is not None else None
        if unit is None or not isinstance(body, PoolGradient) or result not in unit.inputs[1:2]:
            return False
        unit.body = dataclasses.replace(body, low=low, high=high)
        return True


def _streams(expr: Expr, values: Mapping[str, Buffer]) -> int:
    """Number of maps that an expression reads."""
    return len({load.tensor for load in walk(expr) if not is_vector(values[load.tensor])})


def _as_convolution(body: Correlation, x: Buffer) -> Correlation:
    """A fully connected layer as a convolution with one window, the size of the map."""
    if body.windows is not None:
        return body
    h, w = x.height, x.width
    return dataclasses.replace(body, depth=x.channels, windows=(Window(h, h, h), Window(w, w, w)))


def build_tape(
    net: Network,
    declarations: Mapping[str, Declaration],
    narrow: int,
    lanes: int,
    values: Collection[str] = (),
) -> Taped:
    """The units of a network, with loop nests where kernels are missing. Raises Unsupported if loop nests cannot
    help."""
    loops: set[str] = set()
    while True:
        try:
            return TapeBuilder(net, declarations, narrow, lanes, loops, values).taped()
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
