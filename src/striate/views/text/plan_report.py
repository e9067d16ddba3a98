"""A network's plan: the kernels that run for each node, and their speed compared with the machine's limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.number_format import digits, size
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.engine.runtime.plan_report import PlanReport
    from striate.engine.runtime.plan_report import PlanRow as Facts
    from striate.engine.training.training_report import TrainingReport

COLUMNS = (
    Column("node", fold=True),
    Column("algorithm"),
    Column("tile"),
    *(Column(title, "right") for title in ("tasks", "memory", "limit us", "us", "of limit")),
)


def draw(page: Page, title: str, table: PlanReport) -> None:
    """table: the report of `striate.engine.runtime.plan_report`."""
    page.title(title)
    page.line()
    _rows(page, table.rows)
    page.line()
    page.fields(
        [
            ("time", _time(table.rows)),
            ("work", _work(table.rows)),
            ("values", f"{size(table.arena)} shared by all steps"),
            ("weights", f"{size(table.weights)} packed"),
            *_machine(table),
        ],
        indent=0,
    )
    _legend(page)


def draw_training(page: Page, title: str, table: TrainingReport) -> None:
    """table: the report of `striate.engine.training.training_report`."""
    page.title(title)
    for what, rows in (("forward", table.forward), ("the backward pass", table.backward)):
        page.line()
        page.line(what)
        page.line()
        _rows(page, rows)
    page.line()
    more = (
        [("again", f"{plural(table.again, 'unit')} of the forward pass, recomputed in the backward pass")]
        if table.again
        else []
    )
    page.fields(
        [
            ("time", f"forward {_time(table.forward)}; back {_time(table.backward)}"),
            ("work", f"forward {_work(table.forward)}, back {_work(table.backward)}"),
            (
                "values",
                f"{size(table.arena)} shared by all steps; {size(table.kept)} of it are kept for the backward "
                f"pass, {size(table.parameters)} are gradients at the end",
            ),
            *more,
            ("scratch", f"{size(table.scratch)}: scratch of the threads, and weights that stay packed"),
            (
                "weights",
                f"{size(table.weights)}, and {size(table.parameters)} for each moment of the optimizer",
            ),
            (
                "together",
                f"{size(table.total)} with one moment (sgd), {size(table.total + table.parameters)} with two",
            ),
            *_machine(table),
        ],
        indent=0,
    )
    _legend(page)


def _rows(page: Page, rows: Sequence[Facts]) -> None:
    page.table(
        COLUMNS,
        [
            Row(
                (
                    " + ".join(row.nodes), row.algorithm, row.tile,
                    f"{row.tasks}" if row.steps == 1 else f"{row.tasks} in {row.steps}",
                    size(row.bytes), digits(1e6 * row.limit), digits(1e6 * row.seconds),
                    _share(row.limit, row.seconds),
                )
            )
            for row in rows
        ],
    )  # fmt: skip


def _time(rows: Sequence[Facts]) -> str:
    seconds, limit = sum(row.seconds for row in rows), sum(row.limit for row in rows)
    return f"{digits(1e3 * seconds)} ms; the limit is {digits(1e3 * limit)} ms ({_share(limit, seconds)})"


def _work(rows: Sequence[Facts]) -> str:
    return f"{digits(sum(row.flops for row in rows) / 1e9)} GFLOP"


def _machine(table: PlanReport | TrainingReport) -> list[tuple[str, str]]:
    machine = table.machine
    speeds = ", ".join(digits(speed) for _, speed in machine.levels)
    return [
        ("code", f"{table.target}, {plural(table.threads, 'thread')}"),
        ("machine", f"{digits(machine.peak)} GFLOP/s; reads {speeds} GB/s from level 1, 2, 3 and memory"),
    ]


def _legend(page: Page) -> None:
    page.line()
    page.line(
        "limit: the work at full speed, or its values read once from the nearest level that holds them and its weights "
        "from the one that holds all weights, whichever takes longer. For Winograd's algorithm F(2x2), F(4x4) it "
        "counts the products that the algorithm needs, and the work those of the direct sum."
    )


def _share(limit: float, seconds: float) -> str:
    return f"{limit / seconds:.0%}" if seconds > 0 else ""
