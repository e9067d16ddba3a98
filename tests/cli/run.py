"""Runs commands for the tests of this folder: in this process, or as a user's shell would."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from striate.cli import main

SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class _Stream(io.TextIOWrapper):
    """A stand-in for a pipe: bytes underneath, no terminal."""


def run(*arguments: str) -> Result:
    """The command in this process: exit code, standard output and standard error."""
    streams = [_Stream(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = main(arguments)
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return Result(code, *texts)


def environment(**changes: str) -> dict[str, str]:
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "STRIATE_TRACEBACK")}
    return known | {"PYTHONPATH": str(SOURCE)} | changes


def spawn(*arguments: str, encoding: str = "utf-8", **changes: str) -> Result:
    """The command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "striate", *arguments],
        capture_output=True,
        env=environment(**changes),
        timeout=120,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))
