"""A program of a test, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import striate

SOURCE = Path(striate.__file__).parents[1]


def python(program, **changes):
    """The program in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **changes}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
