"""The catalogue as a timeline: families in the order in which they appeared, what was new, and their networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.number_format import count, shape
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.views.schemas.lists import ModelEntry

COLUMNS = (
    Column("name", fold=True),
    Column("params", "right"),
    Column("GMACs", "right"),
    Column("input", "right"),
)


def draw(page: Page, rows: Sequence[ModelEntry]) -> None:
    """rows: the records of the models, oldest first."""
    page.line([("columns: name, parameters, 1e9 multiply-accumulates, input", "dim")])
    page.line()
    for number, (_, family) in enumerate(groupby(rows, key=lambda row: (row["year"], row["family"]))):
        members = list(family)
        first = members[0]
        if number:
            page.line()
        page.line([(f"{first['year']}  ", "cyan"), (first["family"], "bold"), f"  {first['new']}"], 0, 6)
        page.line([(first["paper"], "dim"), (f"  {first['url']}" if first["url"] else "", "dim")], 6)
        table = [
            Row(
                (
                    row["name"],
                    count(row["params"]) if row["params"] is not None else "",
                    f"{row['gmacs']:g}" if row["gmacs"] is not None else "",
                    shape(row["input"]),
                )
            )
            for row in members
        ]
        page.table(COLUMNS, table, head=False, indent=6)
    families = {(row["year"], row["family"]) for row in rows}
    page.line()
    page.line([(f"{plural(len(rows), 'model')} of {plural(len(families), 'family', 'families')}", "dim")])
