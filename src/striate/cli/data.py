"""`striate data`: what is in a dataset, and what is wrong with it."""

from __future__ import annotations

import click

from striate.cli.options import Names, emit, emit_json, examples, json_option, output_option, page
from striate.diagnostics import Severity, UnknownNameError, suggest

NEVER = "never"
LEVELS = (*(severity.value for severity in Severity), NEVER)


class _Group(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> object:  # type: ignore[override]
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        nearest = suggest(args[0], self.commands)
        raise UnknownNameError(
            f"no such command: data {args[0]}",
            where="striate data",
            why=f"the commands are {', '.join(self.commands)}",
            fix=f"did you mean {nearest}?" if nearest else f"striate data check {args[0]}",
        )


@click.group(cls=_Group, invoke_without_command=True, short_help="Inspect a dataset before training.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Inspect a dataset before training."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(
    "check",
    short_help="Classes, sizes, unreadable files, duplicates, leakage.",
    epilog=examples(
        "striate data check images/",
        "striate data check digits",
        "striate data check cifar-10-batches-bin --fail-on warning --json",
    ),
)
@click.argument("path", metavar="PATH", type=click.Path())
@click.option("--fail-on", metavar="SEVERITY", default="error", type=Names("SEVERITY", lambda: LEVELS),
              help="Lowest severity that gives exit code 1 [error] (error, warning, info, never).")  # fmt: skip
@json_option
@output_option
def check(path: str, fail_on: str, as_json: bool, output: str | None) -> int:
    """Read every image and report classes, sizes, unreadable files, duplicates, and images in two parts.

    PATH is what `striate train --data` takes. Errors are unreadable images, images in more than one part (leakage),
    equal images with different labels, and a single class; empty or unbalanced classes and duplicates are warnings.

    Exit code 0: no finding at or above --fail-on (by default: no errors); 1: such a finding; 2: bad input.
    """
    if fail_on not in LEVELS:
        nearest = suggest(fail_on, LEVELS)
        raise UnknownNameError(
            f"--fail-on: unknown severity {fail_on!r}",
            where="striate data check",
            why=f"the severities are {', '.join(LEVELS)}",
            fix=f"did you mean {nearest}?" if nearest else "--fail-on error",
        )
    from striate.terminal import Bar
    from striate.train.data import check_data

    with Bar() as bar:
        report = check_data(path, progress=lambda done, total: bar.count("reading", done, total))
    record = report.to_dict()
    if as_json:
        emit_json(record, output)
    else:
        from striate.views.text import datacheck as view

        out = page()
        view.draw(out, record)
        emit(out, output)
    failed = fail_on != NEVER and any(
        finding.severity.rank >= Severity(fail_on).rank for finding in report.findings
    )
    return int(failed)
