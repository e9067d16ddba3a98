"""A saved run of bench/micro.py as text and as a page: each kernel's share of the peak and the predicted one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support import record

from striate.peers.timing import quartiles

PLACES = ("in L1", "from L2")
PARTS = 0.1
"""Relative difference from which on measured and predicted share part."""
TITLES = [
    "tile", "used", *(title for place in PLACES for title in (f"{place} %", "median", "predicted", "")),
]  # fmt: skip


def shares(row: Mapping[str, Any], peak: float) -> tuple[float, float]:
    """(best, median) share of the peak, in GFLOP/s: the best of all rounds, and the median against its own round's."""
    ratios = [row["flops"] / s * p for s, p in zip(row["seconds"], row["peak"], strict=True)]
    return row["flops"] / min(row["seconds"]) / peak / 1e9, quartiles(ratios)[1]


def parts(measured: float, predicted: float) -> str:
    """
    >>> parts(0.8, 0.9), parts(0.95, 0.9), parts(0.6, 0.5)
    ('-', '', '+')
    """
    if not predicted or abs(measured / predicted - 1) <= PARTS:
        return ""
    return "+" if measured > predicted else "-"


def tables(run: Mapping[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Per target its tiles, then its layers: a heading, and lines of cells with the column titles first."""
    for target, peak in run["peaks"].items():
        mine = [row for row in run["rows"] if row["target"] == target]
        tiles: dict[str, list[str]] = {}
        for row in (row for row in mine if row["group"] in PLACES):
            best, median = shares(row, peak)
            line = tiles.setdefault(row["name"], [row["name"], row["use"]])
            numbers = (f"{100 * share:.0f}" for share in (best, median, row["predicted"]))
            line += [*numbers, parts(best, row["predicted"])]
        yield f"{target}, peak {peak:.0f} GFLOP/s, tiles", [TITLES, *tiles.values()]
        modeled = any("model" in row for row in mine)  # not in older runs
        lines = [["layer", "algorithm", "GFLOP/s", "peak %", *["predicted", ""] * modeled, "limit %"]]
        for row in (row for row in mine if row["group"] not in PLACES):
            best, _ = shares(row, peak)
            limit = 100 * best / row["predicted"] if row["predicted"] else 0
            model = row.get("model", 0)
            lines.append([
                row["name"], row["algorithm"], f"{best * peak:.0f}", f"{100 * best:.0f}",
                *[f"{100 * model:.0f}" if model else "", parts(best, model)] * modeled, f"{limit:.0f}",
            ])  # fmt: skip
        yield f"{target}, layers", lines


def verdicts(run: Mapping[str, Any]) -> list[str]:
    """For each target the fastest tile, the chosen one, and how many of the used ones part from their prediction."""
    said = []
    for target, peak in run["peaks"].items():
        tiles = [row for row in run["rows"] if row["target"] == target and row["group"] == PLACES[1]]
        best = max(tiles, key=lambda row: shares(row, peak)[0])
        chosen = next(row for row in tiles if row["use"] == "chosen")
        used = [
            row for row in run["rows"] if row["target"] == target and row["group"] in PLACES and row["use"]
        ]
        apart = sum(bool(parts(shares(row, peak)[0], row["predicted"])) for row in used)
        layers = [row for row in run["rows"] if row["target"] == target and row.get("model")]
        others = [row["name"] for row in layers if parts(shares(row, peak)[0], row["model"])]
        said.append(
            f"{target}: many pixels and channels take {chosen['name']} at {100 * shares(chosen, peak)[0]:.0f} % of the "
            f"peak; the fastest tile is {best['name']} at {100 * shares(best, peak)[0]:.0f} %. "
            f"{apart} of {len(used)} predictions are off by more than 10 %."
        )
        if others:
            said.append(f"{target}: {len(others)} of {len(layers)} layers, too: {', '.join(others)}.")
    return said


def text(run: Mapping[str, Any]) -> str:
    """The run for a terminal."""
    blocks = [f"{name}\n{record.text_table(lines, indent=2)}" for name, lines in tables(run)]
    return "\n\n".join([record.heading(run), *blocks, *verdicts(run)])


def page(run: Mapping[str, Any]) -> str:
    """The run as a section of a page."""
    blocks = [f"**{name}**\n\n{record.markdown_table(*lines)}" for name, lines in tables(run)]
    listed: Sequence[str] = [f"- {line}" for line in verdicts(run)]
    return "\n\n".join([record.heading(run), "\n".join(listed), *blocks])
