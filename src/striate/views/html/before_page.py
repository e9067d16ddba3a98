"""Before and after training: attributions of one image, first filters and a tuning curve, as an HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.views.drawing import numbers
from striate.views.drawing.tuning_curves import tuning_curves
from striate.views.html.attribution_page import SIDE_PX, method_part
from striate.views.html.document import still
from striate.views.html.figure import Figure, Missing
from striate.views.html.page_image import PageImage
from striate.views.text.probe import number, orientation

if TYPE_CHECKING:
    from striate.views.schemas.probe import Probe, ProbedUnit
    from striate.views.schemas.scene import ResultScene

STATES = ("before training", "after training")


def before_page(
    attributions: tuple[Sequence[Any], Sequence[Any]],
    filters: tuple[Figure | Missing, Figure | Missing],
    tuning: tuple[Probe, Probe] | Missing,
    weights: str,
    left_out: Mapping[str, str],
) -> str:
    """The text of the HTML file. Each pair is what there was before training and after it.

    attributions: of one image by the same methods; filters: pictures of the first ones; tuning: striate.probe/1 of one
    unit; weights: where those before training come from; left_out: method to the reason why it is missing.
    """
    last = attributions[1][0]
    parts = [
        (after.found.method, list(zip(STATES, (before, after), strict=True)))
        for before, after in zip(*([method_part(one) for one in side] for side in attributions), strict=True)
    ]
    facts = [("image", last.name), ("explained", str(last.target)), ("before training", weights)]
    facts += _scores(*(side[0] for side in attributions))
    probed = tuning if isinstance(tuning, Missing) else _tuning(*tuning)
    image = PageImage.of(numbers.unit_range(last.image), SIDE_PX)
    return still(
        "before.html", last.network, first=last, facts=facts, methods=parts, image=image, left_out=left_out,
        filters=list(zip(STATES, filters, strict=True)), tuning=probed,
    )  # fmt: skip


def _scores(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    yield "score", f"{before.score:.4g} before, {after.score:.4g} after"
    if after.probability is not None and before.probability is not None:
        yield "probability", f"{before.probability:.2%} before, {after.probability:.2%} after"


def _tuning(before: Probe, after: Probe) -> dict[str, Any]:
    """The chart of one unit, and its measures in rows."""
    (first,), (last,) = before["units"], after["units"]
    title = f"unit {last['unit']} of {after['node']}"
    curves = {
        state: unit["curves"]["orientation"] if unit["curves"] else None
        for state, unit in zip(STATES, (first, last), strict=True)
    }
    scene: ResultScene = {
        "schema": "striate.scene/1", "name": title, "facts": {},
        "drawing": tuning_curves(title, after["orientations_deg"], curves),
    }  # fmt: skip
    rows = [(state, *_measures(unit)) for state, unit in zip(STATES, (first, last), strict=True)]
    return {
        "title": title,
        "figure": Figure("tuning", scene, f"Drive of {title} by orientation."),
        "rows": rows,
    }


def _measures(unit: ProbedUnit) -> tuple[str, str, str, str]:
    """Type, orientation, circular variance and F1/F0."""
    if unit["type"] == "none":
        return "no response", "", "", ""
    return (
        unit["type"],
        orientation(unit["orientation_deg"]),
        number(unit["cv"], "", 2),
        number(unit["f1_f0"], "", 2),
    )
