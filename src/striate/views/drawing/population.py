"""Picture of a population: for each node the distributions of its measures and those of the controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate.views.drawing.frame import finished, titled
from striate.views.drawing.picture import Picture
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Point, Sheet
from striate.views.drawing.widths import lines, shortened
from striate.views.text.population import GROUPS, interval

if TYPE_CHECKING:
    from striate.views.schemas.probe import Distribution, Population, PopulationGroup, PopulationNode
    from striate.views.schemas.scene import Drawing

CHART, GAP = (150.0, 62.0), 22.0
"""Width and height of a histogram, and what lies between two, in pixels."""
LABEL = 150.0
"""Pixels for the name of a node and its counts."""
MEASURES = {
    "cv": ("circular variance", ("0 one orientation", "1 all alike")),
    "orientation_deg": ("orientation of the bar", ("0°", "180°")),
    "frequency_cpp": ("spatial frequency", ("0", "0.5 cycles/px")),
    "f1_f0": ("F1/F0", ("0 complex", "2 simple")),
}
"""Measure -> its name, and the ends of its axis."""
STYLES = {"untrained": ("series-2", False), "shuffled": ("series-4", True)}
"""Control -> color of its line, and whether it is dashed."""


def picture(found: Any, theme: str = "auto", scale: float = 1.0) -> Picture:
    """The picture of a `Population`."""
    record: Population = found.to_dict()
    scene: Any = {**record, "name": record["network"], "drawing": drawing(record)}
    return Picture(scene, theme, scale)


def drawing(record: Population) -> Drawing:
    """record: striate.population/1."""
    body = Sheet()
    for n, (title, _) in enumerate(MEASURES.values()):
        left = LABEL + n * (CHART[0] + GAP)
        body.text(left + CHART[0] / 2, ASCENT * SIZE, title, SIZE)
    y = LINE * SIZE + 6
    for node in record["nodes"]:
        _label(body, node, y)
        for n, (measure, (_, ends)) in enumerate(MEASURES.items()):
            held = {name: group["measures"][measure] for name, group in node["groups"].items()}
            _histogram(body, LABEL + n * (CHART[0] + GAP), y, held, ends)
        y += CHART[1] + 2.6 * SMALL_FONT_SIZE + 8
    sheet = Sheet()
    room = body.right - body.left
    title = f"{record['network']}: orientation selectivity"
    top = titled(sheet, title, [record["statement"]], room)
    _legend(sheet, top + 6, record)
    sheet.put(body, 0.0, sheet.bottom + 14)
    y = sheet.bottom + 12
    for note in _notes(record):
        for line in lines(note, SMALL_FONT_SIZE, room):
            sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return finished("population", sheet, title, f"{title}. {record['statement']} {_words(record)}")


def _label(sheet: Sheet, node: PopulationNode, y: float) -> None:
    """The name of a node, its units, and how far its selectivity is from the controls'."""
    given = node["groups"]["given"]
    room = LABEL - 14
    sheet.text(
        0, y + ASCENT * SIZE, shortened(node["node"], SIZE, room, True), SIZE, anchor="start", bold=True
    )
    said = [
        (f"{given['responding']} of {given['units']} respond", "muted"),
        (f"{given['types']['simple']} simple, {given['types']['complex']} complex", "muted"),
    ]
    said += [
        (f"{difference['value']:+.2f} to {name}", "ink")
        for name, difference in node["differences"].items()
        if difference is not None
    ]
    sheet.column(0, y + LINE * SIZE + 1, said, SMALL_FONT_SIZE, anchor="start")


def _histogram(
    sheet: Sheet, left: float, top: float, groups: dict[str, Distribution], ends: tuple[str, str]
) -> None:
    """Bars of the network, and an outline for each control, as shares of the units that have the measure."""
    wide, high = CHART
    shares = {name: _shares(held) for name, held in groups.items()}
    most = max((max(some, default=0.0) for some in shares.values()), default=0.0) or 1.0
    step = wide / len(shares["given"])
    base = top + high
    for k, share in enumerate(shares["given"]):
        if share:
            tall = high * share / most
            sheet.rect(left + k * step + 1, base - tall, step - 2, tall, "conv-mark")
    for name, (color, dashed) in STYLES.items():
        if not groups[name]["defined"]:
            continue
        corners: list[Point] = []
        for k, share in enumerate(shares[name]):
            y = base - high * share / most
            corners += [(left + k * step, y), (left + (k + 1) * step, y)]
        sheet.path(corners, "", color, thick=1.5, dash=dashed)
    sheet.path([(left, base), (left + wide, base)], "", "line")
    under = base + 3 + ASCENT * SMALL_FONT_SIZE
    sheet.text(left, under, ends[0], SMALL_FONT_SIZE, "muted", anchor="start")
    sheet.text(left + wide, under, ends[1], SMALL_FONT_SIZE, "muted", anchor="end")
    if not any(held["defined"] for held in groups.values()):
        sheet.text(left + wide / 2, top + high / 2, "no unit has one", SMALL_FONT_SIZE, "muted")


def _shares(held: Distribution) -> Sequence[float]:
    return [count / held["defined"] if held["defined"] else 0.0 for count in held["counts"]]


def _legend(sheet: Sheet, top: float, record: Population) -> None:
    """What the bars and the lines are."""
    many = f"{record['seeds']} networks"
    x, middle = 0.0, top + SIZE / 2
    sheet.rect(x, middle - 5, 14, 10, "conv-mark")
    x += 20 + sheet.text(x + 20, middle + 4, record["weights"], SIZE, anchor="start") + 18
    for name, (color, dashed) in STYLES.items():
        sheet.path([(x, middle), (x + 22, middle)], "", color, thick=1.5, dash=dashed)
        x += 28 + sheet.text(x + 28, middle + 4, f"{GROUPS[name]}, {many}", SIZE, anchor="start") + 18


def _notes(record: Population) -> list[str]:
    beyond = [node["node"] for node in record["nodes"] if not node["inside"]]
    return [
        "height: share of the units that have the measure",
        "difference: median of 1 - circular variance, minus that of the controls",
        *([f"the fields of {', '.join(beyond)} reach beyond the image"] if beyond else []),
    ]


def _words(record: Population) -> str:
    """The medians in words."""
    return " ".join(
        f"{node['node']}: {_group(node['groups']['given'])}, {_differs(node)}." for node in record["nodes"]
    )


def _group(group: PopulationGroup) -> str:
    median = group["measures"]["cv"]["median"]
    return "no response" if median is None else f"median circular variance {median:.2f}"


def _differs(node: PopulationNode) -> str:
    return ", ".join(f"{interval(one)} to {name}" for name, one in node["differences"].items())
