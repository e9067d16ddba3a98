"""How fast a network runs: a row for each tool, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.views.text.numbers import digits, plural, shape
from striate.views.text.page import Column, Page, Row

MOST_NODES = 10
BAR = 20
OURS = ("striate", "numpy")


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.bench/1."""
    page.title(
        f"{record['model']}, input {shape(record['input'])}, batch {record['batch']}, "
        f"{plural(record['threads'], 'thread')}"
    )
    page.line()
    draw_tools(page, record)
    for entry in record["left_out"]:
        page.line([(f"without {entry['name']}: {entry['why']}", "dim")], 2, 4)
    if record["not_installed"]:
        names = ", ".join(entry["name"] for entry in record["not_installed"])
        lacks = dict.fromkeys(package for entry in record["not_installed"] for package in entry["packages"])
        page.line([(f"not installed: {names} (they need {', '.join(lacks)})", "dim")], 2, 4)
    page.line()
    draw_nodes(page, record)


def draw_tools(page: Page, record: Mapping[str, Any]) -> None:
    """Times in milliseconds, fastest first; `times` says how often longer than the fastest."""
    tools = sorted(record["tools"], key=lambda row: row["median"])
    columns = [
        Column("tool", fold=True),
        *(Column(title, "right") for title in ("median ms", "min", "IQR", "images/s", "times", "error")),
    ]
    rows = [
        Row(
            (
                row["name"],
                digits(1e3 * row["median"]),
                digits(1e3 * row["least"]),
                digits(1e3 * (row["high"] - row["low"])),
                digits(record["batch"] / row["median"]),
                f"{row['median'] / tools[0]['median']:.2f}",
                f"{row['error']:.0e}",
            ),
            style="bold" if row["tool"] in OURS else "",
        )
        for row in tools
    ]
    page.table(columns, rows, indent=2)
    page.line()
    page.line(
        f"{plural(record['rounds'], 'interleaved round')} on {record['cpu']}. IQR: distance of the quartiles; "
        "times: the median over the fastest one's; error: largest difference from float64 over the largest number.",
        2,
    )


def draw_nodes(page: Page, record: Mapping[str, Any]) -> None:
    """The nodes that take the most time."""
    nodes = sorted(record["nodes"], key=lambda node: -node["seconds"])
    total = sum(node["seconds"] for node in nodes) or 1.0
    page.line([("nodes", "bold"), f"  where the time of the {record['nodes_engine']} engine goes"])
    rows = [
        Row(
            (
                node["node"],
                digits(1e3 * node["seconds"]),
                f"{node['seconds'] / total:.1%}",
                (("█" * round(node["seconds"] / total * BAR), "cyan"),),
            )
        )
        for node in nodes[:MOST_NODES]
    ]
    page.table(
        [Column("node", fold=True), Column("ms", "right"), Column("share", "right"), Column("")],
        rows,
        indent=2,
    )
    if rest := nodes[MOST_NODES:]:
        share = sum(node["seconds"] for node in rest) / total
        page.line([(f"and {plural(len(rest), 'other node')}: {share:.1%}", "dim")], 2)
