"""What lies in memory and what is still an expression over it; the units that bring the one into the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from striate.engine.plan.units import Enter, Leave, Map, Sums, Unit, Value
from striate.engine.training.symbolic import ONE, ZERO, add, hoisted, mul, split, terms
from striate.statement import Call, Const, Expr, Load, walk


class Unsupported(Exception):
    """A node without kernels for its gradient."""


@dataclasses.dataclass(eq=False)
class Tensor:
    """A tensor of the network: an expression over values in memory. flat: the tensor that this one is a flattening of.

    kept: where it lies, once it does.
    """

    name: str
    shape: tuple[int, ...]
    roles: str
    expr: Expr = ZERO
    flat: Tensor | None = None
    kept: Value | None = None

    @property
    def plain(self) -> Tensor:
        """The tensor that a flattened one is a flattening of; itself otherwise."""
        return self if self.flat is None else self.flat.plain


class Ledger:
    """Units so far, and the names under which expressions read values."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self._values: dict[str, Value] = {}
        self._names: dict[Value, str] = {}
        self._vectors: dict[Expr, Expr] = {}
        self._means: dict[str, str] = {}

    def _named(self, value: Value) -> Expr:
        """The expression that reads a value."""
        if value not in self._names:
            name = f"v{len(self._values)}"
            self._names[value], self._values[name] = name, value
        return Load(self._names[value], ())

    def _made(self, unit: Unit) -> None:
        unit.order = len(self.units)
        self.units.append(unit)

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

    def _vector(self, name: str, channels: int, table: dict[str, Value]) -> Expr:
        """A parameter with one number for each channel, or for all."""
        given, own = self._enter(name, (1, channels), "nc")
        table[name] = given
        return self._named(own)

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
        if tensor.flat is None:
            return self.memory(tensor)
        home = self.memory(tensor.plain)
        flat = Value(tensor.name, tensor.shape, "nc", home=home, flat=True)
        if home.height * home.width == 1:
            flat.flat = False
        return flat

    def _computed(self, name: str, expr: Expr, shape: tuple[int, ...], roles: str) -> Value:
        if isinstance(expr, Load):
            return self._values[expr.tensor]
        y = Value(name, shape, roles)
        if not is_vector(y):
            expr = hoisted(expr, self._wide, self._hoist)
        self._made(Unit([name], self._map(expr, y), self._operands(expr), [y], None, {}))
        return y

    def _operands(self, expr: Expr) -> list[Value]:
        return [self._values[name] for name in dict.fromkeys(load.tensor for load in walk(expr))]

    def _map(self, expr: Expr, like: Value) -> Map:
        names = dict.fromkeys(load.tensor for load in walk(expr))
        values = {name: self._values[name] for name in names}
        if not names or len(names) > 8:
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
                    broad = hoisted(broad, wide, self._hoist)
                    found.setdefault(broad, ZERO)
                own.append((broad, narrow))
            pairs.append(own)
        if found:
            names = dict.fromkeys(load.tensor for expr in found for load in walk(expr))
            values = {name: self._values[name] for name in names}
            kinds = {name: _kind(value, like) for name, value in values.items()}
            shape: tuple[int, ...] = (like.images if by_image else 1, like.channels)
            roles = "nc"
            if by_image:
                shape, roles = (*shape, *(1 for _ in like.shape[2:])), like.roles
            made = [Value("sum", shape, roles) for _ in found]
            body = Sums(tuple(found), kinds, values, like, by_image)
            self._made(Unit(["sums"], body, list(values.values()), made, None, {}))
            found = {expr: self._named(value) for expr, value in zip(found, made, strict=True)}
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


def is_vector(value: Value) -> bool:
    """One number for each channel."""
    return value.roles == "nc" and value.shape[0] == 1


def _kind(value: Value, like: Value) -> str:
    """How a value is spread over another's positions (`kernels.map`)."""
    if value.shape == like.shape and value.roles == like.roles:
        return "s"
    if is_vector(value):
        return "c" if value.channels == like.channels else "u"
    if value.shape[:2] == like.shape[:2] and value.height * value.width == 1:
        return "i"
    raise Unsupported("operands of unlike shapes")
