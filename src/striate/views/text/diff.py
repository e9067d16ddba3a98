"""Two networks, or one at two input sizes: what changed, node by node, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.text.number_format import count, inputs, lacking, per_axis, short, size, unknown
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.views.schemas.networks import ChangedNode, Diff, DiffSide, Finding, LoneNode

COLUMNS = (
    Column("node", fold=True),
    Column("op", fold=True),
    Column("output", fold=True),
    Column("params", fold=True),
    Column("MACs", fold=True),
    Column("field", fold=True),
)


def draw(page: Page, record: Diff) -> None:
    """record: striate.diff/1."""
    a, b = record["a"], record["b"]
    page.line([("A  ", "red"), (a["name"], "bold"), f"  {inputs(a)}"])
    page.line([("B  ", "green"), (b["name"], "bold"), f"  {inputs(b)}"])
    page.line()
    rows = [
        *(_row(change) for change in record["changed"]),
        *_only(record["removed"], "-", "red"),
        *_only(record["added"], "+", "green"),
    ]
    if rows:
        columns = [k for k in range(len(COLUMNS)) if k == 0 or any(row.cells[k] for row in rows)]
        page.table(
            [COLUMNS[k] for k in columns],
            [Row([row.cells[k] for k in columns], row.notes, row.style) for row in rows],
        )
    else:
        page.line("no node differs")
    if record["unchanged"]:
        page.line([(f"{plural(record['unchanged'], 'node')} unchanged", "dim")])
    page.line()
    _totals(page, a, b)
    for title, findings, mark, style in (
        ("findings only in A", record["gone"], "- ", "green"),
        ("findings only in B", record["come"], "+ ", "red"),
    ):
        if findings:
            page.line()
            page.line([(title, "bold")])
            for text in _findings(findings):
                page.line([(mark, style), text], 2, 4)


def _row(change: ChangedNode) -> Row:
    facts = change["facts"]
    name = change["a"] if change["a"] == change["b"] else f"{change['a']} → {change['b']}"
    fit: dict[str, list[str]] = {}
    for axis, text in _window(facts.get("window")):
        fit.setdefault(text, []).append(axis)
    notes = [f"{' and '.join(axes)}: {text}" for text, axes in fit.items()]
    notes += [
        f"{field}: {_arrow(facts, field, _sharing)}"
        for field in ("shares", "fixed", "frozen")
        if field in facts
    ]
    return Row(
        (
            name,
            _arrow(facts, "text", str),
            _arrow(facts, "sizes", ", ".join),
            _arrow(facts, "params", short),
            _arrow(facts, "macs", short),
            _arrow(facts, "field", lambda field: per_axis(list(field.values())) or "all"),
        ),
        [[(note, "dim")] for note in notes],
    )


def _arrow(facts: Mapping[str, Any], key: str, form: Any) -> str:
    if key not in facts:
        return ""
    before, after = map(form, facts[key])
    return f"{before} → {after}" if before != after else ""


def _sharing(value: Any) -> str:
    """A node's shared, constant or frozen parameters, as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {full}" for name, full in value.items())
    return (value if isinstance(value, str) else ", ".join(value)) or "none"


FIT = ("lost", "wasted_padding", "overhang")


def _window(pair: list[dict[str, Any]] | None) -> Iterator[tuple[str, str]]:
    """How the fit of a window changed: lost rows, padding on one side, overhang."""
    one, other = pair or ({}, {})
    for axis, before in one.items():
        if after := other.get(axis):
            changes = [
                f"{key.replace('_', ' ')} {before[key]} → {after[key]}"
                for key in FIT
                if before[key] != after[key]
            ]
            if changes:
                yield axis, ", ".join(changes)


def _only(nodes: list[LoneNode], mark: str, style: str) -> Iterator[Row]:
    for node in nodes:
        cost = (short(number) if number else "" for number in (node["params"], node["macs"]))
        cells = (f"{mark} {node['name']}", node["text"], ", ".join(node["sizes"]), *cost, "")
        yield Row(cells, (), style)


def _totals(page: Page, a: DiffSide, b: DiffSide) -> None:
    rows = []
    old: Mapping[str, Any] = a["totals"]
    new: Mapping[str, Any] = b["totals"]
    kinds = (("params", "params", count), ("MACs", "macs", count), ("activations", "activation_bytes", size),
             ("peak memory", "peak_bytes", size), ("peak in training", "training_peak_bytes", size))  # fmt: skip
    for label, key, form in kinds:
        before, after = old[key], new[key]
        more = {"params": "params", "macs": "macs"}.get(key, "memory")
        cells = (f"{'at least ' if unknown(r, more) else ''}{form(n)}" for r, n in ((a, before), (b, after)))
        rows.append(Row((label, *cells, _percent(before, after))))
    page.table([Column("total"), Column("A", "right"), Column("B", "right"), Column("change", "right")], rows)
    for name, side in (("A", a), ("B", b)):
        if note := lacking(side, "params", "macs", "memory"):
            page.line(f"{name}{note.replace(';', ':')}")
    if a["convention"] != b["convention"]:
        page.line(f"counted differently: {a['convention']} / {b['convention']}")


def _percent(before: int, after: int) -> str:
    if before == after:
        return "="
    if before and after >= 10 * before:
        return f"x{after / before:,.0f}"
    return f"{100 * (after - before) / before:+.1f}%" if before else "new"


def _findings(findings: list[Finding]) -> Iterator[str]:
    """One line for each code, with the nodes."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding["code"], []).append(finding)
    for code, members in groups.items():
        nodes = ", ".join(str(f["node"] or "network") for f in members[:3])
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        yield f"{code} {members[0]['message']} ({nodes}{more})"
