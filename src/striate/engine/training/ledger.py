"""What lies in memory and what is still an expression over it; the units that bring the one into the other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from striate.engine.plan.units import ROLES, Enter, Leave, Loops, Map, Sums, Unit, Value
from striate.engine.training.symbolic import ONE, ZERO, add, hoisted, mul, split, terms
from striate.statement import Call, Const, Expr, Load, Statement, walk

MOST = 8
"""Values that one elementwise pass reads at most."""


class Unsupported(Exception):
    """A node that kernels of its own do not cover. nodes: those to run as loop nests instead."""

    def __init__(self, what: str, *nodes: str) -> None:
        super().__init__(what)
        self.nodes = nodes


@dataclasses.dataclass(eq=False)
class Tensor:
    """A tensor of the network: an expression over values in memory.

    flat, turned: the tensor that this one is a flattening of, or has the axes of in another order; it has no memory of
    its own then. kept: where it lies, once it does. maker: the node whose output it is.
    """

    name: str
    shape: tuple[int, ...]
    roles: str
    expr: Expr = ZERO
    flat: Tensor | None = None
    turned: Tensor | None = None
    kept: Value | None = None
    maker: str = ""

    def size(self, role: str) -> int:
        """Of all axes with a role."""
        return math.prod(n for n, r in zip(self.shape, self.roles, strict=True) if r == role)

    @property
    def plain(self) -> Tensor:
        """The tensor whose memory this one is another look at; itself otherwise."""
        under = self.flat or self.turned
        return self if under is None else under.plain

    @property
    def alone(self) -> bool:
        """Whether it is no other look at another one, save at one with nothing but channels."""
        return self.plain is self or (self.turned is None and math.prod(self.plain.shape[2:]) == 1)


class Ledger:
    """Units so far, and the names under which expressions read values."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self._values: dict[str, Value] = {}
        self._names: dict[Value, str] = {}
        self._vectors: dict[Expr, Expr] = {}
        self._means: dict[str, str] = {}
        self.parameters: dict[str, Value] = {}
        self._entered: dict[str, Expr] = {}
        self.entered: list[tuple[str, Value]] = []

    def _named(self, value: Value) -> Expr:
        """The expression that reads a value."""
        if value not in self._names:
            name = f"v{len(self._values)}"
            self._names[value], self._values[name] = name, value
        return Load(self._names[value], ())

    def _made(self, unit: Unit) -> None:
        unit.order = len(self.units)
        self.units.append(unit)

    def _maker(self, value: Value) -> Unit | None:
        """The unit that makes a value; None for one that lies in another's memory."""
        return next((unit for unit in reversed(self.units) if value in unit.outputs), None)

    def _enter(self, name: str, shape: tuple[int, ...], roles: str, lanes: int = 0) -> tuple[Value, Value]:
        """(what is given, its copy in a layout that kernels read)"""
        given = Value(name, shape, roles, given=True, lanes=1)
        own = Value(name, shape, roles, lanes=lanes)
        self._made(Unit([name], Enter(), [given], [own], None, {}))
        return given, own

    def _leave(self, name: str, x: Value) -> Value:
        result = Value(name, x.shape, x.roles, result=True, lanes=1)
        self._made(Unit([name], Leave(), [x], [result], None, {}))
        return result

    def _vector(self, name: str, channels: int) -> Expr:
        """A parameter with one number for each channel, or for all."""
        if name not in self._entered:
            given, own = self._enter(name, (1, channels), "nc")
            self.entered.append((name, given))
            self._entered[name] = self._named(own)
        return self._entered[name]

    def _parameter(self, name: str, shape: tuple[int, ...]) -> Value:
        """A parameter where it lies, row-major."""
        if name not in self.parameters:
            value = Value(name, shape, ROLES.get(len(shape), ""), given=True, lanes=1)
            self.parameters[name] = value
            self.entered.append((name, value))
        return self.parameters[name]

    def _loops(
        self, name: str, statements: Sequence[tuple[Statement, bool]], values: dict[str, Value]
    ) -> None:
        """Statements as loop nests over values."""
        targets = dict.fromkeys(values[statement.target] for statement, _ in statements)
        loads = (load.tensor for statement, _ in statements for load in statement.loads)
        read = dict.fromkeys(values[tensor] for tensor in loads)
        used = {load.tensor for statement, _ in statements for load in statement.loads}
        used |= {statement.target for statement, _ in statements}
        body = Loops(tuple(statements), {tensor: values[tensor] for tensor in values if tensor in used})
        self._made(Unit([name], body, [v for v in read if v not in targets], list(targets), None, {}))

    def _wide(self, name: str) -> bool:
        """Whether a tensor is more than one number for each channel."""
        return not is_vector(self._values[name])

    def memory(self, tensor: Tensor) -> Value:
        """Where a tensor lies; its expression is computed now if it does not."""
        if tensor.kept is None:
            tensor.kept = self._computed(tensor.name, tensor.expr, tensor.shape, tensor.roles)
            tensor.expr = self._named(tensor.kept)
        return tensor.kept

    def _plain_memory(self, tensor: Tensor) -> Value:
        """The same where the tensor may be another look at one."""
        if tensor.plain is tensor:
            return self.memory(tensor)
        home = self.memory(tensor.plain)
        if tensor.turned is not None:
            return Value(tensor.name, tensor.shape, tensor.roles, home=home)
        flat = Value(tensor.name, tensor.shape, "nc", home=home, flat=True)
        if home.height * home.width == 1:
            flat.flat = False
        return flat

    def _computed(self, name: str, expr: Expr, shape: tuple[int, ...], roles: str) -> Value:
        if isinstance(expr, Load):
            return self._values[expr.tensor]
        y = Value(name, shape, roles)
        if not is_vector(y):
            expr = self._fewer(hoisted(expr, self._wide, self._hoist), y)
        self._made(Unit([name], self._map(expr, y), self._operands(expr), [y], None, {}))
        return y

    def _fewer(self, expr: Expr, like: Value) -> Expr:
        """The expression with parts of it put into memory, until one pass can read all of it."""
        while len(names(expr)) > MOST:
            parts = [
                part for part in _calls(expr) if 1 < len(names(part)) <= MOST and self._spans(part, like)
            ]
            if not parts:
                raise Unsupported("an expression over many values")
            part = max(parts, key=lambda part: len(names(part)))
            made = self._computed("part", part, like.shape, like.roles)
            expr = _replaced(expr, part, self._named(made))
        return expr

    def _spans(self, expr: Expr, like: Value) -> bool:
        return any(_kind(value, like) == "s" for value in self._operands(expr))

    def _operands(self, expr: Expr) -> list[Value]:
        return [self._values[name] for name in dict.fromkeys(load.tensor for load in walk(expr))]

    def _map(self, expr: Expr, like: Value) -> Map:
        values = {name: self._values[name] for name in names(expr)}
        if not values or len(values) > MOST:
            raise Unsupported("elementwise expression")
        return Map(expr, {name: _kind(value, like) for name, value in values.items()}, values, {})

    def _hoist(self, expr: Expr) -> Expr:
        """An expression over vectors alone, as a vector of its own."""
        if expr not in self._vectors:
            channels = max(value.channels for value in self._operands(expr))
            made = self._computed("vector", expr, (1, channels), "nc")
            self._vectors[expr] = self._named(made)
        return self._vectors[expr]

    def _summed(self, wanted: Sequence[Expr], like: Value, by_image: bool = False) -> list[Expr]:
        """Sums over everything but the channels (or: images and channels) of expressions over maps, in one pass."""
        wide = self._wide
        found: dict[Expr, Expr] = {}
        pairs = []
        for expr in wanted:
            own = []
            for term in terms(expr):
                broad, narrow = split(term, wide)
                if not by_image and self._balanced(broad):
                    continue
                if broad == ONE:
                    narrow = mul(narrow, Const(float(like.images * like.height * like.width)))
                else:
                    broad = self._fewer(hoisted(broad, wide, self._hoist), like)
                    found.setdefault(broad, ZERO)
                own.append((broad, narrow))
            pairs.append(own)
        for some in _together(found):
            values = {
                name: self._values[name] for name in dict.fromkeys(n for expr in some for n in names(expr))
            }
            kinds = {name: _kind(value, like) for name, value in values.items()}
            shape: tuple[int, ...] = (like.images if by_image else 1, like.channels)
            roles = "nc"
            if by_image:
                shape, roles = (*shape, *(1 for _ in like.shape[2:])), like.roles
            made = [Value("sum", shape, roles) for _ in some]
            body = Sums(tuple(some), kinds, values, like, by_image)
            self._made(Unit(["sums"], body, list(values.values()), made, None, {}))
            found |= {expr: self._named(value) for expr, value in zip(some, made, strict=True)}
        results = []
        for own in pairs:
            total: Expr = ZERO
            for broad, narrow in own:
                total = add(total, mul(found.get(broad, ONE), narrow))
            results.append(total)
        return results

    def _balanced(self, expr: Expr) -> bool:
        """Whether it is a distance from its own mean: the sum of these is 0."""
        match expr:
            case Call("sub", (Load(tensor=x), Load(tensor=mean))):
                return self._means.get(mean) == x
        return False


def names(expr: Expr) -> dict[str, None]:
    """The values that an expression reads."""
    return dict.fromkeys(load.tensor for load in walk(expr))


def _calls(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from _calls(arg)


def _replaced(expr: Expr, part: Expr, by: Expr) -> Expr:
    if expr == part:
        return by
    if isinstance(expr, Call):
        return Call(expr.function, tuple(_replaced(arg, part, by) for arg in expr.args))
    return expr


def _together(exprs: Iterable[Expr]) -> Iterator[list[Expr]]:
    """Expressions in groups, each of which one pass can read all values of."""
    some: list[Expr] = []
    for expr in exprs:
        if some and len({name for one in (*some, expr) for name in names(one)}) > MOST:
            yield some
            some = []
        some.append(expr)
    if some:
        yield some


def is_vector(value: Value) -> bool:
    """One number for each channel."""
    return value.roles == "nc" and value.shape[0] == 1


def _kind(value: Value, like: Value) -> str:
    """How a value is spread over another's positions (`kernels.map`)."""
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
