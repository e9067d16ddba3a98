"""Speed of inference or training: a row for each tool, and the time of each node or phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.diagnostics import plural
from striate.views.text.number_format import digits, shape, size
from striate.views.text.page import Column, Page, Row

MAX_LISTED_NODES = 10
BAR_COLUMNS = 20
OURS = ("striate", "numpy")
ERROR = (
    "largest difference from the float64 result, relative to the largest output",
    "largest difference from float64 of the loss or of a tensor's update, relative to the norm of the update",
)
"""For inference and for training."""
PHASES = ("forward", "loss", "backward", "update")


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.bench/1."""
    _draw_head(page, record)
    page.line()
    draw_nodes(page, record)


def draw_training(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.bench-train/1."""
    _draw_head(page, record)
    page.line()
    draw_phases(page, record)


def _draw_head(page: Page, record: Mapping[str, Any]) -> None:
    training = "training steps, " if "limits" in record else ""
    page.title(
        f"{record['model']}, {training}input {shape(record['input'])}, batch {record['batch']}, "
        f"{plural(record['threads'], 'thread')}"
    )
    page.line()
    draw_tools(page, record)
    for entry in record["tools"]:
        if entry["tool"] == "striate" and entry.get("engine") == "numpy":
            page.line(
                [("striate: numpy engine, because a layer has no compiled gradient kernels", "dim")], 2, 4
            )
    for entry in record["left_out"]:
        page.line([(f"without {entry['name']}: {entry['why']}", "dim")], 2, 4)
    if record["not_installed"]:
        names = " · ".join(entry["name"] for entry in record["not_installed"])
        lacks = dict.fromkeys(package for entry in record["not_installed"] for package in entry["packages"])
        page.line([(f"not installed: {names} (missing packages: {', '.join(lacks)})", "dim")], 2, 4)


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
        f"{plural(record['rounds'], 'interleaved round')} on {record['cpu']}. IQR: interquartile range; times: "
        f"median relative to the fastest; error: {ERROR['limits' in record]}.",
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
                (("█" * round(node["seconds"] / total * BAR_COLUMNS), "cyan"),),
            )
        )
        for node in nodes[:MAX_LISTED_NODES]
    ]
    page.table(
        [Column("node", fold=True), Column("ms", "right"), Column("share", "right"), Column("")],
        rows,
        indent=2,
    )
    if rest := nodes[MAX_LISTED_NODES:]:
        share = sum(node["seconds"] for node in rest) / total
        page.line([(f"and {plural(len(rest), 'other node')}: {share:.1%}", "dim")], 2)


def draw_phases(page: Page, record: Mapping[str, Any]) -> None:
    """The parts of a step, the memory that it takes, and the machine's limits."""
    tools = sorted(record["tools"], key=lambda row: row["median"])
    page.line([("parts", "bold"), "  times per step in ms; memory in MiB"])
    rows = [
        Row(
            (
                row["name"],
                *(digits(1e3 * row["phases"][phase]) for phase in PHASES),
                f"{row['grown_mib']:.0f}",
                f"{row['mib']:.0f}",
            ),
            style="bold" if row["tool"] in OURS else "",
        )
        for row in tools
    ]
    titles = (*PHASES, "grown", "whole")
    page.table([Column("tool", fold=True), *(Column(title, "right") for title in titles)], rows, indent=2)
    page.line()
    page.line(
        "grown: peak growth of the process from after importing the libraries until after two steps; whole: "
        "peak memory of the process.",
        2,
    )
    if limits := record["limits"]:
        reads = ", ".join(
            f"{digits(level['gb_s'])} ({size(level['bytes']) if level['bytes'] else 'memory'})"
            for level in limits["read"]
        )
        page.line(f"This machine: {digits(limits['fma_gflops'])} GFLOP/s; reads {reads} GB/s.", 2)
