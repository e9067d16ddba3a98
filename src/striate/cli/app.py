"""The group of all commands. A command is the object `command` in the file of its name in this folder."""

from __future__ import annotations

import importlib
from typing import Any

import click

from striate.diagnostics import UnknownNameError, suggest

COMMANDS = (
    "show",
    "check",
    "explain",
    "sizes",
    "pixels",
    "diff",
    "draw",
    "report",
    "lab",
    "models",
    "convert",
    "train",
    "eval",
    "predict",
    "attribute",
    "probe",
    "nearest",
    "data",
    "bench",
    "doctor",
    "tour",
)
"""In the order in which `striate --help` lists them."""

ELSEWHERE = {
    "summary": "show", "info": "show", "describe": "show", "lint": "check", "rule": "explain", "list": "models",
    "plot": "draw", "visualize": "draw", "html": "report", "page": "report",
    "serve": "lab", "server": "lab", "ui": "lab", "app": "lab", "gui": "lab", "dashboard": "lab", "watch": "lab",
    "export": "convert", "fit": "train", "test": "eval", "val": "eval", "validate": "eval", "evaluate": "eval",
    "infer": "predict", "classify": "predict", "benchmark": "bench", "help": "--help", "version": "--version",
    "rules": "explain", "linter": "explain", "ls": "models", "zoo": "models", "cost": "show", "flops": "show",
    "profile": "bench", "datasets": "data", "detect": "predict", "saliency": "attribute", "gradcam": "attribute",
    "checks": "doctor", "settings": "doctor",
    "tuning": "probe", "electrode": "probe", "neighbors": "nearest", "exemplars": "nearest",
}  # fmt: skip
"""Command names of other tools -> Striate's."""

PIPE_CLOSED = 141
"""Exit code of a program stopped by a closed pipe: 128 + SIGPIPE."""

EXAMPLES = """\b
examples
  striate show resnet18
  striate check '7x7x1 -> conv 3x3 /3'
  striate train --data digits --model lenet5 --out runs/digits
  striate tour

\b
MODEL is a catalogue name (resnet18), a file (.toml .onnx .keras .h5 .py .safetensors), a
run folder, package.module:attribute, or a notation text such as
'32x32x3 -> conv 5x5 6 -> relu -> maxpool 2'.
"""


class Lazy(click.Group):
    """A group whose commands are imported when they are called (or listed)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"striate.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has seen enough: `striate show x | head`
            raise click.exceptions.Exit(PIPE_CLOSED) from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        word = args[0]
        if word in COMMANDS or word.startswith("-"):
            return super().resolve_command(ctx, args)
        from striate.models.catalogue import list_models

        model = "->" in word or ":" in word or "." in word or word in list_models()
        nearest = ELSEWHERE.get(word) or ("" if model else suggest(word, COMMANDS))
        raise UnknownNameError(
            f"no such command: {word}",
            where="striate",
            why=f"the commands are {', '.join(COMMANDS)}",
            fix=f"did you mean {nearest}?"
            if nearest
            else f"striate show '{word}'"
            if model
            else "striate --help",
        )


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from striate import __version__

        click.echo(f"striate {__version__}")
        ctx.exit()


def _completion(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if not value or ctx.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    kind = get_completion_class(value)
    assert kind is not None  # guaranteed by click.Choice
    click.echo(kind(ctx.command, {}, "striate", "_STRIATE_COMPLETE").source())
    ctx.exit()


@click.group(
    cls=Lazy,
    epilog=EXAMPLES,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option(
    "--show-completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=_completion,
    help='Print the completion script: eval "$(striate --show-completion bash)".',
)
@click.pass_context
def app(ctx: click.Context) -> None:
    """Convolutional networks you can see through."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
