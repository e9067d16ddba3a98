"""Pixel use: in how many ways each input pixel reaches the output.

A path goes from a pixel through one tap of each window to an output position, channels counted once. For one layer
that is the number of windows that use the pixel. Paths are counted exactly, in integers of any size. Global context
(gates of squeeze-and-excitation, a norm's statistics) adds the same to every pixel and is not counted.

Along a chain of windows the map is an outer product of one vector per axis, and stays one: a 100,000 x 100,000 input
takes a few MB. Where branches meet, maps are summed: as long as that is smaller, as a list of outer products.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from operator import add
from typing import Any

from striate.diagnostics import LimitError, OpError
from striate.geometry import AxisMap
from striate.hooks import Displayed
from striate.network import NetworkSource, as_network
from striate.op import Declaration, Reading
from striate.signatures import explain_misuse

MAX_WRITTEN_SIDE_PX = 16
"""Maximum side of maps that are printed in full."""
Vector = tuple[int, ...]
Term = tuple[Vector, ...]
"""An outer product: one vector per spatial axis."""

DENSE_LIMIT = 4_000_000
"""Maximum cells of a dense map."""
NUMBERS_LIMIT = 2_000_000
"""Maximum numbers in one step: branches of a huge input beyond it are refused, because the answer would take too long.
"""


@dataclasses.dataclass(frozen=True, repr=False)
class PixelUse(Displayed):
    """Paths from each pixel of a network's input to a value.

    shape: sizes of the spatial axes; terms: outer products whose sum is the map.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    terms: tuple[Term, ...]

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        lines = [f"{size} pixels: number of paths from each"]
        if len(self.shape) <= 2 and max(self.shape) <= MAX_WRITTEN_SIDE_PX:
            rows = [list(map(str, row)) for row in self.rows()]
            width = max(len(word) for row in rows for word in row)
            lines += [" ".join(word.rjust(width) for word in row) for row in rows]
        share = self.corner_to_center
        lines.append(
            f"unread {self.unread} · corner to center {'none' if share is None else f'{float(share):.3g}'}"
        )
        return "\n".join(lines)

    def at(self, *position: int) -> int:
        """Paths from the pixel at (y, x)."""
        return sum(prod(vector[p] for vector, p in zip(term, position, strict=True)) for term in self.terms)

    @property
    def cells(self) -> int:
        return prod(self.shape)

    def rows(self) -> Iterator[list[int]]:
        """The map along its last axis, one line after the other."""
        across = ([prod(factors) for factors in product(*term[:-1])] for term in self.terms)
        along = [term[-1] for term in self.terms]
        for factors in zip(*across, strict=True):
            yield _weighted(factors, along) or [0] * self.shape[-1]

    @functools.cached_property
    def _lines(self) -> list[list[int]]:
        return list(self.rows())

    @functools.cached_property
    def counts(self) -> list[Any]:
        """The whole map as nested lists. Raises LimitError beyond DENSE_LIMIT pixels."""
        if self.cells > DENSE_LIMIT:
            raise LimitError(
                f"a map of {self.cells} pixels is too large for an array",
                why=f"the limit is {DENSE_LIMIT}",
                fix="request single pixels, or the vectors of each axis",
            )
        nested: list[Any] = self._lines
        for size in reversed(self.shape[1:-1]):
            nested = [nested[k : k + size] for k in range(0, len(nested), size)]
        return nested if len(self.shape) > 1 else list(nested[0])

    @functools.cached_property
    def unread(self) -> int:
        """Pixels from which no path leads to the value."""
        # Counts are never negative, so a pixel is unread only if every term is 0 there: only zeros matter.
        supports: list[dict[tuple[bool, ...], int]] = []
        for axis, size in enumerate(self.shape):
            kinds: dict[tuple[bool, ...], int] = {}
            for k in range(size):
                kind = tuple(term[axis][k] > 0 for term in self.terms)
                kinds[kind] = kinds.get(kind, 0) + 1
            supports.append(kinds)
        masks = [
            [(sum(1 << t for t, real in enumerate(kind) if real), number) for kind, number in kinds.items()]
            for kinds in supports
        ]
        return sum(
            prod(number for _, number in kinds)
            for kinds in product(*masks)
            if not functools.reduce(int.__and__, (mask for mask, _ in kinds))
        )

    @property
    def total(self) -> int:
        """Paths from all pixels together."""
        return sum(prod(map(sum, term)) for term in self.terms)

    @functools.cached_property
    def most(self) -> int:
        """Paths from the most used pixel. Raises LimitError for a branched map beyond DENSE_LIMIT pixels."""
        if len(self.terms) == 1:
            return prod(map(max, self.terms[0]))
        if self.cells > DENSE_LIMIT:
            raise LimitError(
                f"a map of {self.cells} pixels is too large to search for its peak",
                fix="request single pixels",
            )
        return max(map(max, self._lines))

    @property
    def corner(self) -> int:
        """Paths from the first pixel of every axis."""
        return self.at(*(0 for _ in self.shape))

    @property
    def center(self) -> int:
        return self.at(*(n // 2 for n in self.shape))

    @property
    def corner_to_center(self) -> Fraction | None:
        """Paths of the corner pixel over those of the center pixel; None when the center has none."""
        return Fraction(self.corner, self.center) if self.center else None

    @property
    def border_to_center(self) -> Fraction | None:
        """Mean paths of the outermost pixels over those of the center pixel; None when the center has none."""
        inner = sum(prod(sum(v[1:-1]) for v in term) for term in self.terms)
        pixels = self.cells - prod(max(n - 2, 0) for n in self.shape)
        return Fraction(self.total - inner, pixels * self.center) if self.center else None

    # As JSON spells them.
    centre, corner_to_centre, border_to_centre = center, corner_to_center, border_to_center

    @property
    def uniform(self) -> bool:
        """Whether every pixel is used equally often."""
        return self.unread == 0 and self.total == self.cells * self.most

    @property
    def middle(self) -> PixelUse:
        """The slice through the middle of a volume; the map itself where it has at most two axes."""
        outer = tuple(n // 2 for n in self.shape[:-2])
        if not outer:
            return self
        terms = []
        for *across, rows, columns in self.terms:
            factor = prod(vector[p] for vector, p in zip(across, outer, strict=True))
            terms.append((tuple(factor * n for n in rows), columns))
        return PixelUse(self.axes[-2:], self.shape[-2:], tuple(terms))

    def reduced(self, *limits: int) -> PixelUse:
        """The map summed over blocks, so that no axis is longer than its limit; one limit is for all axes."""
        limits = limits * len(self.shape) if len(limits) == 1 else limits
        return dataclasses.replace(
            self,
            shape=tuple(map(min, self.shape, limits)),
            terms=tuple(tuple(map(_blocks, term, limits)) for term in self.terms),
        )


def _weighted(factors: Iterable[int], vectors: Iterable[Sequence[int]]) -> list[int]:
    """The sum of vectors, each times its factor; empty where all factors are 0."""
    total: list[int] = []
    for factor, vector in zip(factors, vectors, strict=True):
        if factor:
            scaled = vector if factor == 1 else [factor * n for n in vector]
            total = list(map(add, total, scaled)) if total else list(scaled)
    return total


def _blocks(vector: Vector, limit: int) -> Vector:
    n, m = len(vector), min(len(vector), limit)
    return tuple(sum(vector[k * n // m : (k + 1) * n // m]) for k in range(m))


@explain_misuse
def pixels(net: NetworkSource, value: str | None = None, input: str | None = None) -> PixelUse:
    """Count the paths from each pixel of an input to the outputs: for one layer, the windows that use it.

    net: a network, or what names one, as `striate.load` takes it; value: the node to count to, or one of its outputs,
    instead of all outputs of the network; input: of several inputs, the one that is meant.

    Returns a `PixelUse`: `counts` are whole numbers, nested by the input's axes (H, W); `unread` is the number of
    pixels that nothing reads, `corner_to_center` the share of a corner's count in that of the center.
    Raises ShapeError when a node has no output, UnknownNameError for a value that does not exist, OpError for an
    input without spatial axes, LimitError when branches make a map that is too large.
    Source: Araujo, Norris & Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019.

    >>> import striate as st
    >>> st.pixels("3x3x1 -> conv 2x2").counts
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    """
    net = as_network(net)
    source = net.input_name(input)
    spec = net.inputs[source]
    if not spec.spatial:
        raise OpError(
            "the input has no height and width", why=f"it is {spec}", fix="give an image size such as 32x32x3"
        )
    targets = net.outputs if value is None else (value,)
    maps: dict[str, dict[Term, int]] = {}
    for target in targets:
        if target not in net.specs:
            target = net.node(target).outputs[0]
        _add(maps, target, tuple((1,) * n for n in net.specs[target].spatial_sizes), 1)
    settled: set[str] = set()  # values with a map that cannot be written in fewer terms
    for node in reversed(net.nodes):
        declaration = net.declarations[node.name]
        for port, name in enumerate(node.outputs):
            if arriving := maps.pop(name, None):
                readings = declaration.readings_of(port) if port else declaration.readings
                leaving = (
                    arriving
                    if name in settled
                    else _compact(arriving, declaration.outputs[port].spatial_sizes)
                )
                for origin, pull in zip(node.inputs, _pulls(declaration, readings), strict=True):
                    if pull is _same and origin not in maps:
                        maps[origin] = leaving.copy()
                        settled.add(origin)
                    elif pull is not None:
                        settled.discard(origin)
                        for term, times in leaving.items():
                            _add(maps, origin, pull(term), times)
    compact = _compact(maps.get(source, {}), spec.spatial_sizes)
    terms = tuple((tuple(t * n for n in term[0]), *term[1:]) for term, t in compact.items())
    empty = tuple((0,) * n for n in spec.spatial)
    return PixelUse(spec.spatial_axes, spec.spatial, terms or (empty,))


def _add(maps: dict[str, dict[Term, int]], value: str, term: Term, times: int) -> None:
    terms = maps.setdefault(value, {})
    terms[term] = terms.get(term, 0) + times


def _compact(terms: dict[Term, int], shape: tuple[int, ...]) -> dict[Term, int]:
    """The same sum in fewer outer products: terms that agree on all axes but one are added, then rows written out."""
    for axis in range(len(shape)):
        if len(terms) > 1:
            sums: dict[Term, Vector] = {}
            for term, times in terms.items():
                rest = (*term[:axis], *term[axis + 1 :])
                scaled = term[axis] if times == 1 else tuple(times * n for n in term[axis])
                total = sums.get(rest)
                sums[rest] = scaled if total is None else tuple(map(add, total, scaled))
            terms = {(*rest[:axis], v, *rest[axis:]): 1 for rest, v in sums.items()}
    if len(terms) > 1 and len(terms) * sum(shape) > NUMBERS_LIMIT:
        raise LimitError(
            f"because of branches, the map is a sum of {len(terms)} outer products on {'x'.join(map(str, shape))}",
            why=f"that is more than {NUMBERS_LIMIT:,} numbers in one step",
            fix="analyze a smaller input; its borders have the same pattern",
        )
    if len(terms) > min(shape, default=1) and len(shape) == 2:  # volumes keep their products
        terms = dict.fromkeys(_by_rows(list(terms), shape), 1)
    return terms


def _by_rows(terms: Sequence[Term], shape: tuple[int, ...]) -> Iterator[Term]:
    """One outer product per position of the shortest axis: never more than that many."""
    axis = shape.index(min(shape))
    along = [term[1 - axis] for term in terms]
    for k, factors in enumerate(zip(*(term[axis] for term in terms), strict=True)):
        unit = (*(0,) * k, 1, *(0,) * (shape[axis] - k - 1))
        other = tuple(_weighted(factors, along)) or (0,) * shape[1 - axis]
        yield (unit, other) if axis == 0 else (other, unit)


def _pulls(
    declaration: Declaration, readings: Sequence[Mapping[str, Reading]]
) -> list[Callable[[Term], Term] | None]:
    """Per input, how an outer product over the output becomes one over that input; None for global context."""
    local = [
        all(reading[axis].axis is not None for axis in x.spatial_axes)
        for x, reading in zip(declaration.inputs, readings, strict=True)
    ]
    pulls: list[Callable[[Term], Term] | None] = []
    for x, reading, near in zip(declaration.inputs, readings, local, strict=True):
        if any(local) and not near:
            pulls.append(None)
        elif x.spatial_axes == declaration.outputs[0].spatial_axes and all(
            reading[axis].axis == axis and reading[axis].map is None for axis in x.spatial_axes
        ):
            pulls.append(_same)
        else:
            pulls.append(functools.partial(_pull, declaration, reading, x.spatial_axes))
    return pulls


def _same(term: Term) -> Term:
    return term


def _pull(
    declaration: Declaration, reading: Mapping[str, Reading], axes: tuple[str, ...], term: Term
) -> Term:
    out = declaration.outputs[0].spatial_axes
    vectors = []
    for axis in axes:
        read = reading[axis]
        if read.axis in out:
            arriving = term[out.index(read.axis)]
            vectors.append(arriving if read.map is None else _pull_axis(read.map, arriving))
        else:
            vectors.append((1,) * declaration.inputs[0].size(axis))
    return tuple(vectors)


@functools.lru_cache(maxsize=512)
def _pull_axis(axis_map: AxisMap, counts: Vector) -> Vector:
    return tuple(axis_map.pull(counts))
