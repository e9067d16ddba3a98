"""MACs under every convention, op by op, and why the tools disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.number_format import count, inputs, short
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.views.schemas.networks import Costs


def draw(page: Page, record: Costs) -> None:
    """record: striate.cost/1."""
    names = list(record["conventions"])
    page.line(
        [(record["name"], "bold"), f"  {inputs(record)}: MACs under {len(record['conventions'])} conventions"]
    )
    page.line()
    columns = [Column("op", fold=True), *(Column(name, "right") for name in names)]
    rows: list[Row] = []
    for form in (count, short):
        rows = [
            Row((row["op"], *(form(row["macs"][name]) if row["macs"][name] else "" for name in names)))
            for row in record["ops"]
            if any(row["macs"].values())
        ]
        rows.append(Row(("total", *(form(record["totals"][name]) for name in names)), style="bold"))
        if page.fits(columns, rows):
            break
    page.table(columns, rows)
    if names := record["unknown"]:
        page.line(f"at least: {plural(len(names), 'node')} unknown")
    page.line()
    page.line([("where a tool differs from striate", "bold")])
    for row in record["ops"]:
        for name, reason in row["reasons"].items():
            page.line([(f"{row['op']}, {name}", "dim"), f": {reason}"], 2, 4)
    page.line()
    page.fields([(name, sentence) for name, sentence in record["conventions"].items()], indent=0)
