"""`striate report`: a network, or a training run, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.cli.options import PAGES, emit_document, examples, input_option, load, model_argument

if TYPE_CHECKING:
    from striate.network import Network


def _page(context: click.Context, parameter: click.Parameter, output: str | None) -> str | None:
    """The file to write, whose name ends as pages do. Raises UsageError for another ending."""
    from striate.diagnostics import UsageError

    if output not in (None, "-") and Path(output).suffix.lower() not in PAGES:
        raise UsageError(
            f"a report is not written as {Path(output).suffix or 'a file without an ending'}",
            where=output,
            why="it is one HTML page",
            fix=f"write {Path(output).with_suffix('.html')}",
        )
    return output


@click.command(
    short_help="One HTML page about a network or a training run.",
    epilog=examples(
        "striate report resnet18 -o resnet18.html",
        "striate report '7x7x1 -> conv 3x3 /3' -o stride.html",
        "striate report runs/digits -o digits.html",
        "striate report model.onnx --input 192x192x3 -o model.html",
    ),
)
@model_argument
@input_option
@click.option("-o", "--output", metavar="FILE", type=click.Path(), callback=_page,
              help="Write to FILE (.html) instead of standard output.")  # fmt: skip
def command(model: str, input: Any, output: str | None) -> None:
    """Write an HTML page: pictures, findings with fixes, fitting input sizes, pixel use, receptive fields, cost.

    The page of a run folder begins with its training and evaluation, and shows its worst images.

    The page is one file: it opens offline, can be mailed and printed, and follows the reader's theme. Its views react
    to mouse, keyboard and touch; without scripts the report itself is complete.
    """
    from striate.checks import Config, check
    from striate.files import exists
    from striate.formats.folder import RUN_CONFIG
    from striate.views.html.document import document
    from striate.views.html.network_part import network_part
    from striate.views.page.model import model_parts

    net = load(model, input)
    findings = check(net, Config.find()).findings
    drawn = _draw(model, net if input else None)

    def page() -> str:
        run, folder = None, Path(model).expanduser()
        if exists(folder / RUN_CONFIG):
            from striate.views.html.run_part import run_part

            run = run_part(model)
        parts = model_parts(net, folder if run else None)
        return document(network_part(net, findings, drawn), run, parts)

    emit_document(page, output, f"{net.title}: one HTML page", net.title, ".html")


def _draw(model: str, sized: Network | None) -> str:
    """The command that draws the network. sized: the network, where an input size was given."""
    from shlex import quote

    from striate.views.text.number_format import shape

    inputs = sized.inputs if sized else {}
    sizes = {name: shape(spec.without_batch) for name, spec in inputs.items()}
    words = [quote(text if len(sizes) == 1 else f"{name}={text}") for name, text in sizes.items()]
    return " ".join(["striate draw", quote(model), *(f"--input {word}" for word in words)])
