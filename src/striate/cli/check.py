"""`striate check`: lint networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from striate.cli.options import Model, Names, emit, examples, input_option, load, output_option, page
from striate.diagnostics import StriateError

FORMATS = ("full", "concise", "json", "sarif", "github", "junit")


def _codes() -> list[str]:
    from striate.checks import all_rules

    return [rule.code for rule in all_rules()]


def _selectors(flag: str, text: str) -> Any:
    return click.option(flag, metavar="CODES", type=Names("CODES", _codes), help=text)


@click.command(
    epilog=examples(
        "striate check resnet18 --input 225x225x3",
        "striate check '7x7x1 -> conv 3x3 /3'; echo $?",
        "striate check lenet5 --select G,P --fail-on warning",
        "striate check model.toml --output-format sarif -o striate.sarif",
        "striate check resnet50 --max-macs 4G --max-memory 64MiB",
    )
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=Model())
@input_option
@click.option("--output-format", type=click.Choice(FORMATS), default="full", help="How to print findings.")
@click.option("--json", "as_json", is_flag=True, help="The same as --output-format json.")
@output_option
@_selectors("--select", "Only these rules (codes, prefixes or names; comma-separated).")
@_selectors("--extend-select", "These rules besides.")
@_selectors("--ignore", "Not these rules.")
@click.option("--fail-on", metavar="SEVERITY", type=Names("SEVERITY", lambda: ("error", "warning", "info", "never")),
              help="Exit 1 from this severity on: error (default), warning, info or never.")  # fmt: skip
@click.option("--max-params", metavar="N", help="Budget for C001, e.g. 5M.")
@click.option("--max-macs", metavar="N", help="Budget for C001, e.g. 1.2G.")
@click.option("--max-memory", metavar="N", help="Budget for C001, e.g. 64MiB.")
@click.option("--object-px", metavar="N", help="Size in pixels of what is to be seen (R003).")
@click.option("--baseline", type=click.Path(), metavar="FILE", help="Leave out the findings in FILE.")
@click.option("--write-baseline", type=click.Path(), metavar="FILE", help="Write today's findings to FILE.")
@click.option("--config", type=click.Path(), metavar="FILE", help="A pyproject.toml (default: the nearest).")
@click.option("--isolated", is_flag=True, help="Read no pyproject.toml.")
def command(
    models: tuple[str, ...],
    input: str | None,
    output_format: str,
    as_json: bool,
    output: str | None,
    write_baseline: str | None,
    config: str | None,
    isolated: bool,
    **settings: str | None,
) -> int:
    """Say where a network does not fit, why, and the smallest fix.

    Exit code 0: nothing found at or above --fail-on; 1: findings; 2: bad input.
    """
    from striate.checks import check, outputs

    chosen = _config(config, isolated).replace(**settings)
    reports, failed = [], False
    for model in models:
        try:
            reports.append(check(load(model, input), chosen))
        except StriateError as error:
            if len(models) == 1:
                raise
            click.echo(str(error.at("", model)), err=True)
            failed = True
    if write_baseline:
        from striate.checks import baseline

        count = baseline.write(Path(write_baseline), {r.network.name: r.findings for r in reports})
        click.echo(f"{count} findings written to {write_baseline}", err=True)
        return 2 if failed else 0
    name = "json" if as_json else output_format
    terminal = page().terminal
    text = outputs.FORMATS[name](reports)
    emit(text + "\n" if text else "", output)
    return 2 if failed else int(any(report.failed for report in reports))


def _config(path: str | None, isolated: bool) -> Any:
    from striate.checks.config import Config
    from striate.diagnostics import FormatError

    if isolated:
        return Config()
    if path is None:
        return Config.find()
    config = Config.read(Path(path))
    if config is None:
        raise FormatError("there are no settings for Striate", where=path, fix="write a [tool.striate] table")
    return config
