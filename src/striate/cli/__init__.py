"""The command line: parses, calls, prints.

Only `main` turns exceptions into exit codes: 0 done, 1 findings (`check`) or training that diverged, 2 bad input or any
other error, 130 interrupted, 141 the reader of a pipe has closed it. Each command is a file of its own and is imported
only when it runs.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import click

from striate.cli.app import PIPE_CLOSED, app
from striate.diagnostics import SourceError, StriateError, speaking_shell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises for a user's mistake."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller (`>&-`)
            null = open(os.devnull, "w")  # noqa: SIM115  # no file that is opened later becomes this stream
            setattr(sys, name, _ClosedOutput(null) if name == "stdout" else null)
    try:
        with _notes(), speaking_shell():
            code = app.main(arguments, prog_name="striate", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except Exception as error:
        if isinstance(error, OSError):
            _drop_output()  # buffered output would fail again at exit
        if os.environ.get("STRIATE_TRACEBACK"):
            raise
        from striate.cli.errors import as_striate_error

        problem = as_striate_error(error, sys.argv[1:] if arguments is None else arguments)
        _say(str(problem))
        return problem.exit_code
    finally:
        if arguments is None:  # the process ends: its last search for cycles would take 4 ms
            gc.freeze()


class _ClosedOutput(io.TextIOBase):
    """Standard output that the caller has closed: what is printed is an error, not lost."""

    encoding = "utf-8"

    def __init__(self, null: TextIO) -> None:
        self.null = null

    def write(self, text: str) -> int:
        if text:
            raise SourceError(
                "standard output is closed",
                where="standard output",
                why="the command prints its result there",
                fix="leave out >&-, or redirect: > FILE",
            )
        return 0


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Show Striate's warnings as notes on stderr, because a source line does not help the user of a command."""
    import warnings

    show = warnings.showwarning

    def note(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if category is UserWarning and os.path.dirname(__file__).removesuffix("cli") in filename:
            click.echo(f"note: {message}", err=True)
        else:
            show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():  # which also resets the list of shown warnings, for every command
        warnings.showwarning = note
        yield


def _say(text: str) -> None:
    """Print a message on stderr, in characters that it can encode; a closed stderr does not make the command fail."""
    from striate.terminal import Terminal
    from striate.views.text.page import Page

    try:
        page = Page(Terminal.of(sys.stderr))
        page.message(text, "bold red")
        sys.stderr.write(str(page))
        sys.stderr.flush()
    except OSError:
        pass


def _drop_output() -> None:
    """Redirect stdout to the null device, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["StriateError", "app", "main"]
