"""Evaluation as text: totals, numbers per class, confusion matrix, calibration, worst images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.units import duration
from striate.views.evaluation_record import MAX_CONFUSIONS, MAX_MATRIX_CLASSES, confusions
from striate.views.text.number_format import count
from striate.views.text.page import Column, Page, Row, Text

MAX_LISTED_IMAGES = 5
BAR_COLUMNS = 20


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.eval/1."""
    page.title(record["model"])
    speed = f", {record['images'] / record['seconds']:,.0f} images/s" if record["seconds"] > 0 else ""
    rows: list[tuple[str, Text]] = [
        ("data", record["data"]),
        ("accuracy", [(f"{record['accuracy']:.2%}", "bold"), f"  {_right(record)}"]),
        ("loss", f"{record['loss']:.4f}"),
    ]
    if len(record["classes"]) > 5:
        rows.append(("top 5", f"{record['top5_accuracy']:.2%} have the true class among the top five"))
    error = record["calibration"]["expected_calibration_error"]
    rows += [
        ("macro F1", f"{record['macro_f1']:.4f}"),
        ("calibration", f"confidence and accuracy differ by {error:.2%} on average"),
        ("time", f"{duration(record['seconds'])}{speed}"),
    ]
    rows += [("note", note) for note in record["notes"]]
    page.fields(rows)
    page.line()
    draw_classes(page, record)
    page.line()
    draw_confusion(page, record)
    page.line()
    draw_calibration(page, record)
    draw_worst(page, record)


def _right(record: Mapping[str, Any]) -> str:
    right = sum(row[k] for k, row in enumerate(record["confusion_matrix"]))
    answers = sum(map(sum, record["confusion_matrix"]))
    return f"{count(right)} of {count(answers)} right"


def draw_classes(page: Page, record: Mapping[str, Any]) -> None:
    """Precision, recall and F1 of every class."""
    columns = [
        Column("class", fold=True),
        *(Column(title, "right") for title in ("precision", "recall", "F1", "images")),
    ]
    rows = [
        Row(
            (
                score["name"],
                f"{score['precision']:.1%}",
                f"{score['recall']:.1%}",
                f"{score['f1']:.3f}",
                count(score["images"]),
            )
        )
        for score in record["per_class"]
    ]
    page.table(columns, rows, indent=2)


def draw_confusion(page: Page, record: Mapping[str, Any]) -> None:
    """The confusion matrix, or a list of confusions if there are too many classes or too few columns."""
    matrix, names = record["confusion_matrix"], record["classes"]
    width = max(len(count(n)) for row in matrix for n in row)
    heads = [str(k) for k in range(len(names))] if any(len(name) > 4 for name in names) else list(names)
    width = max(width, *map(len, heads)) + 2
    side = max(map(len, names)) + (len(str(len(names) - 1)) + 1 if heads != list(names) else 0)
    if len(names) > MAX_MATRIX_CLASSES or 2 + side + width * len(names) > page.terminal.width:
        _mistakes(page, matrix, names)
        return
    page.line([("confusion", "bold"), "  rows: true class; columns: predicted class"])
    page.line([" " * (2 + side), ("".join(head.rjust(width) for head in heads), "bold")])
    for k, row in enumerate(matrix):
        label = (
            names[k] if heads == list(names) else f"{names[k].ljust(side - len(heads[-1]) - 1)} {heads[k]}"
        )
        cells: list[str | tuple[str, str]] = [f"  {label.ljust(side)}"]
        for j, n in enumerate(row):
            text = (count(n) if n else "·").rjust(width)
            cells.append((text, "green" if j == k else "red" if n else "dim"))
        page.line(cells)


def _mistakes(page: Page, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    pairs = confusions(matrix)
    if not pairs:
        page.line("no image was misclassified")
        return
    page.line([("most frequent confusions", "bold")])
    rows = [Row((names[k], "predicted as", names[j], count(n))) for n, k, j in pairs[:MAX_CONFUSIONS]]
    columns = (Column("", fold=True), Column(""), Column("", fold=True), Column("", "right"))
    page.table(columns, rows, head=False, indent=2)
    if len(pairs) > MAX_CONFUSIONS:
        page.line([(f"and {len(pairs) - MAX_CONFUSIONS:,} other pairs", "dim")], 2)


def draw_calibration(page: Page, record: Mapping[str, Any]) -> None:
    """Mean confidence and accuracy by bins of confidence: of a calibrated model both are equal."""
    page.line([("calibration", "bold"), "  are predictions with 90 % confidence right 9 times out of 10?"])
    rows = []
    for entry in record["calibration"]["bins"]:
        gap = entry["accuracy"] - entry["confidence"]
        bar = "█" * round(entry["accuracy"] * BAR_COLUMNS)
        style = "red" if abs(gap) > 0.1 and entry["images"] >= 10 else ""
        rows.append(
            Row(
                (
                    f"{entry['low']:.0%} to {entry['high']:.0%}",
                    count(entry["images"]),
                    f"{entry['confidence']:.1%}",
                    f"{entry['accuracy']:.1%}",
                    (*((bar, "cyan"),),),
                ),
                style=style,
            )
        )
    columns = [
        Column("confidence"),
        *(Column(title, "right") for title in ("images", "mean", "right")),
        Column(""),
    ]
    page.table(columns, rows, indent=2)


def draw_worst(page: Page, record: Mapping[str, Any]) -> None:
    """The images with the largest losses among those predicted wrongly."""
    wrong = [entry for entry in record["worst"] if entry["label"] != entry["predicted"]][:MAX_LISTED_IMAGES]
    if not wrong:
        return
    page.line()
    page.line([("worst", "bold"), "  images with the largest losses"])
    rows = [
        Row(
            (
                e["name"],
                f"is {e['label']}",
                f"predicted as {e['predicted']}",
                f"confidence {e['confidence']:.1%}",
            )
        )
        for e in wrong
    ]
    page.table([Column("", fold=True), *[Column("")] * 2, Column("", "right")], rows, head=False, indent=2)
