"""`striate sizes`: the input sizes that fit a network exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

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

if TYPE_CHECKING:
    from striate.views.schemas.networks import Sizes


@click.command(
    short_help="The input sizes that fit exactly.",
    epilog=examples(
        "striate sizes resnet50", "striate sizes alexnet --near 256", "striate sizes '7x7x1 -> conv 3x3 /3'"
    ),
)
@model_argument
@input_option
@click.option(
    "--near",
    type=click.IntRange(min=1),
    metavar="N",
    help="Print the fitting sizes nearest to N [the input's own size].",
)
@json_option
def command(model: str, input: Any, near: int | None, as_json: bool) -> None:
    """Find the input sizes that fit exactly: no pixel is lost, padding is even, branches have equal sizes.

    Each axis is solved through the whole graph as a congruence: N = residue mod modulus, from a minimum upward. With
    several inputs each image is solved separately: inputs of the same size change with it, the others stay.
    """
    from striate.views.json_records import sizes_by_input

    net = load(model, input)
    record: Mapping[str, Any] = sizes_by_input(net, near)
    if as_json:
        emit_json(record)
        return
    from striate.views.text import sizes as view

    out = page()
    for name, one in record.get("inputs", {"": record}).items():
        if name and name != next(iter(record["inputs"])):
            out.line()
        view.draw(
            out, cast("Sizes", {"near": record["near"], **one}), f"{net.title}, {name}" if name else net.title
        )
    emit(out)
