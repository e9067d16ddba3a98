"""The experiment in the terminal: a row for each unit, or one unit with its tuning curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.page import Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.views.schemas.probe import Probe, ProbedBorder, ProbedUnit

BAR_CELLS = 40
"""Length of the longest bar of a tuning curve."""
NONE = "-"


def draw(page: Page, record: Probe) -> None:
    """record: striate.probe/1 of all units of a node."""
    _head(page, record)
    columns = (
        Column("unit", "right"), Column("type"), Column("orientation", "right"), Column("CV", "right"),
        Column("OSI", "right"), Column("bandwidth", "right"), Column("frequency", "right"),
        Column("F1/F0", "right"), Column("color"),
    )  # fmt: skip
    shown = len(columns) - (len(record["colors"]) == 1)
    page.table(columns[:shown], [_row(unit, shown) for unit in record["units"]])
    page.line()
    page.fields(conditions(record))


def draw_unit(page: Page, record: Probe) -> None:
    """record: striate.probe/1 of one unit."""
    _head(page, record)
    (unit,) = record["units"]
    page.fields(measures(unit))
    if unit["curves"] is not None:
        page.line()
        page.line("  drive by orientation of the bar")
        curve = unit["curves"]["orientation"]
        block = "█" if page.terminal.unicode else "#"
        for degrees, value in zip(record["orientations_deg"], curve):
            bar = block * round(BAR_CELLS * value / max(curve))
            page.line(f"{degrees:7.1f}°  {bar}")
    page.line()
    page.fields(conditions(record))


def draw_border(page: Page, record: ProbedBorder) -> None:
    """record: striate.probe-border/1. Of several units the medians of those that respond."""
    page.line(
        [
            (record["network"], "bold"),
            f"  {record['node']} at the center, the left edge and the upper left corner",
        ]
    )
    page.line()
    columns = (
        Column("padding"), Column("place"), Column("responding", "right"), Column("CV", "right"),
        Column("OSI", "right"), Column("F1/F0", "right"), Column("drive", "right"),
    )  # fmt: skip
    rows = []
    for mode in record["modes"]:
        for place, probed in mode["places"].items():
            units = probed["units"]
            active = [unit for unit in units if unit["type"] != "none"]
            medians = (
                number(_median([unit[name] for unit in active]), "", 2)
                for name in ("cv", "osi", "f1_f0", "drive")
            )
            rows.append(Row((mode["mode"], place, f"{len(active)} of {len(units)}", *medians)))
    page.table(columns, rows)
    page.line()
    if not record["padded"]:
        page.line("  no convolution up to it is padded, so every padding mode is the same", 0, 2)
    page.fields(("note", note) for note in record["modes"][0]["places"]["center"]["notes"])


def _median(values: list[float | None]) -> float | None:
    """The median of the values that are defined."""
    known = sorted(value for value in values if value is not None)
    half = len(known) // 2
    return None if not known else known[half] if len(known) % 2 else (known[half - 1] + known[half]) / 2


def _head(page: Page, record: Probe) -> None:
    read = f", read at {record['value']}" if record["value"] != record["node"] else ""
    page.line([(record["network"], "bold"), f"  {record['node']}{read}"])
    page.line()


def _row(unit: ProbedUnit, shown: int) -> Row:
    """The first cells of a unit's row."""
    if unit["type"] == "none":
        return Row((str(unit["unit"]), "no response", *[""] * (shown - 2)), style="dim")
    cells = (
        str(unit["unit"]), unit["type"], orientation(unit["orientation_deg"]), number(unit["cv"], "", 2),
        number(unit["osi"], "", 2), number(unit["bandwidth_deg"], "°", 1), number(unit["frequency_cpp"], "", 3),
        number(unit["f1_f0"], "", 2), unit["color"] or "",
    )  # fmt: skip
    return Row(cells[:shown])


def number(value: float | None, unit: str, places: int) -> str:
    """A measure; a dash if it is undefined, so that it is not taken for 0."""
    return NONE if value is None else f"{value:.{places}f}{unit}"


def orientation(degrees: float | None) -> str:
    """That of a bar, within half a turn: what rounds to 180° is 0°.

    >>> orientation(179.96), orientation(37.04), orientation(None)
    ('0.0°', '37.0°', '-')
    """
    return NONE if degrees is None else number(round(degrees, 1) % 180, "°", 1)


def why(unit: ProbedUnit, measure: str) -> str:
    """Why a unit has no value of a measure, in words; "" if nothing is said."""
    notes = (note.partition(": ") for note in unit["notes"])
    return next((text for name, _, text in notes if name == measure), "")


def measures(unit: ProbedUnit) -> Iterator[tuple[str, Text]]:
    """Label and text of each measure of one unit, with its uncertainty."""
    yield "unit", str(unit["unit"])
    if unit["type"] == "none":
        yield "response", "none: no stimulus drives the unit"
        return
    yield "type", unit["type"]

    def spread(name: str, sign: str, places: int) -> str:
        value = unit["uncertainty"].get(name)
        return "" if value is None else f" ± {value:.{places}f}{sign}"

    for label, name, value, sign, places in (
        ("orientation", "orientation_deg", unit["orientation_deg"], "°", 1),
        ("CV", "cv", unit["cv"], "", 3),
        ("OSI", "osi", unit["osi"], "", 3),
        ("bandwidth", "bandwidth_deg", unit["bandwidth_deg"], "°", 1),
        ("frequency", "frequency_cpp", unit["frequency_cpp"], "", 3),
        ("F1/F0", "f1_f0", unit["f1_f0"], "", 3),
        ("phase", "phase_deg", unit["phase_deg"], "°", 0),
    ):
        text = orientation(value) if name == "orientation_deg" else number(value, sign, places)
        yield label, why(unit, name) or text if value is None else text + spread(name, sign, places)
    yield "polarity", f"ON and OFF overlap by {number(unit['polarity_overlap'], '', 2)}"
    suppression = unit["surround_suppression"]
    if suppression is not None:
        yield (
            "surround",
            f"takes away {suppression:.0%}; largest drive at {number(unit['preferred_size_px'], ' px', 1)}",
        )
    if unit["best_bar"] is not None:
        bar = unit["best_bar"]
        yield (
            "best bar",
            f"{bar['polarity']}, {orientation(bar['orientation_deg'])}, {bar['offset_px']:+.1f} px off center",
        )
    if unit["gabor"] is None:
        yield "Gabor fit", why(unit, "gabor") or NONE
    else:
        fit = unit["gabor"]
        tilt, frequency = orientation(fit["orientation_deg"]), fit["frequency_cpp"]
        yield "Gabor fit", f"{tilt}, {frequency:.3f} cycles per pixel, R² {fit['r2']:.2f}"
    if unit["natural_share"] is not None:
        yield "photographs", f"the best grating reaches {unit['natural_share']:.0%} of the best photograph"
    yield "color", unit["color"] or NONE


def conditions(record: Probe) -> Iterator[tuple[str, Text]]:
    """What the measures hold for."""
    counts = {
        kind: sum(unit["type"] == kind for unit in record["units"]) for kind in ("simple", "complex", "none")
    }
    if len(record["units"]) > 1:
        yield (
            "units",
            ", ".join(
                f"{n} {'without a response' if kind == 'none' else kind}" for kind, n in counts.items() if n
            ),
        )
    (top, bottom), (left, right) = record["field"]["h"], record["field"]["w"]
    row, column = record["position"]
    yield (
        "field",
        (
            f"rows {top} to {bottom}, columns {left} to {right} of the input (unit at row {row}, column {column})"
        ),
    )
    if record["cv_limit"] is not None:
        yield "limit", f"CV {record['cv_limit']:.2f} for a linear filter of this size"
    yield "shown", plural(record["shown"], "image")
    for note in record["notes"]:
        yield "note", note
