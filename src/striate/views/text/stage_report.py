"""The stages of a plan: the units of a network, where its buffers lie, what runs image by image, and the arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.number_format import size
from striate.views.text.page import Column, Page, Row

if TYPE_CHECKING:
    from striate.engine.runtime.stage_report import BufferRow, CallRow, MemoryRow, UnitRow


def draw_units(page: Page, title: str, rows: Sequence[UnitRow]) -> None:
    """Nodes fused into units."""
    page.title(title)
    page.line()
    names = ("node", "computes", "applied before the store", "reads", "writes")
    page.table(
        [Column(name, fold=True) for name in names],
        [
            Row(
                (
                    " + ".join(row.nodes), row.body, row.applied, ", ".join(row.reads),
                    ", ".join(row.writes),
                )
            )
            for row in rows
        ],
    )  # fmt: skip
    page.line()
    nodes = sum(len(row.nodes) for row in rows)
    page.line(f"{plural(nodes, 'node')} in {plural(len(rows), 'unit')}.")


def draw_buffers(page: Page, title: str, rows: Sequence[BufferRow]) -> None:
    """Where buffers lie."""
    page.title(title)
    page.line()
    page.table(
        (
            Column("buffer", fold=True), Column("shape"), Column("lanes", "right"), Column("part of", fold=True),
            Column("border"), Column("memory", "right"),
        ),
        [
            Row(
                (
                    row.name, "x".join(map(str, row.shape)), f"{row.lanes}",
                    f"{row.home}, from channel {row.first}" if row.home else "",
                    " ".join(map(str, row.border)) if any(row.border) else "", size(row.bytes),
                )
            )
            for row in rows
        ],
    )  # fmt: skip
    page.line()
    page.line(
        "lanes: channels that lie side by side; 1 is plain order. border: top, bottom, left, right. A part lies in the "
        "memory of its buffer and has its border."
    )


def draw_spans(page: Page, title: str, rows: Sequence[CallRow], images: int) -> None:
    """Which calls run image by image."""
    page.title(title)
    page.line()
    page.table(
        (
            Column("node", fold=True), Column("algorithm"), Column("tile"), Column("span", "right"),
            Column("one image at a time", fold=True), Column("weights", "right"),
        ),
        [
            Row(
                (
                    " + ".join(row.nodes), row.algorithm, row.tile,
                    "" if row.span is None else f"{row.span}", ", ".join(row.slots),
                    size(row.weights) if row.weights else "",
                )
            )
            for row in rows
        ],
    )  # fmt: skip
    page.line()
    spans = len({row.span for row in rows} - {None})
    page.line(
        f"{plural(spans, 'span')}: the calls of a span run for one of {plural(images, 'image')} after another, and the "
        "buffers between them hold one image."
        if spans
        else f"All calls run for the whole batch of {plural(images, 'image')}."
    )


def draw_memory(page: Page, title: str, rows: Sequence[MemoryRow], arena: int) -> None:
    """The arena: which buffers share memory."""
    page.title(title)
    page.line()
    page.table(
        (
            Column("buffer", fold=True), Column("offset", "right"), Column("memory", "right"),
            Column("epochs", "right"),
        ),
        [
            Row(
                (
                    row.name, f"{row.offset:,}", size(row.bytes),
                    f"{row.first}" if row.first == row.last else f"{row.first} to {row.last}",
                )
            )
            for row in rows
        ],
    )  # fmt: skip
    page.line()
    total = sum(row.bytes for row in rows)
    page.line(
        f"{size(total)} of buffers in an arena of {size(arena)}. Calls of one epoch run at the same time."
    )
