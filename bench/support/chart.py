"""One picture of a run: how many times longer than Striate each tool takes, network by network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from support.comparison import OURS, case_of, is_layer

from striate.peers.timing import Summary
from striate.peers.tools import TOOLS

COLORS = {
    "torch_eager": "#9467bd", "torch_channels_last": "#9467bd", "torch_frozen": "#8c564b",
    "torch_compile": "#e377c2", "onnxruntime": "#1f77b4", "openvino": "#2ca02c", "ncnn": "#d68a00", "mnn": "#17a2b8",
}  # fmt: skip
HOLLOW = {"torch_eager"}
LEFT, RIGHT, LINE, WIDTH = 172, 24, 26, 760
TICKS = (1, 1.5, 2, 3, 5, 10, 20)

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #222 } .faint { fill: #666 }
  .head { font-weight: 600; font-size: 14px }
  .grid { stroke: #ddd } .ours { stroke: #c2185b; stroke-width: 2 } .oursText { fill: #c2185b; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e6e6 } .faint { fill: #aaa } .grid { stroke: #444 } .ours { stroke: #ff6fa5 }
    .oursText { fill: #ff6fa5 } .ground { fill: #16181d }
  }
"""


def svg(run: Mapping[str, Any], threads: int | None = None) -> str:
    """A row for each network and batch: a dot for each tool, on a logarithmic axis of times as long as Striate."""
    threads = threads or max(run["settings"]["threads"])
    rows = list(_rows(run, threads))
    tools = [tool for tool in TOOLS if tool in COLORS and any(tool in dots for _, dots in rows)]
    most = max([x for _, dots in rows for x in dots.values()] + [2.0])
    low = min([x for _, dots in rows for x in dots.values()] + [1.0])
    start, end = math.log(min(low, 1.0) * 0.95), math.log(most * 1.05)

    def across(ratio: float) -> float:
        return LEFT + (math.log(ratio) - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<text x="12" y="22" class="head">Time of one batch, relative to Striate ({threads} threads)</text>'
    ]
    x, y = 12.0, 40
    for tool in tools:
        label = TOOLS[tool].label
        if x + 7.2 * len(label) > WIDTH - RIGHT:
            x, y = 12.0, y + 18
        parts += [_dot(tool, x + 5, y), f'<text x="{x + 14:.0f}" y="{y + 4}">{escape(label)}</text>']
        x += 30 + 6.8 * len(label)
    top = y + 24
    bottom = top + LINE * len(rows)
    for tick in TICKS:
        if start <= math.log(tick) <= end:
            at = across(tick)
            kind = "ours" if tick == 1 else "grid"
            parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 6}" y2="{bottom}"/>')
            label, own = ("Striate", "oursText") if tick == 1 else (f"{tick:g}×", "faint")
            parts.append(
                f'<text class="{own}" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>'
            )
    for k, (name, dots) in enumerate(rows):
        y = top + LINE * k + 12
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if dots:
            ends = across(min(*dots.values(), 1.0)), across(max(*dots.values(), 1.0))
            parts.append(f'<line class="grid" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}"/>')
        for tool, ratio in dots.items():
            title = f"{TOOLS[tool].label}: {ratio:.2f} times Striate's time"
            parts.append(_dot(tool, across(ratio), y, title))
        parts.append(f'<circle cx="{across(1):.1f}" cy="{y}" r="4" class="ours" fill="#c2185b"/>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 30}" '
        f'viewBox="0 0 {WIDTH} {bottom + 30}" role="img" aria-label="Times relative to Striate">\n'
        f'<style>{STYLE}</style>\n<rect class="ground" width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _dot(tool: str, x: float, y: float, title: str = "") -> str:
    color = COLORS[tool]
    fill = "none" if tool in HOLLOW else color
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{fill}" stroke="{color}" stroke-width="1.5">{inner}</circle>'


def _rows(run: Mapping[str, Any], threads: int) -> Any:
    """(network and batch, {tool: ratio}) for every case with that many threads."""
    groups: dict[str, dict[str, float]] = {}
    for row in run["rows"]:
        groups.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"]).median
    names = {TOOLS[tool].label: tool for tool in TOOLS}
    for group, times in groups.items():
        if group.startswith(("process", "peak")) or TOOLS[OURS].label not in times:
            continue
        model, batch, count = case_of(group)
        if count == threads and not is_layer(model):
            mine = times.pop(TOOLS[OURS].label)
            dots = {names[label]: time / mine for label, time in times.items() if names.get(label) in COLORS}
            yield f"{model}, batch {batch}", dots
