"""The input sizes that fit exactly: a congruence for each axis, and the nearest sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate.views.text.node import AXES
from striate.views.text.number_format import shape
from striate.views.text.page import Page, Text

if TYPE_CHECKING:
    from striate.views.schemas.networks import Sizes, SizesAxis


def draw(page: Page, record: Sizes, name: str) -> None:
    """record: striate.sizes/1."""
    plain: Mapping[str, Any] = record
    axes: dict[str, SizesAxis] = {axis: plain[axis] for axis in AXES if axis in plain}
    page.line([(name, "bold"), "  input sizes that fit exactly"])
    page.line()
    if len({_key(solution) for solution in axes.values()}) == 1:
        first = next(iter(axes.values()))
        label = " and ".join(AXES[axis][0] for axis in axes)
        page.fields([(label, _rule(first)), *_nearest(record, first)])
    else:
        rows: list[tuple[str, Text]] = []
        for axis, solution in axes.items():
            rows += [(AXES[axis][0], _rule(solution)), *_nearest(record, solution)]
        page.fields([*rows, *([("square", _list(record["nearest"]))] if record["nearest"] else [])])
    page.line()
    page.line(_verdict(record["input"], axes), 2, 4)


def _key(solution: SizesAxis) -> tuple[object, ...]:
    return solution["rule"], solution["conflict"], tuple(solution["nearest"])


def _rule(solution: SizesAxis) -> Text:
    if solution["conflict"]:
        return [("no size fits", "red"), f": {solution['conflict']}"]
    rule, comma, least = solution["rule"].partition(", N >= ")
    return [(f"{rule} (N ≥ {least})" if comma else rule, "bold")]


def _nearest(record: Sizes, solution: SizesAxis) -> list[tuple[str, Text]]:
    return [(f"nearest {record['near']}", _list(solution["nearest"]))] if solution["nearest"] else []


def _list(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes))


def _verdict(input: list[int], axes: dict[str, SizesAxis]) -> Text:
    bad = [AXES[axis][0] for axis, solution in axes.items() if not solution["fits"]]
    if not bad:
        return [("✓ ", "green"), f"the input {shape(input)} fits"]
    where = " and ".join(bad)
    return [
        ("! ", "yellow"),
        f"the input {shape(input)} does not fit exactly in {where}; `striate check` says where",
    ]
