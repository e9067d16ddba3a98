"""`striate pixels`: how often each input pixel is used."""

from __future__ import annotations

from collections.abc import Mapping
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
@click.option("--node", metavar="NAME", help="Count the paths to this node instead of the output.")
@click.option("--of", metavar="INPUT", help="Show only this input of several.")
@click.option("--compare", is_flag=True, help="Compare valid, zero same, full, circular and reflect padding.")
@json_option
def command(model: str, input: Any, node: str | None, of: str | None, compare: bool, as_json: bool) -> None:
    """Count how often each input pixel is used.

    For one layer: the number of windows that read the pixel. For a network: the number of paths to the output, exactly.
    Pixels that are never read are counted; corner and border are compared with the center. With several inputs each
    image has its own map.
    """
    from striate.analysis import pixels
    from striate.views.json_records import images
    from striate.views.pixel_record import compare_record, comparison_by_input, pixels_by_input, pixels_record

    net = load(model, input)
    if node is not None:
        net.node(node)
    names: list[str | None] = [of]
    if of is None and len(net.inputs) > 1:
        names = list(images(net))
    uses = {} if compare else {name or net.input_name(): pixels(net, node, name) for name in names}
    compared = [compare_record(net, node, name) for name in names] if compare else []
    record: Mapping[str, Any]
    if len(net.inputs) > 1:
        record = comparison_by_input(compared) if compare else pixels_by_input(net, uses, node)
    else:
        record = compared[0] if compare else pixels_record(net, uses[net.input_name()], node)
    if as_json:
        emit_json(record)
        return
    from striate.views.text import pixels as view

    out = page()
    for one in compared:
        if len(net.inputs) > 1:
            out.line([(one["input"], "bold")])
        view.draw_modes(out, one)
    for name, use in uses.items():
        if len(net.inputs) > 1:
            out.line([(name, "bold")])
        view.draw(out, pixels_record(net, use, node), use)
    emit(out)
