"""`.ci/run` with stand-ins for what takes long: its groups, their minutes, and a failure of any of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from striate.engine.target import TARGETS, able

RUN = Path(__file__).parents[2] / ".ci" / "run"
PYTHON = f"""#!/bin/sh
case "$2" in
  pip) exit 0 ;;
  pytest) echo "pytest with STRIATE_TARGET=$STRIATE_TARGET"; [ "$STRIATE_TARGET" != "$BROKEN" ]; exit ;;
esac
exec {sys.executable} "$@"
"""
MAKE = """#!/bin/sh
echo "make $1"; [ "$1" != test ] || echo "==== 3 passed in 0.12s ===="; [ "$1" != "$BROKEN" ]
"""


@pytest.fixture
def ci(tmp_path):
    """Runs it with one broken part: a target or a word for make."""
    stands = {".ci/run": RUN.read_text("utf-8"), ".venv/bin/python": PYTHON, "bin/make": MAKE}
    stands[".ci/newcomer"] = '#!/bin/sh\n[ "$BROKEN" != newcomer ]\n'
    for name, text in stands.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    known = {name: value for name, value in os.environ.items() if name != "STRIATE_TARGET"}

    def run(broken="nothing"):
        env = {**known, "PATH": path, "BROKEN": broken, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([tmp_path / ".ci" / "run"], env=env, capture_output=True, text=True)

    return run


pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def test_every_group_has_its_minutes_and_every_target_its_run(ci):
    done = ci()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "==== 3 passed in 0.12s ===="
    begun = [line.removeprefix("== ") for line in lines if line.startswith("== ")]
    assert begun == [match[1] for line in lines if (match := re.fullmatch(r" *\d+\.\d min  (.+)", line))]
    here = [target.name for target in able()]
    tried = [
        line.partition("STRIATE_TARGET=")[2]
        for line in lines
        if line.startswith("pytest with STRIATE_TARGET=")
    ]
    assert [name for name in tried if name] == here[1:]
    (told,) = [line for line in lines if "cannot run" in line]
    for name in TARGETS:
        assert (name in told.partition("cannot run")[2]) == (name not in here)


@pytest.mark.parametrize(
    "broken", ["tour", "newcomer", "setup", "test", *(target.name for target in able()[1:])]
)
def test_a_failure_of_any_group_fails_the_whole(ci, broken):
    done = ci(broken)
    assert done.returncode != 0
    assert ("make test" in done.stdout) == (broken == "test")
