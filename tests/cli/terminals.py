"""A terminal of a given width, as a person has it: what stands on it in the end."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from cli.run import environment

PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def terminal(columns: int, *arguments: str, **changes: str) -> str:
    """Everything that the command writes to a terminal of this many columns, escapes included."""
    return python_terminal(columns, "-m", "striate", *arguments, **changes)


def python_terminal(columns: int, *arguments: str, **changes: str) -> str:
    """The same of Python with these arguments."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = environment(TERM="xterm-256color") | changes
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        if name not in changes:
            known.pop(name, None)
    child = subprocess.Popen(
        [sys.executable, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=known
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(ours)
    child.wait(timeout=60)
    return seen.decode().replace("\r\n", "\n")
