"""A saved run of bench/draw.py as a page: the times, and how large the files are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support import record

from striate.diagnostics import plural

NAMES = {
    "striate_graph": "striate draw --kind graph",
    "striate_blocks": "striate draw --kind blocks",
    "torchview": "torchview + Graphviz",
    "visualtorch_flow": "visualtorch, flow",
    "visualtorch_graph": "visualtorch, graph",
}
"""tool -> what its row is called"""


def files(run: Mapping[str, Any]) -> list[list[str]]:
    """The bytes of each tool's file: lines of cells, the first being the column titles."""
    models = list(dict.fromkeys(answer["model"] for answer in run["answers"]))
    rows: dict[str, list[str]] = {}
    for answer in run["answers"]:
        name = f"{NAMES[answer['tool']]} ({answer['form']})"
        rows.setdefault(name, []).append(f"{answer['bytes']:,}")
    return [["bytes of the file", *models], *([name, *sizes] for name, sizes in rows.items())]


def text(run: Mapping[str, Any]) -> str:
    """The files for a terminal."""
    return f"{plural(len(run['answers']), 'file')}\n{record.text_table(files(run), indent=2)}"


def page(run: Mapping[str, Any]) -> str:
    """The run as a section of a page."""
    return f"{record.markdown(run)}\n\n{record.markdown_table(*files(run))}"
