"""Builds units: tensors as buffers or expressions over buffers, and units that compute the one from the other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from striate.engine.derivatives import ONE, ZERO, add, mul
from striate.engine.plan.computation import Correlation
from striate.engine.plan.units import ROLES, Buffer, ChannelSums, Enter, FusedElementwise, Leave, Loops, Unit
from striate.engine.training.symbolic import hoist, split, terms
from striate.op import Declaration
from striate.statement import Call, Const, Expr, Load, Statement, walk

MAX_OPERANDS = 8
"""Maximum number of buffers that one elementwise pass reads."""


class Unsupported(Exception):
    """A node that kernels do not cover. nodes: nodes to run as loop nests instead."""

    def __init__(self, what: str, *nodes: str) -> None:
        super().__init__(what)
        self.nodes = nodes


@dataclasses.dataclass(eq=False)
class Tensor:
    """Tensor of the network: an expression over buffers.

    flat, permuted: the tensor that this one flattens, or whose axes it has in another order; it is then a view and owns
    no memory. buffer: its buffer, once it has one. maker: the node whose output it is.
    """

    name: str
    shape: tuple[int, ...]
    roles: str
    expr: Expr = ZERO
    flat: Tensor | None = None
    permuted: Tensor | None = None
    buffer: Buffer | None = None
    maker: str = ""

    def size(self, role: str) -> int:
        """Product of all axes with a role."""
        return math.prod(n for n, r in zip(self.shape, self.roles, strict=True) if r == role)

    @property
    def plain(self) -> Tensor:
        """The tensor of which this one is a view, or the tensor itself."""
        under = self.flat or self.permuted
        return self if under is None else under.plain

    @property
    def owns_memory(self) -> bool:
        """True if this tensor owns its memory, or flattens a 1x1 map."""
        return self.plain is self or (self.permuted is None and math.prod(self.plain.shape[2:]) == 1)


class UnitBuilder:
    """Units so far, and the names by which expressions read buffers."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self._values: dict[str, Buffer] = {}
        self._names: dict[Buffer, str] = {}
        self._hoisted: dict[Expr, Expr] = {}
        self._means: dict[str, str] = {}
        self.parameters: dict[str, Buffer] = {}
        self._vectors_by_name: dict[str, Expr] = {}
        self.parameter_inputs: list[tuple[str, Buffer]] = []

    def _expr_of(self, value: Buffer) -> Expr:
        """The expression that reads a buffer."""
        if value not in self._names:
            name = f"v{len(self._values)}"
            self._names[value], self._values[name] = name, value
        return Load(self._names[value], ())

    def _append(self, unit: Unit) -> None:
        unit.order = len(self.units)
        self.units.append(unit)

    def _append_products(
        self, nodes: list[str], body: Correlation, x: Buffer, y: Buffer, parameters: dict[str, Buffer],
        declaration: Declaration | None = None, residual: Buffer | None = None,
    ) -> None:  # fmt: skip
        """Append sums of products whose parameters are buffers: their contents change from run to run."""
        shapes = {name: np.broadcast_to(np.float32(0), value.shape) for name, value in parameters.items()}
        self._append(
            Unit(nodes, body, [x], [y], declaration, shapes, residual=residual, parameters=parameters)
        )

    def _producer(self, value: Buffer) -> Unit | None:
        """The unit that writes a buffer; None for an alias."""
        return next((unit for unit in reversed(self.units) if value in unit.outputs), None)

    def _copy_in(
        self, name: str, shape: tuple[int, ...], roles: str, lanes: int = 0
    ) -> tuple[Buffer, Buffer]:
        """(external input, its copy in a layout that kernels read)"""
        source = Buffer(name, shape, roles, is_input=True, lanes=1)
        copy = Buffer(name, shape, roles, lanes=lanes)
        self._append(Unit([name], Enter(), [source], [copy], None, {}))
        return source, copy

    def _copy_out(self, name: str, x: Buffer, is_result: bool = True) -> Buffer:
        """A buffer in plain order: a result, which the caller owns, or a gradient, which lies in the arena."""
        result = Buffer(name, x.shape, x.roles, is_result=is_result, lanes=1)
        self._append(Unit([name], Leave(), [x], [result], None, {}))
        return result

    def _vector(self, name: str, channels: int) -> Expr:
        """A parameter with one number per channel, or one for all."""
        if name not in self._vectors_by_name:
            source, copy = self._copy_in(name, (1, channels), "nc")
            self.parameter_inputs.append((name, source))
            self._vectors_by_name[name] = self._expr_of(copy)
        return self._vectors_by_name[name]

    def _parameter(self, name: str, shape: tuple[int, ...]) -> Buffer:
        """A parameter in place, row-major."""
        if name not in self.parameters:
            value = Buffer(name, shape, ROLES.get(len(shape), ""), is_input=True, lanes=1)
            self.parameters[name] = value
            self.parameter_inputs.append((name, value))
        return self.parameters[name]

    def _loops(
        self, name: str, statements: Sequence[tuple[Statement, bool]], values: dict[str, Buffer]
    ) -> None:
        """Append statements as loop nests over buffers."""
        targets = dict.fromkeys(values[statement.target] for statement, _ in statements)
        loads = (load.tensor for statement, _ in statements for load in statement.loads)
        read = dict.fromkeys(values[tensor] for tensor in loads)
        tensors = {load.tensor for statement, _ in statements for load in statement.loads}
        tensors |= {statement.target for statement, _ in statements}
        body = Loops(tuple(statements), {tensor: values[tensor] for tensor in values if tensor in tensors})
        self._append(Unit([name], body, [v for v in read if v not in targets], list(targets), None, {}))

    def _is_map(self, name: str) -> bool:
        """Whether a tensor has more than one number per channel."""
        return not is_vector(self._values[name])

    def memory(self, tensor: Tensor) -> Buffer:
        """The buffer of a tensor; its expression is computed now if it has none."""
        if tensor.buffer is None:
            tensor.buffer = self._compute(tensor.name, tensor.expr, tensor.shape, tensor.roles)
            tensor.expr = self._expr_of(tensor.buffer)
        return tensor.buffer

    def _memory_or_view(self, tensor: Tensor) -> Buffer:
        """The buffer of a tensor that may be a view."""
        if tensor.plain is tensor:
            return self.memory(tensor)
        home = self.memory(tensor.plain)
        if tensor.permuted is not None:
            return Buffer(tensor.name, tensor.shape, tensor.roles, home=home)
        flat = Buffer(tensor.name, tensor.shape, "nc", home=home, flat=True)
        if home.height * home.width == 1:
            flat.flat = False
        return flat

    def _compute(self, name: str, expr: Expr, shape: tuple[int, ...], roles: str) -> Buffer:
        if isinstance(expr, Load):
            return self._values[expr.tensor]
        y = Buffer(name, shape, roles)
        if not is_vector(y):
            expr = self._within_operand_limit(hoist(expr, self._is_map, self._hoist), y)
        self._append(Unit([name], self._map(expr, y), self._operands(expr), [y], None, {}))
        return y

    def _within_operand_limit(self, expr: Expr, like: Buffer) -> Expr:
        """The expression, with parts computed into buffers until one pass can read all operands."""
        while len(names(expr)) > MAX_OPERANDS:
            parts = [
                part
                for part in _calls(expr)
                if 1 < len(names(part)) <= MAX_OPERANDS and self._spans(part, like)
            ]
            if not parts:
                raise Unsupported("an expression over many values")
            part = max(parts, key=lambda part: len(names(part)))
            buffer = self._compute("part", part, like.shape, like.roles)
            expr = _replace(expr, part, self._expr_of(buffer))
        return expr

    def _spans(self, expr: Expr, like: Buffer) -> bool:
        return any(_kind(value, like) == "s" for value in self._operands(expr))

    def _operands(self, expr: Expr) -> list[Buffer]:
        return [self._values[name] for name in dict.fromkeys(load.tensor for load in walk(expr))]

    def _map(self, expr: Expr, like: Buffer) -> FusedElementwise:
        values = {name: self._values[name] for name in names(expr)}
        if not values or len(values) > MAX_OPERANDS:
            raise Unsupported("elementwise expression")
        return FusedElementwise(
            expr, {name: _kind(value, like) for name, value in values.items()}, values, {}
        )

    def _hoist(self, expr: Expr) -> Expr:
        """Compute an expression over vectors alone into a vector."""
        if expr not in self._hoisted:
            channels = max(value.channels for value in self._operands(expr))
            buffer = self._compute("vector", expr, (1, channels), "nc")
            self._hoisted[expr] = self._expr_of(buffer)
        return self._hoisted[expr]

    def _sum(self, exprs: Sequence[Expr], like: Buffer, by_image: bool = False) -> list[Expr]:
        """Per-channel sums (`by_image`: per image and channel) of expressions over maps, in as few passes as fit."""
        wide = self._is_map
        sums: dict[Expr, Expr] = {}
        pairs = []
        for expr in exprs:
            products = []
            for term in terms(expr):
                broad, narrow = split(term, wide)
                if not by_image and self._sums_to_zero(broad):
                    continue
                if broad == ONE:
                    narrow = mul(narrow, Const(float(like.images * like.height * like.width)))
                else:
                    broad = self._within_operand_limit(hoist(broad, wide, self._hoist), like)
                    sums.setdefault(broad, ZERO)
                products.append((broad, narrow))
            pairs.append(products)
        for some in _operand_groups(sums):
            values = {
                name: self._values[name] for name in dict.fromkeys(n for expr in some for n in names(expr))
            }
            kinds = {name: _kind(value, like) for name, value in values.items()}
            shape: tuple[int, ...] = (like.images if by_image else 1, like.channels)
            roles = "nc"
            if by_image:
                shape, roles = (*shape, *(1 for _ in like.shape[2:])), like.roles
            outputs = [Buffer("sum", shape, roles) for _ in some]
            body = ChannelSums(tuple(some), kinds, values, like, by_image)
            self._append(Unit(["channel sums"], body, list(values.values()), outputs, None, {}))
            sums |= {expr: self._expr_of(value) for expr, value in zip(some, outputs, strict=True)}
        results = []
        for products in pairs:
            total: Expr = ZERO
            for broad, narrow in products:
                total = add(total, mul(sums.get(broad, ONE), narrow))
            results.append(total)
        return results

    def _sums_to_zero(self, expr: Expr) -> bool:
        """Whether an expression is x - mean(x), whose sum is 0."""
        match expr:
            case Call("sub", (Load(tensor=x), Load(tensor=mean))):
                return self._means.get(mean) == x
        return False


def names(expr: Expr) -> dict[str, None]:
    """Names of the buffers that an expression reads."""
    return dict.fromkeys(load.tensor for load in walk(expr))


def _calls(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from _calls(arg)


def _replace(expr: Expr, part: Expr, by: Expr) -> Expr:
    if expr == part:
        return by
    if isinstance(expr, Call):
        return Call(expr.function, tuple(_replace(arg, part, by) for arg in expr.args))
    return expr


def _operand_groups(exprs: Iterable[Expr]) -> Iterator[list[Expr]]:
    """Group expressions so that one pass can read all operands of a group."""
    some: list[Expr] = []
    for expr in exprs:
        if some and len({name for one in (*some, expr) for name in names(one)}) > MAX_OPERANDS:
            yield some
            some = []
        some.append(expr)
    if some:
        yield some


def is_vector(value: Buffer) -> bool:
    """Whether a buffer has one number per channel."""
    return value.roles == "nc" and value.shape[0] == 1


def _kind(value: Buffer, like: Buffer) -> str:
    """How a buffer is broadcast over the positions of another (`kernels.elementwise`)."""
    if value.root.lanes == 1:  # row-major
        if value.images == like.images and value.channels == 1:
            if value.height * value.width == 1:
                return "k"
            if (value.height, value.width) == (like.height, like.width):
                return "p"
    elif value.shape == like.shape and value.roles == like.roles:
        return "s"
    elif is_vector(value):
        return "c" if value.channels == like.channels else "u"
    elif value.shape[:2] == like.shape[:2] and value.height * value.width == 1:
        return "i"
    raise Unsupported("operands of unlike shapes")
