"""The page of `striate lab` as HTML: the record of its first network, and the script of the live page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.models import catalogue
from striate.views.page.catalogue import history_record
from striate.views.page.module import inline_json, style_sheet

if TYPE_CHECKING:
    from striate.views.lab.networks import Networks

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>striate lab</title>
<style>
{style}
body {{ margin: 0 auto; max-width: 100rem; padding: 0 1rem 3rem; background: var(--paper); color: var(--ink);
  font-family: var(--fonts); }}
</style>
</head>
<body>
<noscript>striate lab needs JavaScript; the page that striate report writes can be read without it.</noscript>
<script type="application/json" data-striate-lab>{start}</script>
<script type="module" src="/lab.js"></script>
</body>
</html>
"""


def page(networks: Networks) -> str:
    """The text of the page."""
    first = networks.first
    start = {
        "record": networks.record(first),
        "source": {"text": first.text} if first.text else {"model": first.model},
        "history": history_record(),
        "models": [*catalogue.list_models()],
        "view": networks.first_view,
    }
    return PAGE.format(style=style_sheet(), start=inline_json(start))
