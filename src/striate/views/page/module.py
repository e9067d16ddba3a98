"""The built module of the page (source: web/), and how a page may contain it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from striate.views.drawing import theme
from striate.views.drawing.svg import FONTS

COLORS = ("paper", "ink", "muted", "faint", "line", "error", "warning", "info", "error-fill", "warning-fill",
          "info-fill", "good", "good-fill", "padding", "window", "window-fill", "filter", "params", "macs", "conv",
          "pool", "dense", "other", *theme.SERIES)  # fmt: skip
"""Colors of the theme that the style sheets use as variables."""

STATIC_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The content security policy of a page without a script: it asks for nothing."""


@cache
def module(name: str = "striate") -> str:
    """The text of a module: `striate`, which starts by itself where a page holds a record; `experiment`, which stands
    in front of it where the view `lab` can be used; `lab`, which `striate lab` adds to them.
    """
    return (resources.files("striate.views") / "static" / f"{name}.js").read_text("ascii").rstrip("\n")


def script(record: Mapping[str, object]) -> str:
    """The one script of a page with a record: the modules that it needs."""
    return "\n".join(
        module(name) for name in (*(("experiment",) if "experiment" in record else ()), "striate")
    )


@cache
def policy(script: str) -> str:
    """The content security policy of a page that holds a script: it asks for nothing, and runs no other one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{STATIC_POLICY}; script-src 'sha256-{digest}'"


def variables(colors: Mapping[str, str]) -> str:
    """A theme as declarations of a style sheet."""
    return " ".join(f"--{name}: {colors[name]};" for name in COLORS)


def themes() -> str:
    """Both themes (dark where the reader prefers it) and fonts as a style sheet."""
    return (
        f":root {{ {variables(theme.LIGHT)} --fonts: {FONTS}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(theme.DARK)} }} }}"
    )


def style_sheet() -> str:
    """The style sheet of a page with the module: themes, fonts and views."""
    rules = (resources.files("striate.views") / "static" / "striate.css").read_text("ascii").rstrip("\n")
    return f"{themes()}\n{rules}"


def inline_json(record: Any) -> str:
    """A record as JSON that no name in it can leave: for the inside of a script element."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
