"""Images to which units respond, in the terminal: a row for each unit, or all images of one unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.text.page import Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.views.schemas.nearest import Nearest, NearestToUnit, NearImage


def draw(page: Page, record: Nearest) -> None:
    """record: striate.nearest/1 of all units of a node."""
    _head(page, record)
    image = _image_columns(record)
    columns = (Column("unit", "right"), Column("most", "right"), *image, Column("at", "right"),
               Column("least", "right"), *image)  # fmt: skip
    rows = []
    for unit in record["units"]:
        most, least = unit["most"][0], unit["least"][0]
        cells = (str(unit["unit"]), *_cells(most), _place(most), *_cells(least))
        rows.append(Row(cells, style="dim" if most["response"] == least["response"] else ""))
    page.table(columns, rows)
    page.line()
    page.fields(_conditions(record))


def draw_unit(page: Page, record: Nearest) -> None:
    """record: striate.nearest/1 of one unit."""
    _head(page, record)
    (unit,) = record["units"]
    columns = (
        Column("", "right"),
        Column("response", "right"),
        *_image_columns(record),
        Column("at", "right"),
        Column("sees"),
    )
    for title, images in (("most", unit["most"]), ("least", unit["least"])):
        page.line([(f"unit {unit['unit']} responds {title}", "bold")])
        rows = [
            Row((str(number), *_cells(image), _place(image), _field(image)))
            for number, image in enumerate(images, 1)
        ]
        page.table(columns, rows)
        page.line()
    page.fields(_conditions(record))


def _head(page: Page, record: Nearest) -> None:
    read = f", read at {record['value']}" if record["value"] != record["node"] else ""
    page.line([(record["network"], "bold"), f"  {record['node']}{read}"])
    page.line()


def _image_columns(record: Nearest) -> tuple[Column, ...]:
    """Name, and class in data with labels."""
    labeled = record["units"][0]["most"][0]["label"] is not None
    return Column("image", fold=True), *([Column("class", fold=True)] if labeled else [])


def _cells(image: NearImage) -> tuple[str, ...]:
    """Response, name, and class in data with labels."""
    return f"{image['response']:.4g}", image["name"], *([] if image["label"] is None else [image["label"]])


def _place(image: NearImage) -> str:
    return "" if image["position"] is None else ",".join(map(str, image["position"]))


def _field(image: NearImage) -> str:
    """The rows and columns that the unit sees there."""
    if image["field"] is None:
        return ""
    (top, bottom), (left, right) = image["field"]["h"], image["field"]["w"]
    return f"rows {top}-{bottom}, columns {left}-{right}"


def _conditions(record: Nearest) -> Iterator[tuple[str, Text]]:
    """What the rows hold for."""
    yield "images", plural(record["images"], "image")
    yield "data", record["data"]
    if record["weights"] != "as given":
        yield "note", f"weights: {record['weights']}"
    for note in record["notes"]:
        yield "note", note
    for unit in record["units"]:
        yield from _notes(unit, len(record["units"]) > 1)


def _notes(unit: NearestToUnit, several: bool) -> Iterator[tuple[str, Text]]:
    """Of several units only those that respond to every image alike."""
    for note in unit["notes"]:
        if not several:
            yield "note", note
        elif unit["most"][0]["response"] == unit["least"][0]["response"]:
            yield "note", f"unit {unit['unit']} {note}"
