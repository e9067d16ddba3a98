"""Compiling kernels: in child processes, disturbed, interrupted, and shown while it takes long."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import pytest

from engine.processes import SOURCE
from striate import terminal
from striate.diagnostics import EngineError
from striate.engine.codegen import code_cache, compiling
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import able

pytestmark = pytest.mark.skipif(not able(), reason="no kernels here")
SMALL = [Kernel("tile", (pixels, 1)) for pixels in (1, 2, 3, 4)]


@pytest.fixture
def two(monkeypatch):
    """Two children, whatever the machine."""
    monkeypatch.setattr(compiling, "available", lambda: 2)


def test_children_compile_the_same_code(two):
    target = able()[0]
    assert dict(compiling.compile_kernels(target, SMALL)) == {
        kernel: compiling._here(target, kernel) for kernel in SMALL
    }


def test_few_kernels_start_no_process(two, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert len(list(compiling.compile_kernels(able()[0], SMALL[:2]))) == 2


@pytest.mark.parametrize("failing", [OSError(11, "no more processes"), None])
def test_processes_that_do_not_start(two, monkeypatch, failing):
    if failing:
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(failing))
    else:
        monkeypatch.setattr(compiling, "START", "raise SystemExit(3)")
    assert {kernel for kernel, _ in compiling.compile_kernels(able()[0], SMALL)} == set(SMALL)


def disturbed(monkeypatch, number):
    """The first kernel that a child is given ends it with a signal."""
    real = compiling._Child.compile
    hit = []

    def compile(self, kernel):
        if not hit:
            hit.append(kernel)
            self._process.send_signal(number)
            self._process.wait()
        return real(self, kernel)

    monkeypatch.setattr(compiling._Child, "compile", compile)


def test_a_killed_child_is_made_up_for(two, monkeypatch):
    disturbed(monkeypatch, signal.SIGKILL)
    assert {kernel for kernel, _ in compiling.compile_kernels(able()[0], SMALL)} == set(SMALL)


def test_a_crash_of_the_compiler_is_an_error_with_a_way_out(two, monkeypatch):
    disturbed(monkeypatch, signal.SIGSEGV)
    with pytest.raises(EngineError) as caught:
        list(compiling.compile_kernels(able()[0], SMALL))
    assert "SIGSEGV" in caught.value.why and 'engine="numpy"' in caught.value.fix


@pytest.mark.parametrize("count", [1, 3])
def test_a_kernel_that_cannot_be_made_is_an_error_with_a_way_out(two, count):
    wrong = [Kernel("tile", ("x", k)) for k in range(count)]
    with pytest.raises(EngineError, match="kernel tile cannot be compiled") as caught:
        list(compiling.compile_kernels(able()[0], wrong))
    assert 'engine="numpy"' in caught.value.fix


INTERRUPTED = """
import sys
from striate.engine.codegen import compiling
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import host
compiling.available = lambda: 2
start, step = compiling._Child.__init__, compiling._Progress.step
def started(self, *rest):
    start(self, *rest)
    print("child", self._process.pid, flush=True)
def stepped(self):
    step(self)
    print("step", flush=True)
compiling._Child.__init__, compiling._Progress.step = started, stepped
try:
    addresses(host(), [Kernel("tile", (pixels, panel)) for panel in (1, 2, 3, 4) for pixels in range(1, 9)])
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_children_and_keeps_whole_files(place):
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = [int(child.stdout.readline().split()[1]) for _ in range(2)]
    for _ in range(3):
        assert child.stdout.readline() == "step\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "") and out.endswith("interrupted\n")
    for number in started:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
    folder, _ = code_cache.open_folder()
    with contextlib.closing(folder):
        names = [name for name, _ in folder.files()]
        assert 2 <= len(names) < 32 and not [name for name in names if name.startswith(".")]
        assert all(folder.get(bytes.fromhex(name.removesuffix(".code"))) is not None for name in names)


class Screen:
    """A stand-in for standard error."""

    encoding = "utf-8"

    def __init__(self, terminal):
        self.terminal, self.text = terminal, ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("interactive", "plain", "expected"),
    [
        (True, False, "\r(compiling kernels for this processor, once ━+ [12] of 2\r){2} +\r"),
        (True, True, r"compiled 2 kernels for this processor, once, in \d+\.\d s\n"),
        (False, False, ""),
    ],
)
def test_progress(monkeypatch, interactive, plain, expected):
    monkeypatch.setattr(compiling, "PROGRESS_AFTER_S", 0)
    monkeypatch.setattr(terminal, "REDRAW_S", 0)
    monkeypatch.setattr(sys, "stderr", Screen(interactive))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1" if plain else "")
    with compiling._Progress(2) as progress:
        progress.step()
        progress.step()
    assert re.fullmatch(expected, re.sub(r"\x1b\[\d+m", "", sys.stderr.text))


def test_a_short_wait_is_silent(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen(True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    list(compiling.compile_kernels(able()[0], SMALL[:1]))
    assert sys.stderr.text == ""
