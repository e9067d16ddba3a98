"""From statements to generic loop nests, which run when no hand-written kernel matches.

Each statement of a declaration becomes one nest (`kernels/nest.py`), in order, with a barrier between them:

    scattered targets   are inverted: loops run over the target's positions, and tables name the sources that land on
                        each, so that every number is written once and rows are independent
    maps                affine ones are arithmetic; all others become tables of offsets, -1 where nothing is read
    Inside, Blend       become tables of float32, read like tensors
    lanes               one variable is chosen whose neighbors become the lanes of vectors, by counting loads
"""

from __future__ import annotations

import array
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import expression
from striate.engine.kernels.argument_record import Address, Location, Record, record
from striate.engine.kernels.nest_spec import Access, AffineAxis, Let, NestSpec, TableAxis
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import AxisMap, Shift, Whole, Window
from striate.op import Declaration
from striate.statement import (
    Affine,
    Blend,
    Call,
    Const,
    Domain,
    Expr,
    Index,
    Inside,
    Load,
    Statement,
    Tap,
    call,
    index,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Axes:
    """A tensor axis by axis, in its own order: size, lanes (0: not split), bytes to the next block and number."""

    items: tuple[tuple[int, int, int, int], ...]


Place = Layout | Axes | tuple[int, ...]
"""Where a tensor lies: a blocked layout, axes from the first number on, or a plain array's shape (row-major)."""

NamedAxis = AffineAxis[str] | TableAxis[str]
"""An axis of an access, with its variables by name."""
SHORT_REDUCTION_STEPS = 64
"""Steps of a reduction below which the innermost free loop stays inside a row: rows should outweigh their start."""


@dataclasses.dataclass(frozen=True)
class NestKernel:
    """One statement as a kernel call of one part: a kernel, the contents of its argument record, and its rows."""

    kernel: Kernel
    tensors: tuple[str, ...]
    """Their addresses come first in the record; the target is number 0."""
    origins: tuple[int, ...]
    """Bytes from the start of each tensor's memory to its first number."""
    tables: tuple[bytes, ...]
    """Their addresses follow; 4-byte numbers."""
    rows: int
    adds: bool = False
    """Whether it adds to the target."""

    def arguments(self, tensors: Mapping[str, Location]) -> Record:
        """The record for tensors at these addresses."""
        values = [tensors[name] + origin for name, origin in zip(self.tensors, self.origins, strict=True)]
        values += [Address(Record(table)) for table in self.tables]
        return record(8 * len(values), {8 * k: value for k, value in enumerate(values)})


@dataclasses.dataclass(frozen=True, slots=True)
class Rank(Expr):
    """The number of a combination of loop variables, row-major: which of them won a maximum."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Nests:
    """The steps of a declaration, and the bytes of each temporary they need (plain float32 arrays)."""

    steps: tuple[NestKernel, ...]
    temporaries: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    """Shapes of the temporaries: some are results, such as a batch norm's new statistics."""


def nests(declaration: Declaration, layouts: Mapping[str, Place], target: Target) -> Nests:
    """Loop nests for every statement. layouts: of inputs `x0` …, outputs `y0` … and parameters; plain if left out."""
    places: dict[str, Place] = {f"x{k}": spec.shape for k, spec in enumerate(declaration.inputs)}
    places |= {f"y{k}": spec.shape for k, spec in enumerate(declaration.outputs)}
    places |= {parameter.name: parameter.shape for parameter in declaration.parameters}
    places |= {noise.name: noise.shape for noise in declaration.noise}
    temporaries: dict[str, tuple[int, ...]] = {}
    for statement in declaration.statements:
        if statement.target not in places:
            places[statement.target] = temporaries[statement.target] = extent(statement)
    places |= layouts
    steps = tuple(lower([(statement, False) for statement in declaration.statements], places, target))
    return Nests(steps, {name: 4 * math.prod(shape) for name, shape in temporaries.items()}, temporaries)


def lower(
    statements: Sequence[tuple[Statement, bool]], places: Mapping[str, Place], target: Target
) -> Iterator[NestKernel]:
    """Loop nests of statements, each with whether it adds to its target; zeros come first where the statements do not
    cover a target."""
    nests = [_StatementLowering(statement, places, target, more) for statement, more in statements]
    started: set[str] = set()
    for one in nests:
        name, rank = one.statement.target, len(one.statement.index)
        volume = sum(other.volume for other in nests if other.statement.target == name and not other.more)
        shape = tuple(size for size, *_ in _axes(places[name], rank))
        if name not in started and volume < math.prod(shape):
            yield _StatementLowering(_zeros(name, shape), places, target).nest()
        started.add(name)
        yield one.nest()


def extent(statement: Statement) -> tuple[int, ...]:
    """Shape of a temporary: one past the largest index written along each axis."""
    ranges = {**statement.domain.free, **statement.domain.reduced}
    return tuple(
        item.map.input
        if isinstance(item, Tap)
        else item.offset + 1 + sum(factor * (ranges[name] - 1) for name, factor in item.terms)
        for item in statement.index
    )


def _zeros(name: str, shape: tuple[int, ...]) -> Statement:
    """Zeros for a target that its statements do not cover."""
    free = {f"z{k}": size for k, size in enumerate(shape)}
    return Statement(name, index(*free), Const(0.0), Domain(free))


def _axes(place: Place, rank: int) -> list[tuple[int, int, int, int]]:
    """(size, lanes, bytes to the next block, bytes to the next number) of each axis; lanes 0: not split."""
    if isinstance(place, Axes):
        return list(place.items)
    if isinstance(place, Layout):
        channel = (
            (place.channels, place.lanes, place.block, 4)
            if place.lanes > 1
            else (place.channels, 0, 0, place.block)
        )
        space = [(place.height, 0, 0, place.row), (place.width, 0, 0, place.pixel)]
        return [(place.images, 0, 0, place.image), channel, *space[4 - rank :]]
    return [(size, 0, 0, 4 * math.prod(place[k + 1 :])) for k, size in enumerate(place)]


def _range(item: Affine, ranges: Mapping[str, int]) -> tuple[int, int]:
    """Least and largest value before division."""
    ends = [factor * (ranges[name] - 1) for name, factor in item.terms]
    return item.offset + sum(min(e, 0) for e in ends), item.offset + sum(max(e, 0) for e in ends)


class _StatementLowering:
    """Conversion of one statement into a nest."""

    def __init__(
        self, statement: Statement, places: Mapping[str, Place], target: Target, more: bool = False
    ) -> None:
        self.statement, self.places, self.target, self.more = statement, places, target, more
        self.free, self.reduced = dict(statement.domain.free), dict(statement.domain.reduced)
        self.lets: dict[str, Let[str]] = {}
        """How to find each scattered variable from a position of the target."""
        loads = [load.tensor for load in statement.loads]
        self.tensors = tuple(dict.fromkeys([statement.target, *loads]))
        self.tables: list[bytes] = []
        self.guards: list[Load] = []
        self.target_index = self._invert_scatter()
        self.volume = math.prod(self.free.values())
        self.ranges = {**statement.domain.free, **statement.domain.reduced, **self.free, **self.reduced}

    def _table(self, numbers: Iterable[float], kind: str) -> int:
        """Slot of a table."""
        data = array.array(kind, numbers).tobytes()
        if data not in self.tables:
            self.tables.append(data)
        return len(self.tensors) + self.tables.index(data)

    def _invert_scatter(self) -> tuple[Index, ...]:
        """The target's index with loops over its positions instead of scattering taps."""
        indices: list[Index] = []
        scheme = _axes(self.places[self.statement.target], len(self.statement.index))
        for axis, item in enumerate(self.statement.index):
            if isinstance(item, Affine):
                indices.append(item)
                continue
            size, out, tap = scheme[axis][0], item.out, item.tap
            taps = (self.reduced if tap in self.reduced else self.free).pop(tap) if tap else 1
            landing: list[list[tuple[int, int]]] = [[] for _ in range(size)]
            for u in range(taps):
                for i in range(self.free[out]):
                    if (at := item.map.position(i, u)) is not None and at < size:
                        landing[at].append((i, u))
            slots = max(1, *map(len, landing))
            position, slot = f"{out}@", f"{out}#"
            flat = [pair for pairs in landing for pair in [*pairs, *[(-1, -1)] * (slots - len(pairs))]]
            self.lets[out] = Let(self._table((max(i, 0) for i, _ in flat), "i"), position, slot, slots)
            if tap:
                self.lets[tap] = Let(self._table((max(u, 0) for _, u in flat), "i"), position, slot, slots)
            self.free = {position if v == out else v: size if v == out else n for v, n in self.free.items()}
            self.reduced[slot] = slots
            real = self._table((float(i >= 0) for i, _ in flat), "f")
            self.guards.append(Load(f"#{real}", index(Affine(((position, slots),)), slot)))
            indices.append(Affine(((position, 1),)))
        return tuple(indices)

    # accesses

    def _axis(self, item: Index, size: int, lanes: int, block: int, step: int) -> NamedAxis | None:
        """One axis of an access as the kernel reads it; None if it does not change the address."""
        if isinstance(item, Tap):
            affine = self._as_affine(item, size)
            if affine is None:
                return self._table_axis(item, lanes, block, step)
            item = affine
        terms = tuple((name, factor) for name, factor in item.terms if factor and self.ranges[name] > 1)
        item = dataclasses.replace(item, terms=terms)
        low, high = _range(item, self.ranges)
        if item.divisor != 1 or item.modulus:
            assert low >= 0, "a divided index is never negative"
            if item.modulus and high // item.divisor < item.modulus:
                item = dataclasses.replace(item, modulus=0)
            low, high = 0, item.modulus - 1 if item.modulus else high // item.divisor
        limit = 0 if low >= 0 and high < size else size
        if not limit and not high:
            return None
        return AffineAxis(item.terms, item.offset, item.divisor, item.modulus, limit, lanes, block, step)

    def _as_affine(self, item: Tap, size: int) -> Affine | None:
        """The tap's index where the map is affine."""
        m, tap = item.map, ((item.tap, 1),) if item.tap else ()
        match m:
            case Window():
                affine = Affine(((item.out, m.stride), *((v, m.dilation) for v, _ in tap)), -m.before)
            case Shift():
                affine = Affine(((item.out, m.step),), -m.before)
            case Whole():
                return Affine(tap)
            case _:
                return None
        low, high = _range(affine, self.ranges)
        return affine if m.mode == "zeros" or (low >= 0 and high < size) else None

    def _table_axis(self, item: Tap, lanes: int, block: int, step: int) -> TableAxis[str]:
        """An axis whose offsets come from a table, in numbers of float32; -1: outside."""
        taps = self.ranges[item.tap] if item.tap else 1
        places = [item.map.position(i, u) for i in range(self.ranges[item.out]) for u in range(taps)]
        offsets = [
            -1 if p is None else (p // lanes * block + p % lanes * 4 if lanes else p * step) // 4
            for p in places
        ]
        return TableAxis(self._table(offsets, "i"), item.out, taps, item.tap, None in places)

    def _access(self, tensor: str, items: Sequence[Index], outside: float = 0.0) -> Access[str]:
        if tensor.startswith("#"):  # a table, read as a plain tensor of one row
            axes = [self._axis(item, 1 << 31, 0, 0, 4) for item in items]
            return Access(int(tensor[1:]), outside, tuple(axis for axis in axes if axis))
        scheme = _axes(self.places[tensor], len(items))
        axes = [self._axis(item, *axis) for item, axis in zip(items, scheme, strict=True)]
        return Access(self.tensors.index(tensor), outside, tuple(axis for axis in axes if axis))

    def _plain(self, expr: Expr) -> Expr:
        """The expression with tables for the parts that depend only on positions."""
        match expr:
            case Call(function, args):
                return Call(function, tuple(map(self._plain, args)))
            case Inside(tap, padded):
                m, end = tap.map, tap.map.input + getattr(tap.map, "after", 0)
                return self._by_position(tap, lambda i, u: float(_lands(m, i, u, end if padded else None)))
            case Blend(tap):
                linear = expr.map
                return self._by_position(tap, lambda i, u: float(linear.weight(i, u)))
            case Rank(names):
                strides = [math.prod(self.ranges[v] for v in names[k + 1 :]) for k in range(len(names))]
                slot = self._table(range(math.prod(self.ranges[v] for v in names)), "f")
                return Load(f"#{slot}", index(Affine(tuple(zip(names, strides, strict=True)))))
        return expr

    def _by_position(self, tap: Tap, value: Any) -> Load:
        taps = self.ranges[tap.tap]
        slot = self._table([value(i, u) for i in range(self.ranges[tap.out]) for u in range(taps)], "f")
        return Load(f"#{slot}", index(Affine(((tap.out, taps), (tap.tap, 1)))))

    def _operands(self, expr: Expr) -> tuple[str, list[Access[str]]]:
        """The expression's text and the accesses of its operands."""
        plain = self._plain(expr)
        names = expression.operands(plain)
        return expression.text(plain, names), [self._access(x.tensor, x.index, x.outside) for x in names]

    # lanes

    def _depends(self, name: str) -> set[str]:
        """Loop variables that a variable depends on."""
        if name not in self.lets:
            return {name}
        return {self.lets[name].position, self.lets[name].slot}

    def _motion(self, access: Access[str], name: str, width: int) -> tuple[int, bool]:
        """(bytes from lane to lane, or -1 where it is irregular; whether a test depends on the lane)."""
        stride, has_test = 0, False
        for axis in access.axes:
            factors = (
                [factor for v, factor in axis.terms if v == name] if isinstance(axis, AffineAxis) else []
            )
            if not isinstance(axis, AffineAxis) or not factors:
                if any(name in self._depends(v) for v in axis.variables if v):
                    return -1, False
                continue
            if axis.divisor != 1 or axis.modulus:
                return -1, False
            if axis.lanes:
                rest = [factor for v, factor in axis.terms if v != name] + [axis.offset]
                if factors != [1] or axis.tested or axis.lanes % width or any(r % width for r in rest):
                    return -1, False
            stride += factors[0] * axis.step
            has_test |= axis.tested
        return stride, has_test

    def _cost(self, name: str, width: int, reads: Sequence[Access[str]], target: Access[str]) -> float:
        """Work of one number with these lanes, in vector loads."""

        def of(access: Access[str]) -> float:
            stride, has_test = self._motion(access, name, width)
            return (3 * width + 10 if stride < 0 else width if stride not in (0, 4) else 1) + has_test

        extent = self.ranges[name]
        steps = math.prod(self.reduced.values())
        work = 1 + sum(map(of, reads)) + (of(target) / steps if name in self.free else 0)
        return -(-extent // width) * work / max(extent, 1)

    def nest(self) -> NestKernel:
        """The kernel, its tensors and its tables."""
        value = self.statement.value
        if self.guards:
            real: Expr = self.guards[0]
            for guard in self.guards[1:]:
                real = call("mul", real, guard)
            value = call("where", real, value, -math.inf if self.statement.reduce == "max" else 0.0)
        text, reads = self._operands(value)
        start, starts = self._operands(self.statement.start) if self.statement.start else ("", [])
        target = self._access(self.statement.target, self.target_index)
        if self.more:
            start, starts = "a", [target]
        free = {v: n for v, n in self.free.items() if n != 1}
        first = next(iter(free), "")
        reduced = {v: n for v, n in self.reduced.items() if n != 1}
        halves = {self.target.lanes >> k for k in range(self.target.lanes.bit_length())}
        widths = halves | {
            lanes for _, lanes, *_ in _axes(self.places[self.tensors[0]], len(self.target_index)) if lanes
        }
        options = [
            (self._cost(v, w, reads, target), -w, v) for v in (*free, *reduced) for w in sorted(widths)
        ]
        _, width, lane_variable = min(options, default=(0.0, -1, ""))
        width = -width
        if lane_variable in reduced:
            reduced[lane_variable] = reduced.pop(lane_variable)  # the innermost
        inside = len(free) > 1 and math.prod(reduced.values()) < SHORT_REDUCTION_STEPS
        rows = len(free) - inside
        loops = {**free, **reduced}
        strips = {v: -(-n // width) if v == lane_variable else n for v, n in free.items()}
        count = math.prod(list(strips.values())[:rows])
        names = {name: k for k, name in enumerate((*loops, *self.lets))}

        def numbered(access: Access[str]) -> Access[int]:
            stride, tested = self._motion(access, lane_variable, width)
            return dataclasses.replace(access, stride=stride, tested=tested).numbered(names)

        scheme = _axes(self.places[self.statement.target], len(self.target_index))
        fill = next(((size, lanes) for size, lanes, *_ in scheme if lanes and size % lanes), ())
        extents = [
            0 if k == 0 and rows and lane_variable != first else n for k, n in enumerate(loops.values())
        ]
        spec = NestSpec(
            tuple(extents), len(free), rows, names.get(lane_variable, -1), width,
            tuple(let.numbered(names) for let in self.lets.values()), numbered(target), fill,
            text, tuple(map(numbered, reads)), self.statement.reduce if reduced or start else "",
            start, tuple(map(numbered, starts)),
        )  # fmt: skip
        origins = tuple(
            p.origin if isinstance(p := self.places[name], Layout) else 0 for name in self.tensors
        )
        kernel = Kernel("nest", (spec.text,))
        return NestKernel(kernel, self.tensors, origins, tuple(self.tables), count, self.more)


def _lands(axis_map: AxisMap, i: int, u: int, end: int | None) -> bool:
    """Whether a tap lands on the input or, with an end, before it: on padding, too."""
    if end is None:
        return axis_map.position(i, u) is not None
    x = axis_map.raw(i, u)
    return x is not None and x < end
