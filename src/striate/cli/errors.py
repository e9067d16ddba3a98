"""Every exception as a StriateError: what went wrong, where, why, the fix, a code. Imported only when something failed."""

from __future__ import annotations

import click

from striate.diagnostics import LimitError, SourceError, StriateError, UnknownNameError, UsageError, suggest


class InternalError(StriateError):
    """A fault of Striate, not of its user."""

    code, title = "I000", "internal"


def explained(error: Exception) -> StriateError:
    """`error` as the five-part error that the command line prints."""
    if isinstance(error, StriateError):
        return error
    if isinstance(error, click.UsageError):
        return _usage(error)
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


def _usage(error: click.UsageError) -> StriateError:
    context = error.ctx
    where = context.command_path if context else "striate"
    message = error.format_message().rstrip(".")
    kind: type[StriateError] = UsageError
    why, nearest = context.command.get_usage(context).removeprefix("Usage: ") if context else "", ""
    if isinstance(error, click.NoSuchOption):
        kind, message = UnknownNameError, f"no such option: {error.option_name}"
        nearest = ", ".join(error.possibilities or ())
    elif isinstance(error, click.BadParameter) and isinstance(getattr(error.param, "type", None), click.Choice):
        choices = [str(choice) for choice in error.param.type.choices]  # type: ignore[union-attr]
        kind, why = UnknownNameError, f"it is one of {', '.join(choices)}"
        given = message.split("'")[1] if message.count("'") > 1 else ""
        message = f"{'/'.join(error.param.opts) if error.param else where}: {given!r} is not known"
        nearest = suggest(given, choices)
    fix = f"did you mean {nearest}?" if nearest else f"`{where} --help` shows how"
    return kind(message[:1].lower() + message[1:], where=where, why=why, fix=fix)
