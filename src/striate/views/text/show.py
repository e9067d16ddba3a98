"""The table of `striate show`: one row for each node, its findings under it, then the totals.

On a narrow screen node names hang under their scope (`layer1.0`), counts are abbreviated, and below about 60 columns
every node gets a short paragraph instead of a row. Nothing is ever truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.text.folding import Blocks, fold_blocks
from striate.views.text.number_format import (
    count,
    inputs,
    lacking,
    per_axis,
    shape,
    short,
    size,
    total,
    unknown,
)
from striate.views.text.page import HOLD, Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.views.schemas.networks import Finding, Show, ShownNode
    from striate.views.text.folding import Item

MARKS = {"error": ("!", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}
NARROW_COLUMNS = 60


@dataclass(frozen=True)
class _Form:
    """Form of the table: whether names stand under their scope, how params and MACs are written, the gap of columns."""

    scoped: bool = True
    params: Callable[[int], str] = count
    macs: Callable[[int], str] = count
    gap: int = 2
    filters: bool = False
    codes: bool = False


FORMS = (
    _Form(scoped=False, filters=True, codes=True),
    _Form(scoped=False, filters=True),
    _Form(scoped=False),
    _Form(),
    _Form(macs=short),
    _Form(macs=short, gap=1),
    _Form(params=short, macs=short, gap=1),
)
"""Tables from roomy to tight; the first that fits is drawn."""
MAX_NAMED_NODES = 3
"""Inputs of a merge named in its note; the others are counted."""


def draw(page: Page, record: Show, fold: bool = False) -> None:
    """record: striate.show/1; fold: write repeated blocks in one line."""
    items = list(fold_blocks(record)) if fold else record["nodes"]
    drawn = len(record["nodes"])
    all_nodes = drawn + len({problem["node"] for problem in record["problems"]}) + len(record["unreached"])
    counted = f"{drawn} of " if drawn < all_nodes else ""
    page.line([(record["name"], "bold"), f"  {inputs(record)}, {counted}{plural(all_nodes, 'node')}"])
    page.line()
    if not record["nodes"]:
        page.line("the first node has no output")
    elif page.terminal.width < NARROW_COLUMNS:
        _paragraphs(page, record, items)
    else:
        _table(page, record, items)
    page.line()
    _totals(page, record)


# -- the table ------------------------------------------------------------------------------------------------


def _table(page: Page, record: Show, items: Sequence[Item]) -> None:
    for form in FORMS:
        columns, rows = _columns(form), list(_rows(record, items, form))
        if page.fits(columns, rows, form.gap):
            break
    page.table(columns, rows, form.gap)


def _columns(form: _Form) -> list[Column]:
    return [
        Column("node", fold=True),
        Column("op", fold=True),
        *([Column("filter", "right")] if form.filters else []),
        *(Column(title, "right") for title in ("output", "params", "MACs", "field", "memory")),
        *([Column("codes")] if form.codes else []),
    ]


def _rows(record: Show, items: Sequence[Item], form: _Form) -> Iterator[Row]:
    findings = _by_node(record)
    before, scope = "input", ""
    for node in items:
        if isinstance(node, Blocks):
            yield Row(notes=[_blocks(node)])
            before, scope = node.last["name"], ""
            continue
        name = node["name"]
        if form.scoped:
            inside, _, leaf = name.rpartition(".")
            if inside != scope:
                scope = inside
                if scope:
                    yield Row(notes=[[(scope, "bold")]])
            name = f"  {leaf}" if scope else leaf
        of_node = findings.get(node["name"], [])
        bad = [f for f in of_node if f["severity"] != "info"]
        cells: list[Text] = [name, node["text"]]
        if form.filters:
            cells.append(shape(node["filter"]) if node["filter"] else "")
        cells += [
            [(_output(node), MARKS[bad[0]["severity"]][1] if bad else "")],
            form.params(node["params"]) if node["params"] else "",
            form.macs(node["macs"]) if node["macs"] else "",
            _field(node),
            size(node["activation_bytes"]),
        ]
        if form.codes:
            cells.append([(" ".join(dict.fromkeys(f["code"] for f in of_node)), "dim")])
        yield Row(cells, [*_inputs(node, before), *_parameter_notes(node), *_notes(node, bad)])
        before = node["name"]


def _blocks(item: Blocks) -> Text:
    """The line that stands for repeated blocks."""
    first, last = item.names[0], item.names[-1]
    names = first if first == last else f"{first} … {last}"
    what = (
        f"the same as {item.like}" if first == last else f"{len(item.names)} blocks the same as {item.like}"
    )
    cost = f"{short(item.params)} params, {short(item.macs)} MACs"
    return [(names, "bold"), f"  {what}: {cost}, field up to {_field(item.last)}"]


def _output(node: ShownNode) -> str:
    return ", ".join(node["sizes"])


def _field(node: ShownNode) -> str:
    return per_axis([field["size"] for field in node["receptive_field"].values()]) or "all"


def _inputs(node: ShownNode, before: str) -> Iterator[Text]:
    """The inputs of a node, unless the only one is the row above."""
    inputs = node["inputs"]
    if inputs == [before]:
        return
    names = ", ".join(inputs[:MAX_NAMED_NODES]) if len(inputs) > MAX_NAMED_NODES + 1 else ", ".join(inputs)
    more = f" and {len(inputs) - MAX_NAMED_NODES} more" if len(inputs) > MAX_NAMED_NODES + 1 else ""
    yield [(f"← {names}{more}", "dim")]


def _parameter_notes(node: ShownNode) -> Iterator[Text]:
    """Notes about parameters: shared, constant, not trained."""
    shares = node["shares"]
    if isinstance(shares, str) and shares:
        yield [(f"shares the parameters of {shares}", "dim")]
    elif shares:
        yield [(f"shares {', '.join(f'{full} as its {name}' for name, full in shares.items())}", "dim")]
    if node["fixed"]:
        yield [(f"constant: {', '.join(node['fixed'])}", "dim")]
    if node["frozen"]:
        yield [(f"not trained: {', '.join(node['frozen'])}", "dim")]


def _notes(node: ShownNode, findings: Sequence[Finding]) -> Iterator[Text]:
    for finding in findings:
        mark, style = MARKS[finding["severity"]]
        sums = " · ".join(dict.fromkeys(_arithmetic(node, finding)))
        yield [(f"{mark} {finding['code']} ", style), f"{finding['message']}" + (f": {sums}" if sums else "")]


def _arithmetic(node: ShownNode, finding: Finding) -> Iterator[str]:
    """`(7 + 0 - 3)/3 + 1 = 2.33 -> 2!` for each axis whose remainder costs something."""
    if finding["code"][0] in "GPU":
        for window in node["window"].values():
            if window and (window["lost"] or window["wasted_padding"]):
                yield f"{window['formula']} -> {window['output']}!"


def _by_node(record: Show) -> dict[str, list[Finding]]:
    findings: dict[str, list[Finding]] = {}
    for finding in record["findings"]:
        findings.setdefault(finding["node"] or "", []).append(finding)
    return findings


# -- narrow screens -------------------------------------------------------------------------------------------


def _paragraphs(page: Page, record: Show, items: Sequence[Item]) -> None:
    findings = _by_node(record)
    before = "input"
    for node in items:
        if isinstance(node, Blocks):
            page.line(_blocks(node), 0, 2)
            before = node.last["name"]
            continue
        bad = [f for f in findings.get(node["name"], ()) if f["severity"] != "info"]
        page.line([(node["name"], "bold"), f"  {node['text']}"], 0, 2)
        facts = [_output(node)]
        facts += [f"{short(node['params'])} params"] if node["params"] else []
        facts += [f"{short(node['macs'])} MACs"] if node["macs"] else []
        facts += [f"field {_field(node)}", size(node["activation_bytes"])]
        page.line(" · ".join(fact.replace(" ", HOLD) for fact in facts), 2)
        for note in (*_inputs(node, before), *_parameter_notes(node), *_notes(node, bad)):
            page.line(note, 2, 4)
        before = node["name"]


# -- the end --------------------------------------------------------------------------------------------------


def _totals(page: Page, record: Show) -> None:
    for problem in record["problems"]:
        page.line(
            [("✗ ", "red"), (f"{problem['code']} {problem['node']}", "bold"), f": {problem['message']}"], 0, 2
        )
        reasons = (("where", problem["where"]), ("why", problem["why"]))
        page.fields([(label, text) for label, text in reasons if text])
        if problem["fixes"]:
            page.fields([("fix  ", " · ".join(fix["text"] for fix in problem["fixes"]))])
    if record["unreached"]:
        names = ", ".join(record["unreached"][:MAX_NAMED_NODES])
        more = (
            f" and {len(record['unreached']) - MAX_NAMED_NODES} more"
            if len(record["unreached"]) > MAX_NAMED_NODES
            else ""
        )
        page.line(f"not analyzed: {names}{more}", 2, 4)
    page.fields(
        [
            ("params", total(record, "params")),
            ("MACs", total(record, "macs")),
            ("memory", _memory(record)),
            ("counting", record["convention"]),
            *_summary(record),
        ],
        indent=0,
    )


def _memory(record: Show) -> str:
    totals, prefix = record["totals"], "at least " if unknown(record, "memory") else ""
    return (
        f"{prefix}{size(totals['activation_bytes'])} of activations, peak {size(totals['peak_bytes'])} "
        f"(training {size(totals['training_peak_bytes'])}), for one image{lacking(record, 'memory')}"
    )


def _summary(record: Show) -> Iterator[tuple[str, Text]]:
    """How many findings, by severity, with their codes."""
    pieces: list[Any] = []
    for severity, (_, style) in MARKS.items():
        findings = [f for f in record["findings"] if f["severity"] == severity]
        if findings:
            number = f"{len(findings)} info" if severity == "info" else plural(len(findings), severity)
            pieces += [", "] if pieces else []
            pieces += [(number, style), f" ({', '.join(sorted({f['code'] for f in findings}))})"]
    if pieces:
        yield "findings", [*pieces, "; `striate check` explains them"]
