"""Input sizes that fit exactly, solved through the whole graph, each axis by itself.

Fits exactly: no stride leaves a remainder, ceil mode never hangs over, SAME pads evenly, scaled sizes are whole,
merged branches are equally long, and every stride still shrinks its axis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm

from striate import elsewhere
from striate.geometry import Condition, Shift, SizeLaw, solve
from striate.hooks import Displayed
from striate.network import Network, NetworkSource, Node, as_network
from striate.op import Declaration
from striate.signatures import explain_misuse
from striate.tensor import TensorSpec

_MAX_STRIDE_PX = 64
"""Input pixels from unit to unit of the coarsest map: 32 in most networks, 64 in the deepest U-Nets."""
_MAX_RESIDUE_CLASSES = 4096
"""Maximum number of residue classes; with more, no list of sizes is useful."""


@dataclasses.dataclass(frozen=True, slots=True)
class AxisSizes:
    """Fitting sizes of one input axis: N = a residue (mod modulus), at least that residue's minimum.

    modulus 0: only the sizes in `residues` fit. No residues: none does, and `conflict` says which node asks for what.
    """

    modulus: int
    residues: tuple[int, ...]
    minimum: int
    conditions: tuple[Condition, ...] = dataclasses.field(repr=False, default=())
    conflict: str = ""

    def fits(self, n: int) -> bool:
        return any(condition.admits(n) for condition in self.conditions)

    def nearest(self, wish: int, count: int = 4) -> tuple[int, ...]:
        """The fitting sizes nearest to a wish, in ascending order."""
        candidates: set[int] = set()
        for c in self.conditions:
            middle = max(wish - (wish - c.residue) % c.modulus, c.smallest) if c.modulus else c.smallest
            span = range(-count, count + 1) if c.modulus else range(1)
            candidates.update(n for k in span if c.admits(n := middle + k * c.modulus))
            candidates.add(c.smallest)
        return tuple(sorted(sorted(candidates, key=lambda n: (abs(n - wish), n))[:count]))

    @property
    def rule(self) -> str:
        """In words: ``N = 1 mod 32, N >= 33``."""
        if not self.residues:
            return "no size fits"
        if not self.modulus:
            return "N = " + " or ".join(map(str, self.residues))
        if self.modulus == 1:
            return f"any N >= {self.minimum}"
        return f"N = {', '.join(map(str, self.residues))} mod {self.modulus}, N >= {self.minimum}"


@dataclasses.dataclass(frozen=True, repr=False)
class Sizes(Displayed, elsewhere.Teaching):
    """Fitting sizes per axis of the input ("h", "w", …), and those nearest to a wish that fit all of them (square)."""

    axes: Mapping[str, AxisSizes]
    near: int
    nearest: tuple[int, ...]

    def __repr__(self) -> str:
        lines = [f"{axis}: {solution.rule}" for axis, solution in self.axes.items()]
        near = ", ".join(map(str, self.nearest)) or "no size fits every axis"
        return "\n".join([*lines, f"nearest {self.near}: {near}"])


@explain_misuse
def sizes(net: NetworkSource, near: int | None = None, input: str | None = None) -> Sizes:
    """Input sizes that fit exactly: no stride leaves a remainder, and no padding is used on one side only.

    net: a network, or what names one, as `striate.load` takes it; near: the size in pixels that answers should be close
    to, by default the input's own (its longest side); input: of several inputs, the one that is meant. Inputs of the
    same size change together, as the pair of a Siamese network does; the others stay as they are.

    Returns `Sizes`: `axes` has the rule of each axis ("h", "w"), `nearest` up to four sizes in pixels that fit all of
    them. Raises ShapeError when no input size gives the network an output, GraphError for several inputs and no name.
    Source: Dumoulin & Visin, arXiv 1603.07285, section 2; each stride is a congruence.

    >>> import striate as st
    >>> st.sizes("7x7x1 -> conv 3x3 /3")
    h: N = 0 mod 3, N >= 3
    w: N = 0 mod 3, N >= 3
    nearest 7: 3, 6, 9, 12
    """
    net = as_network(net)
    spec = net.inputs[net.input_name(input)]
    near = max(spec.spatial, default=0) if near is None else near
    group = _same_size_inputs(net, spec)
    reference, pinned = _reference(net, group)
    axes = {axis.lower(): _solve_axis(reference, pinned, axis, group) for axis in spec.spatial_axes}
    common: set[int] = set()
    if axes:
        first, *rest = axes.values()
        reach = 4
        if any(a != first for a in rest):
            # A size that fits all axes recurs with their common modulus: look four whole turns to either side.
            turns = lcm(*(a.modulus or 1 for a in axes.values())) // max(first.modulus, 1)
            reach = min(8 * turns * len(first.residues), 10_000)
        common = {n for n in first.nearest(near, reach) if all(a.fits(n) for a in rest)}
    return Sizes(axes, near, tuple(sorted(sorted(common, key=lambda n: (abs(n - near), n))[:4])))


def _same_size_inputs(net: Network, spec: TensorSpec) -> tuple[str, ...]:
    """The inputs of these axes and sizes; channels may differ."""
    return tuple(
        name for name, other in net.inputs.items() if (other.axes, other.spatial) == (spec.axes, spec.spatial)
    )


def _resize(net: Network, group: Sequence[str], sizes: Sequence[int]) -> Network:
    return net.with_input({name: (net.inputs[name].channels, *sizes) for name in group})


def _reference(net: Network, group: Sequence[str]) -> tuple[Network, bool]:
    """The network on a generous input, where no map is down to one pixel: its one-axis maps are read off there.

    Also says whether weights made for one size pin it to the input that it has.
    """
    best = None if net.inference.problems else net
    shape, pinned = net.inputs[group[0]].spatial, False
    for _ in range(12):
        shape = tuple(2 * n + 1 for n in shape)
        larger = _resize(net, group, shape)
        codes = {problem.code for problem in larger.inference.problems}
        if not codes:
            return larger, False
        if best is not None:
            pinned = "G004" in codes
            break
    if best is None:
        return _neighbor(net, group), False
    return best, pinned


def _neighbor(net: Network, group: Sequence[str]) -> Network:
    """The network on the next input, made generous, on which branches that do not meet on its own input meet."""
    sizes = net.inputs[group[0]].spatial
    for step in range(1, 2 * _MAX_STRIDE_PX + 1):
        shape = [n + step for n in sizes]
        next_one = _resize(net, group, shape)
        if not next_one.inference.problems:
            larger = _resize(net, group, [n * 8 for n in shape])
            return next_one if larger.inference.problems else larger
    raise net.inference.problems[0]


_Branch = tuple[Condition, dict[str, dict[str, SizeLaw]]]
"""A residue class of inputs, and for each value: axis -> size as a function of the input size."""


def _solve_axis(net: Network, pinned: bool, axis: str, group: Sequence[str]) -> AxisSizes:
    laws = {
        name: {axis: SizeLaw() if name in group else SizeLaw(Fraction(0), Fraction(spec.size(axis)))}
        for name, spec in net.inputs.items()
        if axis in spec.spatial_axes
    }
    branches: list[_Branch] = [(Condition(), laws)]
    last_use = {value: k for k, node in enumerate(net.nodes) for value in node.inputs}
    for at, node in enumerate(net.nodes):
        declaration = net.declarations[node.name]
        solved = [
            (agreed, {**table, **dict.fromkeys(node.outputs, laws)})
            for condition, table in branches
            for agreed, laws in _through(node, declaration, condition, table, pinned)
        ]
        if not solved:
            return AxisSizes(1, (), 0, (), f"no size fits {node.name} = {node.op} and what comes before it")
        dead = [value for value in node.inputs if last_use[value] == at]
        branches = [(c, {v: laws for v, laws in table.items() if v not in dead}) for c, table in solved]
        if len(branches) > _MAX_RESIDUE_CLASSES:
            return AxisSizes(
                1, (), 0, (), f"more than {_MAX_RESIDUE_CLASSES} classes of sizes at {node.name}"
            )
    return _summary([condition for condition, _ in branches])


def _through(
    node: Node,
    declaration: Declaration,
    condition: Condition,
    table: dict[str, dict[str, SizeLaw]],
    pinned: bool,
) -> list[tuple[Condition, dict[str, SizeLaw]]]:
    """Every way in which a node fits the inputs of one class, with the law of each of its output's axes."""
    if node.op.follows is not None:
        return _follow(condition, table.get(node.inputs[0], {}), table.get(node.inputs[node.op.follows], {}))
    ways: list[tuple[Condition, dict[str, list[SizeLaw]]]] = [(condition, {})]
    shifts: dict[str, int] = {}
    for port, (value, reading) in enumerate(zip(node.inputs, declaration.readings, strict=True)):
        for axis, law in table.get(value, {}).items():
            read = reading[axis]
            if read.axis is None:
                if pinned and not declaration.outputs[0].spatial_axes:
                    size = SizeLaw(Fraction(0), Fraction(declaration.inputs[port].size(axis)))
                    ways = [(c2, by_axis) for c, by_axis in ways if (c2 := c.equal(law, size))]
                continue  # Collapsed: one number comes out, whatever the size.
            if isinstance(read.map, Shift) and len(node.inputs) > 1:
                shifts[read.axis] = shifts.get(read.axis, 0) + 1
            ways = [
                (c2, by_axis | {read.axis: [*by_axis.get(read.axis, []), law2]})
                for c, by_axis in ways
                for law2, c2 in ([(law, c)] if read.map is None else solve(read.map, law, c))
            ]
    side_by_side = {axis for axis, count in shifts.items() if count == len(node.inputs)}
    return [
        (agreed, laws) for c, by_axis in ways for agreed, laws in _join(c, by_axis, side_by_side, declaration)
    ]


def _follow(
    condition: Condition, laws: Mapping[str, SizeLaw], reference: Mapping[str, SizeLaw]
) -> list[tuple[Condition, dict[str, SizeLaw]]]:
    """A crop fits where what it cuts away is not negative; an odd row more on one side is a matter of alignment."""
    agreed = [condition]
    for axis, law in reference.items():
        margin = SizeLaw(laws[axis].slope - law.slope, laws[axis].offset - law.offset)
        agreed = [narrowed for c in agreed for narrowed in c.at_least(margin, 0)]
    return [(c, dict(reference)) for c in agreed]


def _join(
    condition: Condition, by_axis: dict[str, list[SizeLaw]], side_by_side: set[str], declaration: Declaration
) -> Iterator[tuple[Condition, dict[str, SizeLaw]]]:
    """One law per axis of the output: branches must be equally long, or add up where they lie side by side."""
    laws: dict[str, SizeLaw] = {}
    agreed: Condition | None = condition
    for axis, branches in by_axis.items():
        laws[axis] = branches[0]
        if axis in side_by_side:
            # Each branch was shifted by what the others take up at the size it was declared for.
            total = declaration.outputs[0].size(axis)
            parts = [x.size(axis) for x in declaration.inputs]
            laws[axis] = SizeLaw(
                sum((law.slope for law in branches), Fraction(0)),
                sum((law.offset - (total - part) for law, part in zip(branches, parts)), Fraction(0)),
            )
            continue
        for other in branches[1:]:
            agreed = agreed and agreed.equal(branches[0], other)
    if agreed:
        yield agreed, laws


def _summary(conditions: list[Condition]) -> AxisSizes:
    single_sizes = sorted({c.residue for c in conditions if not c.modulus})
    moving = [c for c in conditions if c.modulus]
    if not moving:
        return AxisSizes(0, tuple(single_sizes), min(single_sizes, default=0), tuple(conditions))
    modulus = lcm(*(c.modulus for c in moving))
    residues = sorted({r for c in moving for r in range(c.residue, modulus, c.modulus)})
    smallest = min(c.smallest for c in conditions)
    return AxisSizes(modulus, tuple(residues), smallest, tuple(conditions))
