"""The table of `striate show` for other programs: comma-separated values, Markdown, and HTML for notebooks."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural, printable
from striate.views.text.number_format import bound, count, inputs, lacking, per_axis, shape, size

if TYPE_CHECKING:
    from striate.views.schemas.networks import Show, ShownNode


def csv_text(record: Show) -> str:
    """One row for each node; a column for each fact and axis, empty where it does not apply."""
    rows = [_flat(record, node) for node in record["nodes"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(record: Show, node: ShownNode) -> dict[str, Any]:
    row: dict[str, Any] = {"name": node["name"], "op": node["op"], "text": node["text"]}
    row["inputs"] = " ".join(node["inputs"])
    row["filter"] = shape(node["filter"]) if node["filter"] else ""
    row["output"] = ", ".join(node["sizes"])
    row |= {"params": node["params"], "macs": node["macs"], "activation_bytes": node["activation_bytes"]}
    row["aligned"] = "yes" if node["aligned"] else "no"
    for axis, field in node["receptive_field"].items():
        row |= {f"field_{axis}_{key}": value for key, value in field.items()}
    for axis, window in node["window"].items():
        for key, value in window.items():
            if key == "pad":
                row[f"window_{axis}_pad_before"], row[f"window_{axis}_pad_after"] = window["pad"]
            elif key not in ("formula", "transposed"):
                row[f"window_{axis}_{key}"] = value
    row["findings"] = " ".join(
        dict.fromkeys(f["code"] for f in record["findings"] if f["node"] == node["name"])
    )
    return row


HEAD = ("node", "op", "output", "params", "MACs", "field", "memory", "findings")
"""Columns of the tables for readers; the first two and the last are texts, the others numbers."""


def _cells(record: Show) -> Iterator[tuple[str, ...]]:
    """One row for each node."""
    for node in record["nodes"]:
        codes = dict.fromkeys(f["code"] for f in record["findings"] if f["node"] == node["name"])
        yield (
            node["name"],
            node["text"],
            ", ".join(node["sizes"]),
            count(node["params"]),
            count(node["macs"]),
            per_axis([field["size"] for field in node["receptive_field"].values()]),
            size(node["activation_bytes"]),
            " ".join(codes),
        )


def _totals(record: Show) -> str:
    totals = record["totals"]
    return (
        f"{bound(record, 'params')}{plural(totals['params'], 'parameter')}, "
        f"{bound(record, 'macs')}{count(totals['macs'])} MACs ({record['convention']})"
        f"{lacking(record, 'params', 'macs')}, "
        f"peak memory {size(totals['peak_bytes'])} for one image."
    )


def markdown_text(record: Show) -> str:
    """A Markdown table with the totals under it."""
    lines = [f"**{_escape(record['name'])}**, {inputs(record)}", ""]
    lines += [f"| {' | '.join(HEAD)} |", "|---|---|---:|---:|---:|---:|---:|---|"]
    for name, op, *numbers in _cells(record):
        lines.append(f"| {' | '.join((_escape(name), _escape(op), *numbers))} |")
    for problem in record["problems"]:
        why = f"{problem['code']}: {_escape(problem['why'])}"
        lines.append(f"| **{_escape(problem['node'] or 'network')}** | {why} | none | | | | | |")
    return "\n".join([*lines, "", _totals(record), ""])


def html_text(record: Show) -> str:
    """An HTML table with the totals under it, for a notebook."""
    problems = ((p["node"] or "", f"{p['code']}: {p['why']}") for p in record["problems"])
    failed = "".join(
        f"<tr><td><b>{html_words(node)}</b></td>"
        f'<td colspan="7" style="text-align: left">{html_words(text)}</td></tr>'
        for node, text in problems
    )
    return (
        f"<p><b>{html_words(record['name'])}</b>, {html_words(inputs(record))}</p>"
        f"{html_table(HEAD, [*_cells(record)], (0, 1, 7), failed)}<p>{html_words(_totals(record))}</p>"
    )


TEXT_STYLE = "text-align: left; max-width: 40em; overflow-wrap: break-word"
"""Of a cell with a text: a name of 300 letters does not push the numbers off the page."""


def html_words(text: str) -> str:
    """A text of a stranger inside HTML."""
    return escape(printable(text))


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[int] = (0,), last: str = ""
) -> str:
    """An HTML table. texts: the columns that hold texts, the others are numbers; last: HTML of the last rows."""

    def line(tag: str, cells: Sequence[str]) -> str:
        styles = (TEXT_STYLE if k in texts else "text-align: right" for k in range(len(cells)))
        inner = (
            f'<{tag} style="padding: 0.15em 0.6em; {style}">{html_words(cell)}</{tag}>'
            for style, cell in zip(styles, cells, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    top = f"<thead>{line('th', head)}</thead>" if head else ""
    body = f"<tbody>{''.join(line('td', row) for row in rows)}{last}</tbody>"
    return f'<div style="overflow-x: auto"><table>{top}{body}</table></div>'


def _escape(text: str) -> str:
    for sign in "\\|*_<`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
