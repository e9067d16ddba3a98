"""What `striate check --fix` and `--diff` do with one model: fix its network, change its source, say what changed."""

from __future__ import annotations

from typing import Any

import click

from striate.checks import check
from striate.checks.fixing import fixed as made
from striate.checks.fixing import hidden
from striate.checks.report import Report
from striate.cli.options import load
from striate.diagnostics import FormatError, plural, printable


def fixed(model: str, input: Any, report: Report, *, write: bool, unsafe: bool) -> tuple[Report, str]:
    """The report of what is left, and what changed: a diff, or the text of a notation; empty where nothing did."""
    done = made(report, unsafe=unsafe, inputs=input is None)
    left = 0 if unsafe else hidden(done.report, inputs=input is None)
    if left:
        more = "more " if done.made else ""
        counted = plural(left, f"{more}fix", f"{more}fixes")
        click.echo(f"{report.source or report.network.name}: {counted} with --unsafe-fixes", err=True)
    if not done.made:
        return report, ""
    from striate.formats.rewriting import rewrite

    try:
        source = rewrite(model, done.report.network, input)
    except FormatError as error:
        error.why = f"{plural(len(done.made), 'fix', 'fixes')} could be applied; {error.why}"
        click.echo(str(error), err=True)
        return report, ""
    if source.path is None and write:
        return done.report, printable(source.new, keep="\n")
    text = printable(_diff(source.old, source.new, model if source.path else "notation"), keep="\n")
    if source.path is None or not write:
        return done.report, text
    from striate.files import write_aside

    write_aside(source.path, source.new.encode())
    click.echo(f"{plural(len(done.made), 'fix', 'fixes')} applied to {source.path}", err=True)
    return check(load(model, input), report.config, report.source), text  # with the lines of the new file


def _diff(old: str, new: str, name: str) -> str:
    import difflib

    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
    return "\n".join(lines)
