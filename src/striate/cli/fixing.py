"""`striate check --fix` and `--diff` for one model: fix its network, rewrite its source, print the changes."""

from __future__ import annotations

from typing import Any

import click

from striate.checks import check
from striate.checks.fixing import apply_fixes, count_unsafe
from striate.checks.report import Report
from striate.cli.options import load
from striate.diagnostics import FormatError, plural, printable


def fix_model(model: str, input: Any, report: Report, *, write: bool, unsafe: bool) -> tuple[Report, str]:
    """Fix a model; return the report of the remaining findings, and the change: a diff or a notation, empty if none."""
    result = apply_fixes(report, unsafe=unsafe, inputs=input is None)
    count = 0 if unsafe else count_unsafe(result.report, inputs=input is None)
    if count:
        more = "more " if result.applied else ""
        fixes = plural(count, f"{more}fix", f"{more}fixes")
        click.echo(f"{report.source or report.network.name}: {fixes} with --unsafe-fixes", err=True)
    if not result.applied:
        return report, ""
    from striate.formats.rewriting import rewrite

    try:
        source = rewrite(model, result.report.network, input)
    except FormatError as error:
        error.why = f"{plural(len(result.applied), 'fix', 'fixes')} could be applied; {error.why}"
        click.echo(str(error), err=True)
        return report, ""
    if source.path is None and write:
        return result.report, printable(source.new, keep="\n")
    text = printable(_diff(source.old, source.new, model if source.path else "notation"), keep="\n")
    if source.path is None or not write:
        return result.report, text
    from striate.files import write_aside

    write_aside(source.path, source.new.encode())
    click.echo(f"{plural(len(result.applied), 'fix', 'fixes')} applied to {source.path}", err=True)
    return check(load(model, input), report.config, report.source), text  # with the lines of the new file


def _diff(old: str, new: str, name: str) -> str:
    import difflib

    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
    return "\n".join(lines)
