"""`striate show`: the table of a network, or one node in full."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
    Names,
    emit,
    emit_json,
    examples,
    input_option,
    json_option,
    load,
    model_argument,
    output_option,
    page,
    show_record,
)  # fmt: skip


def _conventions() -> list[str]:
    from striate.analysis.conventions import CONVENTIONS

    return list(CONVENTIONS)


@click.command(
    short_help="Table of a network: sizes, cost, receptive fields, findings.",
    epilog=examples(
        "striate show resnet18",
        "striate show '32x32x3 -> conv 5x5 6 -> relu -> maxpool 2' --node conv1",
        "striate show lenet5 --csv > lenet5.csv",
        "striate show mobilenet_v2 --mac-convention fvcore",
        "striate show resnet50 --fold",
        "striate show resnet50 --reconcile",
    ),
)
@model_argument
@input_option
@click.option(
    "--node", metavar="NAME", help="Show one node in detail: formula, filter, weights, cost, receptive field."
)
@click.option("--mac-convention", metavar="NAME", type=Names("NAME", _conventions), default="striate",
              help="Convention for counting MACs; --reconcile lists them.")  # fmt: skip
@click.option(
    "--reconcile", is_flag=True, help="Show MACs under every convention, with the reasons for differences."
)
@click.option("--fold", is_flag=True, help="Show repeated blocks once.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, one row for each node.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table.")
@output_option
def command(
    model: str,
    input: Any,
    node: str | None,
    mac_convention: str,
    reconcile: bool,
    fold: bool,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    output: str | None,
) -> None:
    """Show every node: window, output size, parameters, MACs, receptive field, memory, findings.

    A layer that does not fit is flagged and shown with the size to which frameworks round down. The table ends at a
    layer without an output, with its formula. Sizes are height x width x channels.
    """
    if as_json + as_csv + as_markdown > 1:
        raise click.UsageError("--json, --csv and --markdown exclude each other")
    net = load(model, input)
    if reconcile:
        _reconcile(net, as_json, output)
        return
    record = show_record(net, mac_convention)
    if node is not None:
        from striate.views.node_record import detail_record

        detail = detail_record(net, node, record)
        if as_json:
            emit_json(detail, output)
            return
        from striate.views.text import node as node_view

        out = page()
        node_view.draw(out, detail)
        emit(out, output)
    elif as_json:
        emit_json(record, output)
    elif as_csv or as_markdown:
        from striate.views import table_formats

        emit(table_formats.csv_text(record) if as_csv else table_formats.markdown_text(record), output)
    else:
        from striate.views.text import show as view

        out = page()
        view.draw(out, record, fold)
        emit(out, output)


def _reconcile(net: object, as_json: bool, output: str | None) -> None:
    from striate.views.json_records import reconcile_record

    record = reconcile_record(net)  # type: ignore[arg-type]
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import cost as view

    out = page()
    view.draw(out, record)
    emit(out, output)
