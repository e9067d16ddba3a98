"""`striate diff`: two networks, or one at two input sizes."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
    Model,
    emit,
    emit_json,
    examples,
    json_option,
    load,
    page,
    save,
    show_record,
    size_option,
)


@click.command(
    short_help="Compare two networks, or one at two input sizes.",
    epilog=examples(
        "striate diff resnet18 resnet34",
        "striate diff resnet18 --input 224x224x3 --input-b 225x225x3",
        "striate diff vgg11 vgg13 -o diff.svg",
        "striate diff '7x7x1 -> conv 3x3 /3' '7x7x1 -> conv 3x3 /3 pad 1'",
    ),
)
@click.argument("a", metavar="A", type=Model())
@click.argument("b", metavar="[B]", required=False, type=Model())
@size_option("--input", "input_a", help="Input size of both (or of A, with --input-b).")
@size_option("--input-b", "input_b", help="Input size of B.")
@click.option("-o", "--output", type=click.Path(), metavar="FILE",
              help="Draw both to FILE (.svg .png .pdf .tex .json), with differences highlighted.")  # fmt: skip
@json_option
def command(a: str, b: str | None, input_a: Any, input_b: Any, output: str | None, as_json: bool) -> None:
    """Compare geometry, cost and findings of two networks, or of one at two input sizes.

    Without B, A is compared with itself at --input-b.
    """
    from striate.views.diff_record import diff_record

    if b is None and input_b is None:
        raise click.UsageError("nothing to compare with: give B, or --input-b")
    nets = load(a, input_a), load(b or a, input_b or input_a)
    one, other = map(show_record, nets)
    if output is not None and not as_json:
        from striate.views.drawing.comparison import diff_picture

        save(diff_picture(nets, (one, other)), output)
        return
    record = diff_record(one, other)
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import diff as view

    out = page()
    view.draw(out, record)
    emit(out)
