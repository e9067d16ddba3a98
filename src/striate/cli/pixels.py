"""`striate pixels`: how often each input pixel is used."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
    emit,
    emit_json,
    examples,
    input_option,
    json_option,
    load,
    model_argument,
    page,
)


@click.command(
    short_help="How often each input pixel is used.",
    epilog=examples(
        "striate pixels '5x5x1 -> conv 3x3'",
        "striate pixels '7x7x1 -> conv 3x3' --compare",
        "striate pixels resnet18 --node layer2.0.conv1",
        "striate pixels '7x7x1 -> conv 3x3 /3' --json",
    ),
)
@model_argument
@input_option
@click.option("--node", metavar="NAME", help="Count the ways to this node instead of to the output.")
@click.option(
    "--compare", is_flag=True, help="valid, zero same, full, circular and reflect padding side by side."
)
@json_option
def command(model: str, input: Any, node: str | None, compare: bool, as_json: bool) -> None:
    """Map in how many ways each input pixel reaches the output.

    For one layer: how many windows use the pixel. For a network: paths, counted exactly. Pixels that are never read
    are counted, corner and border are compared with the centre.
    """
    from striate.analysis import pixels
    from striate.views.use import compare_record, pixels_record

    net = load(model, input)
    if node is not None:
        net.node(node)
    if compare:
        record = compare_record(net, node)
    else:
        use = pixels(net, node)
        record = pixels_record(net, use, node)
    if as_json:
        emit_json(record)
        return
    from striate.views.text import pixels as view

    out = page()
    if compare:
        view.draw_modes(out, record)
    else:
        view.draw(out, record, use)
    emit(out)
