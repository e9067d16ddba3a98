"""A network's plan: what runs for which nodes, and how near to the machine's limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.views.text.numbers import digits, plural, size
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.engine.rows import Table

COLUMNS = (
    Column("node", fold=True),
    Column("algorithm"),
    Column("tile"),
    *(Column(title, "right") for title in ("tasks", "memory", "limit us", "us", "of limit")),
)


def draw(page: Page, title: str, table: Table) -> None:
    """`table`: what `striate.engine.rows` found."""
    page.title(title)
    page.line()
    rows = [
        Row(
            (
                " + ".join(row.nodes), row.algorithm, row.tile,
                f"{row.tasks}" if row.steps == 1 else f"{row.tasks} in {row.steps}",
                size(row.bytes), digits(1e6 * row.limit), digits(1e6 * row.seconds), _share(row.limit, row.seconds),
            )
        )
        for row in table.rows
    ]  # fmt: skip
    page.table(COLUMNS, rows)
    page.line()
    seconds, limit = sum(row.seconds for row in table.rows), sum(row.limit for row in table.rows)
    machine = table.machine
    speeds = ", ".join(digits(speed) for _, speed in machine.levels)
    page.fields(
        [
            (
                "time",
                f"{digits(1e3 * seconds)} ms; the limit is {digits(1e3 * limit)} ms ({_share(limit, seconds)})",
            ),
            ("work", f"{digits(sum(row.flops for row in table.rows) / 1e9)} GFLOP"),
            ("values", f"{size(table.arena)} that all steps share"),
            ("weights", f"{size(table.weights)} as they are packed"),
            ("code", f"{table.target}, {plural(table.threads, 'thread')}"),
            ("machine", f"{digits(machine.peak)} GFLOP/s; reads {speeds} GB/s from level 1, 2, 3 and memory"),
        ],
        indent=0,
    )
    page.line()
    page.line(
        "limit: the work at full speed, or its values read once from the nearest level that holds them and its weights "
        "from the one that holds all weights, whichever takes longer. Winograd's algorithm F(2x2), F(4x4) multiplies "
        "less than is counted."
    )


def _share(limit: float, seconds: float) -> str:
    return f"{limit / seconds:.0%}" if seconds > 0 else ""
