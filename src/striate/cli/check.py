"""`striate check`: lint networks."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from striate.checks.config import Config
from striate.checks.outputs import FORMATS, STATISTICS
from striate.cli.options import (
    Command,
    Model,
    Names,
    emit,
    examples,
    input_option,
    load,
    output_option,
    page,
    setting_flag,
)
from striate.diagnostics import Severity, StriateError, UsageError, plural
from striate.fields import options


def _codes() -> list[str]:
    from striate.checks import all_rules

    return [rule.code for rule in all_rules()]


def _settings(command: Command) -> Command:
    """Add a flag for every setting of `Config`, except those that belong in pyproject.toml."""
    for option in reversed([*options(Config)]):
        if option.kind not in ("codes by node", "models", "sizes by input"):
            codes = Names("CODES", _codes) if option.kind == "codes" else None
            name, facts = setting_flag(option, codes)
            facts["help"] = f"{facts['help'][:1].upper()}{facts['help'][1:]}."
            command = click.option(name, **facts)(command)
    return command


@click.command(
    short_help="Lint a network: what does not fit, why, the smallest fix.",
    epilog=examples(
        "striate check resnet18 --input 225x225x3",
        "striate check '7x7x1 -> conv 3x3 /3'; echo $?",
        "striate check lenet5 --select G,P --fail-on warning",
        "striate check model.toml --fix",
        "striate check model.toml --output-format sarif -o striate.sarif",
        "striate check resnet50 --max-macs 4G --max-memory 64MiB",
        "striate check",
    ),
)
@click.argument("models", metavar="[MODEL...]", nargs=-1, type=Model())
@input_option
@click.option("--fix", "fix", is_flag=True, help="Apply safe fixes to .toml files; print the changes.")
@click.option("--diff", is_flag=True, help="Print what --fix would change; exit 1 if there is anything.")
@click.option("--unsafe-fixes", is_flag=True, help="Also apply fixes that change sizes or weight shapes.")
@click.option(
    "--output-format", type=click.Choice(list(FORMATS)), default="full", help="Output format of the findings."
)
@click.option("--json", "as_json", is_flag=True, help="Same as --output-format json.")
@click.option("--statistics", is_flag=True, help="Print the number of findings per rule instead.")
@output_option
@_settings
@click.option("--exit-zero", is_flag=True, help="Exit with code 0 whatever the findings.")
@click.option(
    "--write-baseline", type=click.Path(), metavar="FILE", help="Write the current findings to FILE."
)
@click.option(
    "--config", type=click.Path(), metavar="FILE", help="Use this pyproject.toml (default: the nearest)."
)
@click.option("--isolated", is_flag=True, help="Read no pyproject.toml.")
def command(
    models: tuple[str, ...],
    input: Any,
    fix: bool,
    diff: bool,
    unsafe_fixes: bool,
    output_format: str,
    as_json: bool,
    statistics: bool,
    output: str | None,
    exit_zero: bool,
    write_baseline: str | None,
    config: str | None,
    isolated: bool,
    **settings: str | None,
) -> int:
    """Report where a network does not fit, why, and the smallest fix.

    Without a MODEL, check the `models` in [tool.striate] of pyproject.toml at its `input`.

    Exit code 0: no finding at or above --fail-on (by default: no errors); 1: such a finding; 2: bad input.
    """
    from striate.checks import check

    name = _format("json" if as_json else output_format, statistics)
    if unsafe_fixes and not (fix or diff):
        raise click.UsageError("--unsafe-fixes needs --fix or --diff")
    check_config = _config(config, isolated).replace(**settings)
    if write_baseline:  # a new baseline includes the findings of the old one
        check_config = dataclasses.replace(check_config, baseline=None)
    if not models or (
        models == (".",) and not Path("config.json").exists()
    ):  # `check .`, as for linters of files
        models, input = _configured_models(check_config), input or check_config.input
    reports, changes, failed = [], list[str](), False
    for model in models:
        try:
            report = check(load(model, input), check_config, _file(model))
            if fix or diff:
                from striate.cli import fixing

                report, text = fixing.fix_model(model, input, report, write=not diff, unsafe=unsafe_fixes)
                changes += [text] if text else []
            reports.append(report)
        except StriateError as error:
            if len(models) == 1:
                raise
            click.echo(str(error.at("", model)), err=True)
            failed = True
    text = "\n".join(changes)
    if diff:
        emit(text + "\n" if text else "", output)
        return 2 if failed else int(bool(changes) and not exit_zero)
    if changes:  # changes go to stdout above findings for people, but to stderr next to findings for programs
        click.echo(text + "\n", err=name not in READ or output is not None)
    if write_baseline:
        from striate.checks import baseline

        count = baseline.write(Path(write_baseline), [(r.network.name, r.findings) for r in reports])
        click.echo(f"{plural(count, 'finding')} written to {write_baseline}", err=True)
        return 2 if failed else 0
    text = PRINTERS[name](reports)
    if name == "full" and output is None and sys.stdout.isatty():
        text = _paint(text, {finding.code: finding.severity for r in reports for finding in r.findings})
    kind = {"sarif": "json", "junit": "xml"}.get(name, "json" if name.startswith("json") else "text")
    emit(text + "\n" if text else "", output, kind)
    return 2 if failed else int(any(report.failed for report in reports) and not exit_zero)


PRINTERS = {**FORMATS, **STATISTICS}
READ = ("full", "concise", "markdown", "statistics")
"""Formats for people."""


def _format(name: str, statistics: bool) -> str:
    if not statistics:
        return name
    if name == "json":
        return "json statistics"
    if name not in ("full", "concise"):
        raise click.UsageError(f"--statistics prints text or JSON, not {name}")
    return "statistics"


def _configured_models(config: Any) -> tuple[str, ...]:
    models: tuple[str, ...] = config.files()
    if not models:
        raise UsageError(
            "no model is named",
            where="striate check [MODEL...]",
            why="no MODEL is given; this folder is not that of a model, and no pyproject.toml has `models` in "
            "[tool.striate]",
            fix='give one, such as `striate check resnet18`, or add models = ["nets/*.toml"] there',
        )
    return models


def _file(model: str) -> str | None:
    """The file of a MODEL argument, or None."""
    for name in (model, model.rpartition(":")[0]):
        if name and "->" not in name and Path(name).is_file():
            return name
    return None


def _paint(text: str, severities: Mapping[str, Severity]) -> str:
    """The full text wrapped to the terminal, codes in the color of their severity."""
    from striate.views.text.rules import STYLES

    out = page()
    for block in text.split("\n\n"):
        if out.lines:
            out.line()
        severity = severities.get(block.split(" ")[0])
        out.message(block, f"bold {STYLES[severity]}" if severity else "")
    return str(out).removesuffix("\n")


def _config(path: str | None, isolated: bool) -> Config:
    from striate.diagnostics import FormatError

    if isolated:
        return Config()
    if path is None:
        return Config.find()
    config = Config.read(Path(path))
    if config is None:
        raise FormatError("it has no settings for Striate", where=path, fix="add a [tool.striate] table")
    return config
