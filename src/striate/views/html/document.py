"""The page as text: the template filled with what was gathered, every text escaped.

No request: the page opens from a file, offline, under the policy that it declares itself, which allows one script, the
page's own module. Without scripts the report is complete: the module adds views of the same network.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jinja2

from striate.diagnostics import plural, printable
from striate.version import __version__
from striate.views.page.module import STATIC_POLICY, inline_json, policy, script, style_sheet, themes
from striate.views.page.record import live_record, run_record
from striate.views.text import number_format
from striate.views.text.node import AXES
from striate.views.text.pixels import large

if TYPE_CHECKING:
    from striate.views.html.network_part import NetworkPart
    from striate.views.html.run_part import RunPart
    from striate.views.page.model import ModelParts

FILTERS = {
    "count": number_format.count,
    "short": number_format.short,
    "bytes": number_format.size,
    "shape": number_format.shape,
    "per_axis": number_format.per_axis,
    "plural": plural,
    "paths": large,
    "bar": lambda share: f"background-size: {share:.2%} 3px",
    "total": number_format.total,
    "bound": number_format.bound,
    "digits": lambda value: f"{value:.6g}",
    "percent": lambda share: f"{share:.2%}",
    "decimals": lambda value, digits: f"{value:.{digits}f}",
    "measure": lambda value: f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}",
    "hashed": lambda column: f"#{column}",
    "heading": lambda column: f"{'#' if column != 'epoch' else ''}{column.replace('_', ' ')}",
    "axis": lambda letter: AXES[letter][0],
}


def document(network: NetworkPart, run: RunPart | None = None, model: ModelParts | None = None) -> str:
    """The text of the HTML file. run: the training run whose network it is; model: what the page computes with."""
    template = environment().get_template("page.html")
    record = live_record(network.show, run_record(run) if run else None, model, network.network)
    text = script(record)
    return template.render(network=network, run=run, version=__version__, style=style_sheet(),
                           record=inline_json(record), module=text,
                           policy=policy(text)) + "\n"  # fmt: skip


def still(template: str, title: str, **parts: Any) -> str:
    """The text of an HTML file without a script, whose template extends `still.html`. title: its heading."""
    return environment().get_template(template).render(
        title=title, version=__version__, style=themes(), policy=STATIC_POLICY, **parts
    ) + "\n"  # fmt: skip


@functools.cache
def environment() -> jinja2.Environment:
    """What fills the templates of pages."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("striate.views.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    made.filters |= FILTERS
    return made


def _plain(value: Any) -> Any:
    """Control characters and broken UTF-8 of names as escapes; what is markup stays."""
    return printable(value, keep="\n") if isinstance(value, str) and not hasattr(value, "__html__") else value
