"""Pages of the experiment: one file without a script, with the pictures of the units and all numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.drawing import population, recording
from striate.views.html.document import still
from striate.views.html.figure import Figure
from striate.views.text.population import GROUPS, interval
from striate.views.text.population import conditions as population_conditions
from striate.views.text.probe import conditions, measures, number, orientation

if TYPE_CHECKING:
    from striate.views.schemas.probe import Population, Probe, ProbedUnit

TEMPLATE = "probe.html"
COLUMNS = (
    "unit", "type", "#orientation", "#±", "#CV", "#OSI", "#bandwidth", "#frequency", "#F1/F0", "#overlap", "#surround",
    "best bar", "Gabor fit", "what is undefined",
)  # fmt: skip
"""Columns of the table of all units; those of numbers begin with #."""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: a picture, facts as (label, text), or rows of a table under its columns."""

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    figure: Figure | None = None
    facts: Sequence[tuple[str, Any]] = ()
    caption: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def page(found: Any, unit: int | None = None) -> str:
    """The text of the page of a `Recording`: of all units, or of one."""
    record: Probe = found.to_dict(unit)
    read = f", read at {record['value']}" if record["value"] != record["node"] else ""
    drawn: Any = recording.picture(found, unit).scene
    sheet = Figure("recording", drawn, drawn["drawing"]["description"])
    where = [(name, _plain(text)) for name, text in conditions(record)]
    if unit is None:
        title = f"{record['network']}: {record['node']}"
        rows = [[*_cells(one)] for one in record["units"]]
        parts = [
            Section("units", "The units", figure=sheet),
            Section("measures", "Measures", caption="Measures of each unit; a dash is a measure that it does not have",
                    columns=COLUMNS, rows=rows),
        ]  # fmt: skip
    else:
        (told,) = record["units"]
        title = f"{record['network']}: {record['node']}, unit {unit}"
        facts = [(name, _plain(text)) for name, text in measures(told)]
        parts = [
            Section("unit", "The unit", figure=sheet),
            Section("measures", "Measures", facts=facts),
            Section(
                "curves",
                "Curves in numbers",
                caption="Drive by orientation of the bar",
                columns=("orientation", "#drive"),
                rows=_curve(record, told),
            ),
        ]
    parts.append(Section("conditions", "Conditions", facts=where))
    lead = f"{plural(len(found.units), 'unit')}{read}: the experiment of Hubel and Wiesel"
    shown = [part for part in parts if part.figure or part.facts or part.rows]
    return still(TEMPLATE, title, lead=lead, sections=shown)


POPULATION = ("node", "weights", "#responding", "#CV", "#OSI", "#frequency", "#F1/F0", "#simple", "#complex")


def population_page(found: Any) -> str:
    """The text of the page of a `Population`."""
    record: Population = found.to_dict()
    drawn: Any = population.picture(found).scene
    sheet = Figure("population", drawn, drawn["drawing"]["description"])
    rows = []
    for node in record["nodes"]:
        for name, group in node["groups"].items():
            medians = (
                number(group["measures"][m]["median"], "", 2) for m in ("cv", "osi", "frequency_cpp", "f1_f0")
            )
            types = (str(group["types"][kind]) for kind in ("simple", "complex"))
            share = f"{group['responding']} of {group['units']}"
            rows.append([node["node"], GROUPS[name], share, *medians, *types])
    differs = [
        [node["node"], *(interval(node["differences"][name]) for name in ("untrained", "shuffled"))]
        for node in record["nodes"]
    ]
    parts = [
        Section("population", "All units", figure=sheet),
        Section("medians", "Medians", caption="Medians of the units that have a measure; a dash where none has",
                columns=POPULATION, rows=rows),
        Section("differences", "Differences",
                caption="Median of 1 - CV minus that of the controls, with its 95% interval",
                columns=("node", "to untrained", "to shuffled"), rows=differs),
        Section("conditions", "Conditions", facts=[(k, _plain(text)) for k, text in population_conditions(record)]),
    ]  # fmt: skip
    return still(TEMPLATE, f"{record['network']}: population", lead=record["statement"], sections=parts)


def _plain(text: Any) -> str:
    """A text of a terminal without its styles."""
    return text if isinstance(text, str) else "".join(p if isinstance(p, str) else p[0] for p in text)


def _cells(unit: ProbedUnit) -> Iterable[str]:
    """A row of the table of all units."""
    yield str(unit["unit"])
    if unit["type"] == "none" and unit["cv"] is None:
        yield from ("no response", *["-"] * (len(COLUMNS) - 3), "all measures")
        return
    yield unit["type"]
    yield orientation(unit["orientation_deg"])
    yield number(unit["uncertainty"].get("orientation_deg"), "°", 1)
    for name, sign, places in (
        ("cv", "", 2), ("osi", "", 2), ("bandwidth_deg", "°", 1), ("frequency_cpp", "", 3), ("f1_f0", "", 2),
        ("polarity_overlap", "", 2), ("surround_suppression", "", 2),
    ):  # fmt: skip
        yield number(unit[name], sign, places)  # type: ignore[literal-required]
    bar, fit = unit["best_bar"], unit["gabor"]
    yield "-" if bar is None else f"{bar['polarity']}, {orientation(bar['orientation_deg'])}"
    yield "-" if fit is None else f"{orientation(fit['orientation_deg'])}, R² {fit['r2']:.2f}"
    yield "; ".join(unit["notes"]) or "-"


def _curve(record: Probe, unit: ProbedUnit) -> list[list[str]]:
    if unit["curves"] is None:
        return []
    return [
        [f"{degrees:g}°", f"{value:.4g}"]
        for degrees, value in zip(record["orientations_deg"], unit["curves"]["orientation"], strict=True)
    ]
