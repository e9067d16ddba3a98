"""What README shows is what the commands print and what the Python does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ ([^\n]+)\n(.*?)```", README, re.S)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize(("command", "printed"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_a_command_prints_what_is_shown(command, printed):
    program, *arguments = shlex.split(command)
    assert program == "striate"
    run = subprocess.run(
        [sys.executable, "-m", "striate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert run.stdout == printed


def test_the_python_runs_and_says_what_its_comments_say():
    space: dict[str, object] = {}
    exec("\n".join(PYTHON), space)
    for line, said in re.findall(r"^(st\..+?)\s+# ([(\d].*)$", PYTHON[0], re.M):
        assert repr(eval(line, {"st": space["st"], "net": space["model"].net})) == said
