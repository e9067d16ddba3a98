"""What is in a dataset and what is wrong with it, on one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.diagnostics import Severity, plural
from striate.views.text.number_format import count
from striate.views.text.page import Column, Page, Row
from striate.views.text.rules import STYLES

MAX_LISTED_CLASSES = 30
"""Maximum number of classes listed in full; of more, the largest and smallest are shown."""
MAX_LISTED_NAMES = 5


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.data/1."""
    first, *rest = record["source"].splitlines()
    page.line([(first, "bold")])
    for line in rest:
        page.line(line.strip(), 2, 4)
    page.line()
    _parts(page, record)
    page.line()
    _classes(page, record)
    page.line()
    _findings(page, record)


def _parts(page: Page, record: Mapping[str, Any]) -> None:
    rows = []
    for part in record["parts"]:
        sizes = list(part["sizes"])
        size = ", ".join(sizes[:3]) + (f", and {len(sizes) - 3:,} more" if len(sizes) > 3 else "")
        mean = " ".join(f"{value:.3f}" for value in part["mean"])
        std = " ".join(f"{value:.3f}" for value in part["std"])
        rows.append(Row((part["name"], count(part["images"]), size, str(part["channels"]), mean, std)))
    columns = (
        Column("part"),
        Column("images", "right"),
        Column("sizes", fold=True),
        Column("channels", "right"),
        Column("mean"),
        Column("deviation"),
    )
    page.table(columns, rows, indent=2)


def _classes(page: Page, record: Mapping[str, Any]) -> None:
    parts = record["parts"]
    totals = {name: sum(part["classes"].get(name, 0) for part in parts) for name in record["classes"]}
    order = list(totals)
    if len(order) > MAX_LISTED_CLASSES:
        order = sorted(order, key=lambda name: -totals[name])
        order = [*order[: MAX_LISTED_CLASSES // 2], *order[-MAX_LISTED_CLASSES // 2 :]]
    most = max(totals.values(), default=0)
    rows = []
    for name in order:
        numbers = [count(part["classes"].get(name, 0)) for part in parts]
        bar = "█" * round(20 * totals[name] / most) if most else ""
        rows.append(Row((name, *numbers, [(bar, "cyan")])))
    columns = [
        Column("class", fold=True),
        *(Column(part["name"], "right") for part in parts),
        Column(""),
    ]
    page.table(columns, rows, indent=2)
    if len(totals) > len(order):
        page.line(f"largest and smallest of {plural(len(totals), 'class', 'classes')}; --json lists all", 2)


def _findings(page: Page, record: Mapping[str, Any]) -> None:
    if not record["findings"]:
        page.line([("nothing found: ", "green"), "all images can be read, no duplicates"])
        return
    for finding in record["findings"]:
        severity = Severity(finding["severity"])
        page.line([(f"{severity.value:<8}", f"bold {STYLES[severity]}"), f" {finding['message']}"], 0, 9)
        for name in finding["names"][:MAX_LISTED_NAMES]:
            page.line(name, 9, 11)
        more = finding["count"] - min(len(finding["names"]), MAX_LISTED_NAMES)
        if finding["names"] and more > 0:
            page.line([(f"and {more:,} more", "dim")], 9)
