"""Every exception as a StriateError: what, where, why, fix, code. Imported only when something failed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

from striate.diagnostics import (
    InternalError,
    LimitError,
    SourceError,
    StriateError,
    UnknownNameError,
    UsageError,
    suggest,
)

ELSEWHERE = {
    "--format": "--output-format", "--learning-rate": "--lr",
    "--batch": "--batch-size", "--imgsz": "--input", "--input-size": "--input", "-v": "--version", "-V": "--version",
}  # fmt: skip
"""What other tools call an option."""


def explained(error: Exception, arguments: Sequence[str] = ()) -> StriateError:
    """`error` as the five-part error that the command line prints; `arguments`: what the user typed."""
    if isinstance(error, StriateError):
        return error
    if isinstance(error, click.UsageError):
        return _usage(error, arguments)
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    if isinstance(error, OSError):
        name = str(error.filename) if error.filename is not None else ""
        return SourceError(
            f"{name}: {error.strerror}" if name else str(error.strerror or error),
            where=name,
            why=str(error),
            fix="look at the path, its permissions and the free space",
        )
    if isinstance(error, RecursionError):
        return LimitError(
            "the input is nested too deeply",
            why="reading it needs more levels than Python allows",
            fix="write it with fewer brackets inside brackets",
        )
    if isinstance(error, MemoryError):
        return LimitError(
            "the memory of this machine is not enough",
            why="the input asks for more than could be given",
            fix="a smaller --input, or fewer channels",
        )
    return InternalError(
        f"{type(error).__name__}: {error}",
        why="this is a fault of Striate",
        fix="run it again with STRIATE_TRACEBACK=1 and report what it prints",
    )


def _ours(option: str | None, context: click.Context | None) -> str:
    """What this command calls an option of another tool; empty if it has no such option."""
    ours = ELSEWHERE.get(option or "", "")
    known = context.command.get_params(context) if context and ours else []
    return ours if any(ours.split()[0] in parameter.opts for parameter in known) else ""


def _usage(error: click.UsageError, arguments: Sequence[str]) -> StriateError:
    context = error.ctx
    where = context.command_path if context else "striate"
    message = error.format_message().rstrip(".")
    kind: type[StriateError] = UsageError
    why, nearest = context.command.get_usage(context).removeprefix("Usage: ") if context else "", ""
    if isinstance(error, click.NoSuchOption):
        kind, message = UnknownNameError, f"no such option: {error.option_name}"
        nearest = _ours(error.option_name, context) or ", ".join(error.possibilities or ())
    elif (
        isinstance(error, click.BadParameter)
        and error.param
        and not isinstance(error, click.MissingParameter)
    ):
        option, sort = error.param.opts[0], error.param.type
        given = next(iter(re.findall(r"'([^']*)' is|(\S+) is", error.message)), ("", ""))
        word = given[0] or given[1]
        if isinstance(sort, click.Choice):
            choices = [str(choice) for choice in sort.choices]
            kind, message, nearest = (
                UnknownNameError,
                f"{option}: {word!r} is not known",
                suggest(word, choices),
            )
            why = f"it is one of {', '.join(choices)}"
        elif isinstance(sort, click.IntRange):
            message, why = f"{option}: {word!r} is not allowed", f"it is a whole number of {sort.min} or more"
    fix = f"did you mean {nearest}?" if nearest else f"`{where} --help` shows how"
    pairs = [word.partition("=") for word in arguments if re.fullmatch(r"\w+=.+", word)]
    if pairs and "unexpected extra argument" in message:  # as Ultralytics and Hydra have it
        fix = "write " + " ".join(
            f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, _, value in pairs
        )
    if any(word == "-" or "->" in word for word in arguments) and not nearest:
        # The shell has cut the notation up, and taken what follows > as the name of a file to write.
        fix = f"put the notation in quotes: {where} '7x7x1 -> conv 3x3'"
    return kind(message[:1].lower() + message[1:], where=where, why=why, fix=fix)
