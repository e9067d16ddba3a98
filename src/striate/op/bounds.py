"""Verifies that a declaration reads and writes inside its tensors, before an engine runs it.

Uses interval arithmetic over the loop ranges, because engines turn indices into addresses without checks. Also verified
are names and ranks of the tensors read, the variables of every index, and that each output is written completely.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence

from striate.diagnostics import OpError
from striate.geometry import AxisMap
from striate.op.declaration import Declaration
from striate.statement import FUNCTIONS, Affine, Blend, Call, Index, Inside, Load, Statement, Tap
from striate.tensor import SPATIAL, TensorSpec

Shape = tuple[int, ...]
MAX_COUNTED_PLACES = 1_000_000
"""Maximum positions that are enumerated for axes with an unusual index; a statement with more is refused."""


def verify(declaration: Declaration) -> Declaration:
    """Return the declaration if every statement stays inside its tensors.

    Raises OpError, which names the op, the order of its input's axes, the index and its range.
    """
    if declaration.statements:
        try:
            _Proof(declaration).run()
        except _Beyond as error:
            raise _refusal(declaration, *error.args) from None
    return declaration


class _Beyond(Exception):
    """An invalid statement: what is wrong, and the numbers."""


def _refusal(declaration: Declaration, what: str, why: str) -> OpError:
    op, inputs = declaration.op, declaration.inputs
    order = " and ".join("".join(x.axes) for x in inputs)
    mended = f"correct the statements in {type(op).__name__}.declare"
    usual = [_usual(x) for x in inputs]
    if any(x.axes[1:] != axes for x, axes in zip(inputs, usual, strict=True)):
        mended = f"permute {''.join(usual[0])} before it, or {mended}"
    return OpError(f"{op.word} {what} where its input's axes are {order}", why=why, fix=mended)


def _usual(x: TensorSpec) -> tuple[str, ...]:
    space = SPATIAL.get(len(x.spatial_axes), x.spatial_axes)
    return ("C", *space) if "C" in x.axes else x.axes[1:]


class _Proof:
    """One declaration, its tensors' shapes and the intervals of its indices."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.readable: dict[str, Shape] = {f"x{k}": x.shape for k, x in enumerate(declaration.inputs)}
        self.readable |= {p.name: p.shape for p in declaration.parameters}
        self.readable |= {noise.name: noise.shape for noise in declaration.noise}
        self.read_only = frozenset(self.readable)
        self.outputs = {f"y{k}": y.shape for k, y in enumerate(declaration.outputs)}
        self.plain = set[str]()
        """Tensors that a statement writes completely, each axis by one variable, as most do."""

    def run(self) -> None:
        writers: dict[str, list[Statement]] = {}
        for statement in self.declaration.statements:
            self._statement(statement)
            writers.setdefault(statement.target, []).append(statement)
        for name in self.outputs:
            if name not in writers:
                raise _Beyond(f"never writes its output {name}", f"its statements write {_few(writers)}")
        for name, statements in writers.items():
            self._check_coverage(name, statements)
        shapes = {p.name: p.shape for p in self.declaration.parameters}
        for parameter, tensor in self.declaration.updates.items():
            if self.readable.get(tensor) != shapes.get(parameter):
                why = f"{tensor} is {self.readable.get(tensor)}, {parameter} is {shapes.get(parameter)}"
                raise _Beyond(f"replaces {parameter} by a tensor of another shape", why)

    def _statement(self, statement: Statement) -> None:
        free, reduced = statement.domain.free, statement.domain.reduced
        sizes = {**free, **reduced}
        if len(sizes) < len(free) + len(reduced) or any(size < 0 for size in sizes.values()):
            raise _Beyond("has an invalid domain", f"free {dict(free)}, reduced {dict(reduced)}")
        if reduced and statement.reduce not in ("sum", "max"):
            raise _Beyond("reduces without a reduction", f"over {_few(reduced)}, as {statement.reduce!r}")
        parts = [statement.value] if statement.start is None else [statement.value, statement.start]
        for expr in parts:
            if isinstance(expr, Load):
                shape = self.readable.get(expr.tensor)
                if shape is None:
                    raise _Beyond(
                        f"reads {expr.tensor}, which does not exist", f"there are {_few(self.readable)}"
                    )
                self._access("reads", expr.tensor, expr.index, shape, sizes, writing=False)
            elif isinstance(expr, Inside | Blend):
                _range("reads a tap", expr.tap, sizes, writing=False)
            elif isinstance(expr, Call):
                if expr.function not in FUNCTIONS:
                    raise _Beyond(f"calls {expr.function!r}", f"the functions are {', '.join(FUNCTIONS)}")
                parts += expr.args  # extends the list during iteration
        self._target(statement, sizes)

    def _target(self, statement: Statement, sizes: Mapping[str, int]) -> None:
        name = statement.target
        if name in self.read_only:
            raise _Beyond(f"writes {name}", "inputs and parameters are read-only")
        shape = self.outputs.get(name) or self.readable.get(name)
        if shape is None:  # a temporary is as large as its first statement needs
            shape = tuple(_range("writes", item, sizes, writing=True)[1] + 1 for item in statement.index)
        self.readable[name] = shape
        if _plain(statement, shape):
            self.plain.add(name)
            return
        self._access("writes", name, statement.index, shape, sizes, writing=True)
        for item in statement.index if statement.domain.reduced else ():
            summed = [v for v in _variables(item) if v in statement.domain.reduced]
            if isinstance(item, Affine) and summed:
                raise _Beyond(f"writes {name} at {summed[0]}, over which it reduces", f"index {item}")

    def _access(
        self,
        verb: str,
        name: str,
        index: Sequence[Index],
        shape: Shape,
        sizes: Mapping[str, int],
        writing: bool,
    ) -> None:
        if len(index) != len(shape):
            raise _Beyond(
                f"{verb} {name} at {len(index)} indices", f"{name} has {len(shape)} axes, {_times(shape)}"
            )
        for at, (item, size) in enumerate(zip(index, shape)):
            alone = _alone(item, sizes)
            if alone is not None and sizes.get(alone, size + 1) <= size:
                continue  # the common case
            low, high = _range(f"{verb} {name}", item, sizes, writing)
            if isinstance(item, Tap):
                beyond = high != size - 1
            else:  # an empty batch reads nothing
                beyond = (low < 0 or high >= size) and 0 not in sizes.values()
            if beyond:
                why = (
                    f"along {self._axis(name, at)} it {verb} indices {low} to {high}; {name} has {size} there"
                )
                raise _Beyond(f"{verb} {name} outside its bounds", why)

    def _axis(self, name: str, at: int) -> str:
        specs = {f"x{k}": x for k, x in enumerate(self.declaration.inputs)}
        specs |= {f"y{k}": y for k, y in enumerate(self.declaration.outputs)}
        return specs[name].axes[at] if name in specs else f"axis {at}"

    def _check_coverage(self, name: str, statements: Sequence[Statement]) -> None:
        """Raise unless every element is written once; scattered sums start from zeros and may leave holes."""
        if len(statements) == 1 and name in self.plain:
            return
        if any(isinstance(item, Tap) for statement in statements for item in statement.index):
            return
        if any(0 in statement.domain.free.values() for statement in statements):  # an empty batch
            return
        shape = self.readable[name]
        count = sum(math.prod(statement.domain.free.values()) for statement in statements)
        if count != math.prod(shape) or not _writes_once(statements, shape):
            raise _Beyond(
                f"does not write every element of {name} exactly once",
                f"{name} is {_times(shape)}, {math.prod(shape)} elements; {count} are written",
            )


def _variables(item: Index) -> tuple[str, ...]:
    if isinstance(item, Affine):
        return tuple(name for name, _ in item.terms)
    return (item.out, item.tap) if item.tap else (item.out,)


def _alone(item: Index, sizes: Mapping[str, int]) -> str | None:
    """The only variable of an index, if it is one; variables with the single value 0 do not count."""
    if not isinstance(item, Affine) or item.offset or item.divisor != 1 or item.modulus:
        return None
    terms = item.terms
    if len(terms) > 1:
        terms = tuple([term for term in terms if sizes.get(term[0]) != 1])
    return terms[0][0] if len(terms) == 1 and terms[0][1] == 1 else None


def _range(verb: str, item: Index, sizes: Mapping[str, int], writing: bool) -> tuple[int, int]:
    """The smallest and the largest value of an index."""
    for name in _variables(item):
        if name not in sizes:
            raise _Beyond(f"{verb} at {name}, which is not a loop variable", f"they are {_few(sizes)}")
    if isinstance(item, Tap):
        return _tap_range(verb, item, sizes, writing)
    low = high = item.offset
    for name, factor in item.terms:
        step = factor * max(sizes[name] - 1, 0)
        low, high = (low, high + step) if step > 0 else (low + step, high)
    if item.divisor < 1 or item.modulus < 0:
        raise _Beyond(f"{verb} at an invalid index", f"divisor {item.divisor}, modulus {item.modulus}")
    low, high = low // item.divisor, high // item.divisor
    if item.modulus:
        if low // item.modulus == high // item.modulus:
            return low % item.modulus, high % item.modulus
        return 0, item.modulus - 1
    return low, high


def _tap_range(verb: str, item: Tap, sizes: Mapping[str, int], writing: bool) -> tuple[int, int]:
    """Index range of the map's axis: its positions lie on it, or nowhere. The loops must match the map."""
    axis, outputs, taps = _extent(item.map)
    out, reach = sizes[item.out], sizes[item.tap] if item.tap else 1
    # The output of a transposed convolution may have elements that nothing reaches.
    if (out > outputs or (out < outputs and not writing)) or (reach != taps if item.tap else taps < 1):
        raise _Beyond(
            f"{verb} outside of its map",
            f"the map has {outputs} outputs of {taps} taps; the loops run over {out} and {reach}",
        )
    return 0, axis - 1


@functools.lru_cache(maxsize=4096)
def _extent(axis_map: AxisMap) -> tuple[int, int, int]:
    """Input size, outputs and taps of a map. Raises _Beyond for a user-defined map that leaves its axis."""
    size, outputs, taps = axis_map.input, axis_map.output, axis_map.taps
    cls = type(axis_map)
    if cls.position is not AxisMap.position and not cls.__module__.startswith("striate.geometry."):
        for i, u in itertools.product(range(outputs), range(taps)):
            x = axis_map.position(i, u)
            if x is not None and not 0 <= x < size:
                raise _Beyond("reads outside an axis", f"{cls.__name__} puts tap {u} of {i} at {x} of {size}")
    return size, outputs, taps


def _writes_once(statements: Sequence[Statement], shape: Shape) -> bool:
    """Whether statements with as many writes as elements write no element twice."""
    boxes = [box for statement in statements if (box := _box(statement)) is not None]
    if len(boxes) == len(statements):
        volumes = [math.prod(count for _, count in box) for box in boxes]
        return volumes == [math.prod(s.domain.free.values()) for s in statements] and not any(
            all(max(p, q) < min(p + n, q + m) for (p, n), (q, m) in zip(a, b, strict=True))
            for a, b in itertools.combinations(boxes, 2)
        )
    if len(statements) == 1 and _digits(statements[0], shape):
        return True
    groups = _groups(statements, len(shape))
    places = [[_places(statement, group) for group in groups] for statement in statements]
    return all(
        math.prod(map(len, axis_places)) == math.prod(statement.domain.free.values())
        for axis_places, statement in zip(places, statements, strict=True)
    ) and all(
        any(p.isdisjoint(q) for p, q in zip(a, b, strict=True)) for a, b in itertools.combinations(places, 2)
    )


def _groups(statements: Sequence[Statement], rank: int) -> list[list[int]]:
    """Axes of the target, grouped if they have a common variable: the positions are the product over the groups."""
    groups = [[at] for at in range(rank)]
    for statement in statements:
        for name in statement.domain.free:
            affected = [g for g in groups if any(name in _variables(statement.index[at]) for at in g)]
            together = [at for group in affected for at in group]
            groups = [g for g in groups if g not in affected] + ([together] if together else [])
    return groups


def _places(statement: Statement, axes: Sequence[int]) -> set[tuple[int, ...]]:
    """The positions that a statement writes along some axes. Raises _Beyond if they are too many to count."""
    items = [item for at in axes if isinstance(item := statement.index[at], Affine)]
    sizes = {v: statement.domain.free[v] for item in items for v in _variables(item)}
    if math.prod(sizes.values()) > MAX_COUNTED_PLACES:
        count = _times(tuple(sizes.values()))
        raise _Beyond(
            f"writes {statement.target} at positions that cannot be counted",
            f"{', '.join(sizes)} move {count} places together, {MAX_COUNTED_PLACES:,} are counted",
        )
    every = itertools.product(*map(range, sizes.values()))
    return {tuple([_value(item, dict(zip(sizes, at))) for item in items]) for at in every}


def _value(item: Affine, at: Mapping[str, int]) -> int:
    total = (item.offset + sum(factor * at[name] for name, factor in item.terms)) // item.divisor
    return total % item.modulus if item.modulus else total


def _box(statement: Statement) -> list[tuple[int, int]] | None:
    """(first, count) of the indices written along every axis, if each is a run without holes; else None.

    As in a mixed-radix number: sorted by factor, each variable continues where the smaller ones end.
    """
    runs, names = [], list[str]()
    for item in statement.index:
        if not isinstance(item, Affine) or item.divisor != 1 or item.modulus:
            return None
        names += _variables(item)
        count = _dense([(factor, statement.domain.free[v]) for v, factor in item.terms])
        runs.append((item.offset, count))
    return runs if len(names) == len(set(names)) else None


def _dense(terms: Sequence[tuple[int, int]]) -> int:
    """Number of values of a sum of factor·variable, if it gives each value from 0 on once; else 0."""
    count = 1
    for factor, size in sorted(term for term in terms if term[1] != 1):
        if factor != count:
            return 0
        count *= size
    return count


def _plain(statement: Statement, shape: Shape) -> bool:
    """Whether every axis is written completely, each by one variable."""
    free = statement.domain.free
    names = [_alone(item, free) for item in statement.index]
    if tuple([-1 if name is None else free.get(name, -1) for name in names]) != shape:
        return False
    return len(set(names)) == len(names) and (
        len(names) == len(free) or math.prod(free.values()) == math.prod(shape)
    )


def _digits(statement: Statement, shape: Shape) -> bool:
    """Whether the indices are the digits of one row-major number that runs through all elements, as in a reshape."""
    sizes, stride = statement.domain.free, dict[str, int]()
    below = math.prod(shape)
    bands = []
    for item, size in zip(statement.index, shape, strict=True):
        above, below = below, below // size if size else 0
        bands.append((item, below, above, size))
        if not isinstance(item, Affine) or item.offset:
            return False
        for name, factor in item.terms:
            step = factor * below if item.divisor == 1 and not item.modulus else factor
            if stride.setdefault(name, step) != step:
                return False
    if _dense([(step, sizes[v]) for v, step in stride.items()]) != math.prod(shape):
        return False
    for item, below, above, size in bands:
        assert isinstance(item, Affine)
        names = {name for name, _ in item.terms}
        within = all(stride[v] * sizes[v] <= above for v in names)
        if item.divisor == 1 and not item.modulus:
            right = within and math.prod(sizes[v] for v in names) == size
        else:
            complete = all(v in names for v, step in stride.items() if step < above and sizes[v] > 1)
            right = (
                complete and item.divisor == below and (item.modulus == size or (not item.modulus and within))
            )
        if not right:
            return False
    return True


def _few(names: Mapping[str, object]) -> str:
    return ", ".join(itertools.islice(names, 12)) or "none"


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a single number"
