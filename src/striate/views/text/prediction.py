"""Predictions of a model: a table, CSV, and small gray pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from striate.diagnostics import plural
from striate.views.text.page import Column, Page, Row

SHADES = " ░▒▓█"


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.predict/1. The most probable classes of each image."""
    most = max((len(image["top"]) for image in record["images"]), default=0)
    columns = [Column("image", fold=True)]
    for k in range(most):
        columns += [Column("class" if not k else "then", fold=True), Column("", "right")]
    rows = []
    for image in record["images"]:
        cells: list[Any] = [image["name"]]
        for k, entry in enumerate(image["top"]):
            style = "bold" if k == 0 else "dim"
            cells += [[(entry["class"], style)], [(f"{entry['probability']:.1%}", style)]]
        rows.append(Row(cells))
    if rows:
        page.table(columns, rows)
    for note, names in _notes(record).items():
        page.line(f"note: {note} ({plural(len(names), 'image')})")


def _notes(record: Mapping[str, Any]) -> dict[str, list[str]]:
    images: dict[str, list[str]] = {}
    for image in record["images"]:
        for note in image["notes"]:
            images.setdefault(note, []).append(image["name"])
    return images


def csv_text(record: Mapping[str, Any]) -> str:
    """One row per image: its name, then class and probability from the most probable on."""
    most = max((len(image["top"]) for image in record["images"]), default=0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["image", *(f"{name}_{k}" for k in range(1, most + 1) for name in ("class", "probability"))]
    )
    for image in record["images"]:
        cells = [value for entry in image["top"] for value in (entry["class"], f"{entry['probability']:.6f}")]
        writer.writerow([image["name"], *cells])
    return text.getvalue()


def draw_image(page: Page, rows: Sequence[Sequence[float]], indent: int = 2) -> None:
    """A small gray image, 0 to 1, two characters for each pixel; a bright pixel is a full block."""
    for row in rows:
        cells = "".join(SHADES[min(int(value * len(SHADES)), len(SHADES) - 1)] * 2 for value in row)
        page.line(cells.rstrip(), indent)
