"""The live page alone, for a frame inside another page: record, module and policy, without a written report."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from striate.diagnostics import printable
from striate.views.page.module import inline_json, policy, script, style_sheet

if TYPE_CHECKING:
    from striate.views.schemas.live import LivePage

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}
body {{ margin: 0; padding: 0 0.8rem; background: var(--paper); color: var(--ink); font-family: var(--fonts); }}
</style>
</head>
<body>
<main>
<h1 hidden>{title}</h1>
<script type="application/json" data-striate-record data-route={route}>{record}</script>
</main>
<script type="module">{module}</script>
</body>
</html>
"""


def frame(record: LivePage, route: str = "") -> str:
    """An HTML page that shows a record. route: the view that it opens with, `layer?n=7&f=3`.

    The record holds its pictures. The page keeps its route to itself: the address belongs to the page around it.
    """
    text = script(record)
    return PAGE.format(
        policy=policy(text), title=escape(printable(record["show"]["name"])), style=style_sheet(),
        route=quoteattr(route), record=inline_json(record), module=text,
    )  # fmt: skip
