"""What a network costs under a named convention, and why the tools disagree, line by line.

`macs` gives the number another tool would print; `reconcile` lays the conventions side by side, per node, with
the reason for each difference in words that are derived from the conventions' tables (`conventions.py`).

The conventions assume that every op is a module, as in most PyTorch code. Where a model writes it otherwise,
name the nodes: `functions` are called as `F.relu(x)`, `expressions` use tensor methods, as `x.mean((2, 3))`.
All counts are per image. Nodes that cannot be computed (see `striate check`) count nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from striate.analysis.conventions import CONVENTIONS, QUANTITIES, STRIATE, Case, Convention, Count
from striate.diagnostics import UnknownNameError, plural, suggest
from striate.network import Network, Node
from striate.op import Declaration

NOTHING = Count()


@dataclasses.dataclass(frozen=True, slots=True)
class CostRow:
    """One node (or, in a summary, all nodes of one op word) under every convention.

    counts: convention -> count. `differences` (from Striate's own count) and `reasons` hold only the conventions
    that differ from it.
    """

    node: str
    op: str
    counts: Mapping[str, int]
    reasons: Mapping[str, str]

    @property
    def differences(self) -> dict[str, int]:
        ours = self.counts[STRIATE.name]
        return {name: count - ours for name, count in self.counts.items() if count != ours}


@dataclasses.dataclass(frozen=True, slots=True)
class Reconciliation:
    """The whole table. `summary` adds the rows up per op word, most different first: it explains `totals`."""

    conventions: tuple[str, ...]
    rows: tuple[CostRow, ...]

    @property
    def totals(self) -> dict[str, int]:
        return {name: sum(row.counts[name] for row in self.rows) for name in self.conventions}

    @property
    def summary(self) -> tuple[CostRow, ...]:
        groups: dict[str, list[CostRow]] = {}
        for row in self.rows:
            groups.setdefault(row.op, []).append(row)
        sums = (
            CostRow(
                plural(len(rows), "node") if len(rows) > 1 else rows[0].node,
                op,
                {name: sum(row.counts[name] for row in rows) for name in self.conventions},
                {
                    name: " · ".join(dict.fromkeys(row.reasons[name] for row in rows if name in row.reasons))
                    for name in self.conventions
                    if any(name in row.reasons for row in rows)
                },
            )
            for op, rows in groups.items()
        )
        return tuple(sorted(sums, key=lambda row: -max(map(abs, row.differences.values()), default=0)))


def convention(name: str) -> Convention:
    """The convention of that name. Raises UnknownNameError."""
    if name not in CONVENTIONS:
        nearest = suggest(name, CONVENTIONS)
        raise UnknownNameError(
            f"unknown convention {name!r}",
            where="macs convention",
            why=f"the conventions are {', '.join(CONVENTIONS)}",
            fix=f"did you mean {nearest}?" if nearest else "use one of them",
        )
    return CONVENTIONS[name]


def macs(
    net: Network,
    convention_name: str = STRIATE.name,
    *,
    functions: Collection[str] = (),
    expressions: Collection[str] = (),
) -> int:
    """Total count of a network, per image. Raises UnknownNameError for an unknown convention or node.

    >>> from striate.formats import parse
    >>> net = parse("32x32x3 -> conv 5x5 6 -> relu")
    >>> macs(net), macs(net, "ptflops")     # 28·28·6 outputs: 75 products each; ptflops: + 1 bias, + 2 relu
    (352800, 366912)
    """
    return sum(macs_by_node(net, convention_name, functions=functions, expressions=expressions).values())


def macs_by_node(
    net: Network,
    convention_name: str = STRIATE.name,
    *,
    functions: Collection[str] = (),
    expressions: Collection[str] = (),
) -> dict[str, int]:
    """Count of each node, in topological order."""
    tool = convention(convention_name)
    spelling = _spelling(net, functions, expressions)
    return {
        site.node.name: site.amount(_rule(tool, site, spelling.get(site.node.name, "module")))
        for site in _sites(net)
    }


def reconcile(
    net: Network,
    conventions: Sequence[str] = tuple(CONVENTIONS),
    *,
    functions: Collection[str] = (),
    expressions: Collection[str] = (),
) -> Reconciliation:
    """Every node under every convention, with the reasons where they differ from Striate's own count."""
    tools = [convention(name) for name in dict.fromkeys([STRIATE.name, *conventions])]
    spelling = _spelling(net, functions, expressions)
    rows = []
    for site in _sites(net):
        form = spelling.get(site.node.name, "module")
        rules = {c.name: _rule(c, site, form) for c in tools}
        counts = {name: site.amount(rule) for name, rule in rules.items()}
        ours = counts[STRIATE.name]
        reasons = {
            name: _reason(rules[STRIATE.name], rule, form)
            for name, rule in rules.items()
            if counts[name] != ours
        }
        rows.append(CostRow(site.node.name, site.node.op.word, counts, reasons))
    return Reconciliation(tuple(c.name for c in tools), tuple(rows))


@dataclasses.dataclass(frozen=True, slots=True)
class _Site:
    """A node with what is known of it."""

    node: Node
    declaration: Declaration

    def amount(self, rule: Count) -> int:
        return sum(times * self.quantity(name) for name, times in rule.terms().items())

    def quantity(self, name: str) -> int:
        """The quantity of that name, see `Count`."""
        first, outputs = self.declaration.inputs[0], self.declaration.outputs
        produced = sum(spec.elements for spec in outputs)
        shapes = {parameter.name: parameter.shape for parameter in self.declaration.parameters}
        match name:
            case "products":
                return self.declaration.macs
            case "taps":  # weight (C, K / groups, *kernel) of a transposed convolution
                weight = shapes["weight"]
                groups = outputs[0].channels // weight[1]
                return produced * weight[0] // groups * math.prod(weight[2:])
            case "bias":
                return produced if "bias" in shapes else 0
            case "inputs":
                return first.elements
            case "outputs":
                return produced
            case "rows":
                return first.elements // first.size(getattr(self.node.op, "axis", "C"))
            case "halo":
                size = getattr(self.node.op, "size", 1)
                return first.elements // first.channels * (first.channels + int(size) - 1)
        raise AssertionError(name)


def _sites(net: Network) -> Iterator[_Site]:
    inference = net.inference
    for node in net.nodes:
        if node.name in inference.declarations:
            yield _Site(node, inference.declarations[node.name])


def _rule(tool: Convention, site: _Site, form: str) -> Count:
    """The count that a convention's table gives for a node."""
    table = tool.modules
    if form == "function" and tool.functions is not None:
        table = tool.functions
    entry = table.get(site.node.op.word, NOTHING)
    while isinstance(entry, Case):
        spatial = len(site.declaration.inputs[0].spatial)
        value = spatial if entry.field == "spatial" else getattr(site.node.op, entry.field)
        entry = entry.counts.get(value, NOTHING)
    return Count(products=entry.products) if form == "expression" else entry


def _reason(ours: Count, theirs: Count, form: str) -> str:
    """Why a tool's count differs from ours, in words."""
    if not theirs.terms():
        return f"written as {form}: not seen" if form != "module" else "not counted"
    change = {
        name: times
        for name in QUANTITIES
        if (times := theirs.terms().get(name, 0) - ours.terms().get(name, 0))
    }
    words = ", ".join(f"{times:+d} {QUANTITIES[name]}" for name, times in change.items())
    return f"{words} ({theirs.note})" if theirs.note else words


def _spelling(net: Network, functions: Collection[str], expressions: Collection[str]) -> dict[str, str]:
    spelling = dict.fromkeys(functions, "function") | dict.fromkeys(expressions, "expression")
    names = {node.name for node in net.nodes}
    for name in spelling:
        if name not in names:
            nearest = suggest(name, names)
            raise UnknownNameError(
                f"{net.name} has no node {name!r}",
                where="macs functions and expressions",
                fix=f"did you mean {nearest}?" if nearest else "use a name that `striate show` lists",
            )
    return spelling
