"""The declaration of an operation as data: "reduce this product over this domain into that access".

An op declares statements; shapes, windows, cost, the reference arithmetic and the gradients are derived from
them. Tensors are named: inputs ``x0, x1 …``, outputs ``y0 …``, temporaries ``t…``, parameters by their own name.
A statement does not know how it is executed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping

from striate.geometry import AxisMap, Linear

FUNCTIONS = (
    "add", "sub", "mul", "div", "neg", "max", "min", "abs", "exp", "expm1", "log", "log1p", "sqrt", "pow", "tanh",
    "erf", "where",
)  # fmt: skip
"""The scalar functions. `where(a, b, c)` is b where a > 0, else c."""


@dataclasses.dataclass(frozen=True, slots=True)
class Affine:
    """Index (sum of coefficient·variable + offset) // divisor, then % modulus unless modulus is 0."""

    terms: tuple[tuple[str, int], ...]
    offset: int = 0
    divisor: int = 1
    modulus: int = 0

    @property
    def variable(self) -> str | None:
        """The variable, if the index is a single one."""
        plain = len(self.terms) == 1 and self.terms[0][1] == 1 and not self.offset
        return self.terms[0][0] if plain and self.divisor == 1 and not self.modulus else None


@dataclasses.dataclass(frozen=True, slots=True)
class Tap:
    """Index map.position(out, tap): the affine access i·s + u·d - p, or another one-axis map; no tap means tap 0."""

    map: AxisMap
    out: str
    tap: str = ""


Index = Affine | Tap


def index(*items: str | Index) -> tuple[Index, ...]:
    """Indices from variable names and ready indices."""
    return tuple([_variable(item) if isinstance(item, str) else item for item in items])


@functools.lru_cache(maxsize=1024)
def _variable(name: str) -> Affine:
    return Affine(((name, 1),))


class Expr:
    """A scalar expression over loads; built with Python operators."""

    __slots__ = ()

    def __add__(self, other: Expr | float) -> Expr:
        return call("add", self, other)

    def __sub__(self, other: Expr | float) -> Expr:
        return call("sub", self, other)

    def __mul__(self, other: Expr | float) -> Expr:
        return call("mul", self, other)

    def __truediv__(self, other: Expr | float) -> Expr:
        return call("div", self, other)

    def __neg__(self) -> Expr:
        return call("neg", self)


@dataclasses.dataclass(frozen=True, slots=True)
class Load(Expr):
    """Read one number of a tensor; `outside` is the value beyond its borders."""

    tensor: str
    index: tuple[Index, ...]
    outside: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Const(Expr):
    """A number."""

    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class Inside(Expr):
    """1 where a tap lands on the input (or, when `padded`, on its padding too), else 0."""

    tap: Tap
    padded: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Blend(Expr):
    """Interpolation weight of a tap of a `Linear` map."""

    tap: Tap

    @property
    def map(self) -> Linear:
        assert isinstance(self.tap.map, Linear)
        return self.tap.map


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Expr):
    """One of FUNCTIONS, applied."""

    function: str
    args: tuple[Expr, ...]


def call(function: str, *args: Expr | float) -> Call:
    """Apply a function; plain numbers become constants."""
    return Call(function, tuple(arg if isinstance(arg, Expr) else Const(float(arg)) for arg in args))


def load(tensor: str, *items: str | Index, outside: float = 0.0) -> Load:
    """Read a tensor at variables and ready indices."""
    return Load(tensor, index(*items), outside)


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """Ranges of the loop variables: `free` ones address the target, `reduced` ones are summed or maximized over."""

    free: Mapping[str, int]
    reduced: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def volume(self) -> int:
        return math.prod(self.free.values()) * math.prod(self.reduced.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """target[index] = start ⊕ reduce over domain of value, with ⊕ one of "sum", "max" or "" (plain assignment).

    A target index may be a `Tap`: the values are then scattered, and sum where they meet (transposed convolution).
    """

    target: str
    index: tuple[Index, ...]
    value: Expr
    domain: Domain
    reduce: str = ""
    start: Expr | None = None

    @property
    def loads(self) -> tuple[Load, ...]:
        """Every load of the statement, `start` included."""
        value_loads = tuple(walk(self.value))
        return value_loads if self.start is None else (*value_loads, *walk(self.start))


def walk(expr: Expr) -> Iterator[Load]:
    """The loads in an expression, left to right."""
    if isinstance(expr, Load):
        yield expr
    elif isinstance(expr, Call):
        for arg in expr.args:
            yield from walk(arg)
