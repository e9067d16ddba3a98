"""The learning-rate finder in the terminal: loss over rate, the suggestion, and what to type with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.train.finder import RateCurve
from striate.views.text.curve import draw_curve
from striate.views.text.page import Page

if TYPE_CHECKING:
    from striate.views.schemas.training import RateSearch


def curve_record(curve: RateCurve, command: str) -> RateSearch:
    """striate.find-lr/1. command: the command that ran, to repeat with the suggested rate."""
    rate = curve.suggestion
    return {
        "schema": "striate.find-lr/1",
        "rates": list(curve.rates),
        "losses": list(curve.losses),
        "smoothed": list(curve.smoothed),
        "suggestion": rate,
        "lowest": curve.lowest,
        "next": f"{command} --lr {rate:g} --out RUN" if rate else f"{command} --find-lr",
    }


def draw(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.find-lr/1."""
    page.line([("loss by learning rate", "bold"), f" (smoothed, {plural(len(record['rates']), 'update')})"])
    page.line()
    smoothed = record["smoothed"]
    ceiling = smoothed[0] * 1.5 if smoothed else 0.0  # where it diverges, the fall would be a flat line
    draw_curve(page, record["rates"], [min(y, ceiling) for y in smoothed], mark=record["suggestion"])
    page.line()
    if record["suggestion"] is None:
        page.line(
            "the loss did not fall at any rate: inspect the data, or check the network with `striate check`"
        )
        return
    page.line(["suggestion: ", (f"lr {record['suggestion']:g}", "bold green"),
               f", where the loss falls fastest; the lowest loss is at {record['lowest']:.2g}"])  # fmt: skip
    page.line(["next: ", (record["next"], "cyan")], 0, 2)
