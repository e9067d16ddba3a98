"""How Python and notebooks show networks, analyses, findings and results.

A notebook gets static HTML with the picture inside, and under it the numbers as tables or as the text that Python
prints. It has no script, no id and no style sheet but that of the picture, which is the same in all pictures.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from striate.checks import check
from striate.diagnostics import LimitError, leading
from striate.network import Network
from striate.terminal import Terminal
from striate.views.json_records import show_record
from striate.views.table_formats import html_table, html_text, html_words
from striate.views.text import show
from striate.views.text.page import Page

if TYPE_CHECKING:
    from striate.analysis import Analysis, PixelUse, Sizes
    from striate.checks import Report
    from striate.diagnostics import Diagnostic
    from striate.model import Model
    from striate.train.evaluation import Evaluation
    from striate.train.history import History
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing

SHOWN_CLASSES = 20
"""Names of classes that stand in the display of a model."""
OPEN_MAX_ROWS = 24
"""Longer tables of results are closed at first."""


def table(net: Network) -> str:
    """The table of `striate show`, without color, as wide as the terminal: what `str(net)` gives."""
    page = Page(replace(Terminal.of(sys.stdout), color=False) if sys.stdout else Terminal())
    show.draw(page, _record(net))
    return str(page).rstrip("\n")


def html(value: object) -> str:
    """What a notebook shows of a value whose class, or a base of it, is one of DISPLAYS."""
    (display, *_) = (DISPLAYS[cls.__name__] for cls in type(value).__mro__ if cls.__name__ in DISPLAYS)
    return f"<div>{display(value)}</div>"


# -- of networks ----------------------------------------------------------------------------------------------


def _network(net: Network, findings: Iterable[Diagnostic] | None = None) -> str:
    """The picture, and the table under it."""
    from striate.views.drawing.scene import scene

    record = scene(net, findings=check(net).findings if findings is None else findings)
    return _picture(record["drawing"]) + html_text(record)


def _model(model: Model) -> str:
    """The network's, and what the model adds."""
    facts = {"engine": model.engine.name, "classes": leading(model.classes, SHOWN_CLASSES) or "not named"}
    if model.transform:
        from striate.train.data import Transform

        facts["input"] = Transform.from_dict(model.transform).describe()
    return f"<p>{html_words(repr(model))}</p>{_network(model.net)}{_texts((), list(facts.items()))}"


def _analysis(facts: Analysis) -> str:
    """The picture with bars of parameters and MACs, and the table under it."""
    from striate.views.drawing.request import Request
    from striate.views.drawing.scene import scene

    record = scene(facts.network, request=Request(cost=True), analysis=facts)
    return _picture(record["drawing"]) + html_text(record)


def _report(report: Report) -> str:
    """The picture with its numbered findings, and a row for each finding."""
    from striate.views.drawing.scene import scene

    drawing = scene(report.network, findings=report.findings)["drawing"]
    rows = [
        (
            finding.code,
            finding.severity.value,
            finding.node or "",
            "; ".join(filter(None, (finding.message, finding.why))),
            "; ".join(fix.text for fix in finding.fixes),
        )
        for finding in report.findings
    ]
    head = ("code", "severity", "node", "finding", "fix")
    return _picture(drawing) + (_texts(head, rows) if rows else f"<p>{html_words(str(report))}</p>")


def _sizes(sizes: Sizes) -> str:
    """The ruler, the rule of each axis, and the sizes nearest to the wish."""
    from striate.views.drawing.ruler import ruler_drawing

    drawing = ruler_drawing(sizes)
    picture = _picture(drawing) if drawing else ""
    rows = [
        (axis, "; ".join(filter(None, (found.rule, found.conflict)))) for axis, found in sizes.axes.items()
    ]
    near = ", ".join(map(str, sizes.nearest)) or "no size fits every axis"
    return (
        f"{picture}{_texts(('axis', 'sizes that fit'), rows)}<p>nearest {sizes.near}: {html_words(near)}</p>"
    )


def _pixels(use: PixelUse) -> str:
    """The map; of one that is too large, its summary alone."""
    from striate.views.drawing.kinds.pixels import map_drawing

    try:
        picture = _picture(map_drawing(use))
    except LimitError:
        picture = ""
    return (
        f"{picture}<p>{html_words(repr(use).splitlines()[0])}; {html_words(repr(use).splitlines()[-1])}</p>"
    )


# -- of results -----------------------------------------------------------------------------------------------


def _history(history: History) -> str:
    """The curves, and a row for each epoch."""
    if not len(history):
        return f"<p>{html_words(repr(history))}</p>"
    from striate.views.text.training import history_table

    head, rows = history_table(history)
    return f"{_result('training', history)}<p>{html_words(str(history))}</p>{_long(rows, html_table(head, rows, ()))}"


def _evaluation(found: Evaluation) -> str:
    """Confusion matrix, calibration, and the numbers of each class."""
    from striate.views.evaluation_record import evaluation_record

    record = evaluation_record(found)
    rows = [
        (
            score["name"],
            f"{score['precision']:.1%}",
            f"{score['recall']:.1%}",
            f"{score['f1']:.3f}",
            f"{score['images']:,}",
        )
        for score in record["per_class"]
    ]
    return (
        f"<p>{html_words(str(found))}</p>{_result('confusion', found)}{_result('calibration', found)}"
        + _long(rows, html_table(("class", "precision", "recall", "F1", "images"), rows))
    )


def _result(kind: str, value: object) -> str:
    from striate.views.drawing.request import Request
    from striate.views.drawing.results import scene_of

    return _picture(scene_of(kind, value, Request())["drawing"])


def _attribution(found: Any) -> str:
    """The image and what was attributed to its pixels."""
    from striate.views.drawing.attribution import picture

    return _picture(picture(found).scene["drawing"])


def _nearest(found: Any) -> str:
    """The images of all units, as many as a picture shows."""
    from striate.views.drawing.nearest import picture

    return _picture(picture(found).scene["drawing"])


def _recording(found: Any) -> str:
    """The contact sheet of all units."""
    from striate.views.drawing.recording import picture

    return _picture(picture(found).scene["drawing"])


def _population(found: Any) -> str:
    """Histograms of each node."""
    from striate.views.drawing.population import picture

    return _picture(picture(found).scene["drawing"])


DISPLAYS: Mapping[str, Callable[[Any], str]] = {
    "Network": _network, "Model": _model, "Analysis": _analysis, "Report": _report, "Sizes": _sizes,
    "PixelUse": _pixels, "History": _history, "Evaluation": _evaluation, "Attribution": _attribution,
    "Nearest": _nearest, "Recording": _recording, "Population": _population,
}  # fmt: skip
"""Class to what shows it. Classes are named, so that a network is shown without loading those of training."""


# -- pieces of HTML -------------------------------------------------------------------------------------------


def _picture(drawing: Drawing) -> str:
    """The picture, with ids of its own: pictures of one page do not meet."""
    from striate.views.drawing.svg import svg

    ids = f"striate-{zlib.crc32(repr(drawing['marks']).encode()):08x}-"
    return f'<div style="overflow-x: auto">{svg(drawing, ids=ids)}</div>'


def _texts(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without numbers."""
    return html_table(head, rows, texts=range(max(map(len, rows), default=0)))


def _long(rows: Sequence[object], table: str) -> str:
    """A table, closed where it is long."""
    if len(rows) <= OPEN_MAX_ROWS:
        return table
    return f"<details><summary>{len(rows):,} rows</summary>{table}</details>"


def _record(net: Network) -> Show:
    return show_record(net, findings=check(net).findings)
