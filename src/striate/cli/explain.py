"""`striate explain`: what a code means."""

from __future__ import annotations

import click

from striate.cli.options import Names, emit, emit_json, examples, json_option, output_option, page


def _codes() -> list[str]:
    from striate.checks import all_rules
    from striate.checks.reference import errors

    return [*(rule.code for rule in all_rules()), *(error.code for error in errors())]


@click.command(
    short_help="Explain a rule or an error.",
    epilog=examples(
        "striate explain G002",
        "striate explain stride-loses-pixels",
        "striate explain G",
        "striate explain --all --markdown -o docs/rules.md",
    ),
)
@click.argument("codes", metavar="CODE...", nargs=-1, type=Names("CODE", _codes))
@click.option("--all", "everything", is_flag=True, help="List every rule and error.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print all of them as one Markdown page.")
@json_option
@output_option
def command(
    codes: tuple[str, ...], everything: bool, as_markdown: bool, as_json: bool, output: str | None
) -> None:
    """Explain rules and errors: what, why, an example with its findings, the fix, the source.

    CODE is a code (G002), a rule's name (stride-loses-pixels) or the beginning of codes (G), which lists them.
    """
    from striate.checks.reference import markdown
    from striate.views.rules import rules_record

    if not codes and not everything and not as_markdown:
        raise click.UsageError("give a code, or --all")
    if as_markdown:
        emit(markdown(), output)
        return
    record = rules_record(_codes() if everything else codes)
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import rules as view

    out = page()
    view.draw(out, record, brief=everything or len(record["rules"]) > len(codes))
    emit(out, output)
