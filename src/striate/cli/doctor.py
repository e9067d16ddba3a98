"""`striate doctor`: versions, CPU features, threads, compiled kernels, optional parts."""

from __future__ import annotations

import click

from striate.cli.options import emit, emit_json, examples, json_option, page


@click.command(
    short_help="Versions, CPU, threads, optional packages.",
    epilog=examples("striate doctor", "striate doctor --json", "striate doctor --clear-cache"),
)
@click.option("--clear-cache", is_flag=True, help="Delete the compiled kernels on disk.")
@json_option
def command(clear_cache: bool, as_json: bool) -> None:
    """Show versions, CPU features, usable threads, compiled kernels, and optional packages with the install command."""
    from striate.views.doctor_record import doctor_record

    if clear_cache:
        from striate.engine.codegen.code_cache import clear

        counts = clear()
    record = doctor_record()
    if as_json:
        emit_json(record)
        return
    from striate.views.text import doctor as view

    out = page()
    if clear_cache:
        view.draw_cleared(out, record, *counts)
    else:
        view.draw(out, record)
    emit(out)
