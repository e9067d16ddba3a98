"""`striate doctor`: versions, CPU features, threads, optional parts."""

from __future__ import annotations

import click

from striate.cli.options import emit, emit_json, examples, json_option, page


@click.command(
    short_help="Versions, CPU, threads, optional parts.",
    epilog=examples("striate doctor", "striate doctor --json"),
)
@json_option
def command(as_json: bool) -> None:
    """Show versions, CPU features, usable threads and optional parts (with the command that installs them)."""
    from striate.views.machine import machine_record

    record = machine_record()
    if as_json:
        emit_json(record)
        return
    from striate.views.text import doctor as view

    out = page()
    view.draw(out, record)
    emit(out)
