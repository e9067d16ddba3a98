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
  pytest)
    echo "pytest with STRIATE_TARGET=$STRIATE_TARGET"
    [ -z "$STRIATE_EXHAUSTIVE" ] || echo "exhaustive: $*"
    [ "$STRIATE_TARGET" != "$BROKEN" ] && [ "$STRIATE_EXHAUSTIVE$BROKEN" != 1exhaustive ]
    exit ;;
esac
exec {sys.executable} "$@"
"""
MAKE = """#!/bin/sh
echo "make $1"; [ "$1" != test ] || echo "==== 3 passed in 0.12s ===="; [ "$1" != "$BROKEN" ]
"""


@pytest.fixture
def ci(tmp_path):
    """Runs it with one broken part: a target or a word for make."""
    stands = {".ci/exhaustive": "# a comment\na.py\nb.py::test_c\n"}
    stands |= {".ci/run": RUN.read_text("utf-8"), ".venv/bin/python": PYTHON, "bin/make": MAKE}
    stands["bin/npm"] = "#!/bin/sh\n"
    stands[".ci/newcomer"] = '#!/bin/sh\n[ "$BROKEN" != newcomer ]\n'
    for name, text in stands.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    ours = {"STRIATE_TARGET", "STRIATE_EXHAUSTIVE"}
    known = {name: value for name, value in os.environ.items() if name not in ours}

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
    (full,) = [line for line in lines if line.startswith("exhaustive: ")]
    assert full.endswith(" a.py b.py::test_c")
    (told,) = [line for line in lines if "cannot run" in line]
    for name in TARGETS:
        assert (name in told.partition("cannot run")[2]) == (name not in here)


def test_the_exhaustive_tests_of_every_run_are_there():
    root = RUN.parents[1]
    named = [
        line for line in (root / ".ci" / "exhaustive").read_text("utf-8").splitlines() if line[:1] != "#"
    ]
    assert named
    for name in named:
        path, _, test = name.partition("::")
        text = (root / path).read_text("utf-8")
        assert "EXHAUSTIVE" in text and f"def {test}" in text, name


@pytest.mark.parametrize(
    "broken", ["tour", "newcomer", "setup", "exhaustive", "test", *(target.name for target in able()[1:])]
)
def test_a_failure_of_any_group_fails_the_whole(ci, broken):
    done = ci(broken)
    assert done.returncode != 0
    assert ("make test" in done.stdout) == (broken == "test")
