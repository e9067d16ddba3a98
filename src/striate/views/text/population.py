"""A population in the terminal: for each node its units, those of the controls, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.page import Column, Page, Row, Text
from striate.views.text.probe import number

if TYPE_CHECKING:
    from striate.views.schemas.probe import Difference, Population, PopulationGroup

HEIGHTS, ASCII_HEIGHTS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
"""Characters of the bars of a histogram, from the lowest; a bin without a unit is a space."""
GROUPS = {"given": "as given", "untrained": "untrained", "shuffled": "shuffled"}


def draw(page: Page, record: Population) -> None:
    """record: striate.population/1."""
    controls = plural(record["seeds"], "network")
    page.line(
        [
            (record["network"], "bold"),
            f"  compared with {controls} without training and {controls} with shuffled weights",
        ]
    )
    page.line()
    columns = (
        Column("node"), Column("weights"), Column("respond", "right"), Column("CV", "right"), Column("0 to 1"),
        Column("bars"), Column("cpp", "right"), Column("F1/F0", "right"), Column("complex", "right"),
    )  # fmt: skip
    rows = []
    for node in record["nodes"]:
        for n, (name, group) in enumerate(node["groups"].items()):
            rows.append(_row(page, "" if n else node["node"], GROUPS[name], group))
    page.table(columns, rows)
    page.line()
    page.table(
        (Column("1 - CV, as given minus"), Column("untrained"), Column("shuffled")),
        [
            Row((node["node"], *(interval(node["differences"][name]) for name in ("untrained", "shuffled"))))
            for node in record["nodes"]
        ],
    )
    page.line()
    page.line([(record["statement"], "bold")], 0, 2)
    page.line()
    page.fields(conditions(record))


def _row(page: Page, node: str, weights: str, group: PopulationGroup) -> Row:
    measures = group["measures"]
    cells = (
        node, weights, f"{group['responding'] / group['units']:.0%}", number(measures["cv"]["median"], "", 2),
        histogram(measures["cv"]["counts"], page.terminal.unicode),
        histogram(measures["orientation_deg"]["counts"], page.terminal.unicode),
        number(measures["frequency_cpp"]["median"], "", 2), number(measures["f1_f0"]["median"], "", 2),
        _share(group["types"]["complex"], group["responding"]),
    )  # fmt: skip
    return Row(cells, style="" if weights == GROUPS["given"] else "dim")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def histogram(counts: Sequence[int], unicode: bool = True) -> str:
    """A character for each bin; the fullest has the highest.

    >>> histogram([0, 1, 4, 8])
    ' ▁▄█'
    """
    heights, most = HEIGHTS if unicode else ASCII_HEIGHTS, max(counts, default=0)
    return "".join(" " if not n else heights[max(0, round(n * len(heights) / most) - 1)] for n in counts)


def interval(difference: Difference | None) -> str:
    """A difference with its interval; a dash if there is none.

    >>> interval({"value": 0.123, "low": -0.01, "high": 0.2})
    '+0.12 (-0.01 to +0.20)'
    """
    if difference is None:
        return "-"
    return f"{difference['value']:+.2f} ({difference['low']:+.2f} to {difference['high']:+.2f})"


def method(record: Population) -> str:
    """How the intervals are computed."""
    if record["seeds"] == 1:
        return "one control has no spread, so all that is possible"
    return f"Student's t over {record['seeds']} networks, within what is possible"


def conditions(record: Population) -> Iterator[tuple[str, Text]]:
    """What the numbers hold for, and how they are read."""
    if record["weights"] != "as given":
        yield "weights", record["weights"]
    yield "CV", "circular variance, median and histogram: 0 for one orientation, 1 for all alike"
    yield "bars", "histogram of preferred orientations, 0° (horizontal) to 180°"
    yield (
        "in brackets",
        f"95% interval of a further control; a difference is shown if it excludes 0; {method(record)}",
    )
    beyond = [node["node"] for node in record["nodes"] if not node["inside"]]
    if beyond:
        yield "padding", f"the fields of {', '.join(beyond)} reach beyond the image"
    yield "shown", plural(record["shown"], "image")
