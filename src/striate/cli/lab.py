"""`striate lab`: the local page, on which everything can be touched and changed."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import Model, examples, input_option


@click.command(
    short_help="Open the local page: edit, check, draw, compare, watch.",
    epilog=examples(
        "striate lab",
        "striate lab resnet18",
        "striate lab '7x7x1 -> conv 3x3 /3'",
        "striate lab runs/digits",
        "striate lab net.toml --port 8000 --no-browser",
    ),
)
@click.argument("model", metavar="[MODEL]", required=False, default="", type=Model())
@input_option
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Use port N [a free one].")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser [on].")
def command(model: str, input: Any, port: int | None, browser: bool) -> None:
    """Serve a page on this machine until Ctrl-C, and print its link.

    The page shows the course, and the network as editable text. Every change is checked at once, a click applies a
    fix, images go through the network, and runs can be watched while they train. The page opens with MODEL.

    Only this machine can open the page, and only with the link. Nothing is written, and no other host is contacted.
    """
    from striate.checks import Config, check
    from striate.diagnostics import MissingExtraError
    from striate.extras import install_command

    try:
        from striate.views.lab.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError(
            "the page needs a web server",
            where="striate lab",
            why=f"{error.name} is not installed",
            fix=install_command("lab"),
        ) from None

    def say(link: str) -> None:
        click.echo(link)
        click.echo("open this link on this machine; Ctrl-C ends the page", err=True)

    config = Config.find()
    serve(model, input, lambda net: check(net, config), port, browser, say)
