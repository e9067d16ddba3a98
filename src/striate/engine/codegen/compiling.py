"""Compile kernels to object code: one or two in this process, more in child processes, because LLVM is single-threaded.

If a child is killed or cannot be started, this process compiles its kernels instead. If a child crashes, that is an
error, because the compiler would crash this process, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence

from striate.diagnostics import EngineError, plural
from striate.engine.codegen.kernel import Kernel
from striate.engine.codegen.worker import CODE, REPLY
from striate.engine.target import Target
from striate.engine.threads import available
from striate.terminal import Bar, is_terminal

MIN_KERNELS_PER_PROCESS = 2
"""Compiling this many kernels takes about as long as starting a child."""
MAX_PROCESSES = 16
"""Each child takes 100 MB while it works."""
PROGRESS_AFTER_S = 1.0
"""Progress is shown after this time."""
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from striate.engine.codegen.worker import main; main()"
)

log = logging.getLogger(__name__)


def compile_kernels(target: Target, kernels: Sequence[Kernel]) -> Generator[tuple[Kernel, bytes], None, None]:
    """Compile kernels; yields each with its object code when it is ready. Raises EngineError if one cannot be compiled.

    Closing the iterator, or an exception such as KeyboardInterrupt, ends the children.
    """
    children = min(available(), -(-len(kernels) // MIN_KERNELS_PER_PROCESS), MAX_PROCESSES)
    interpreter = None if getattr(sys, "frozen", False) else sys.executable
    results: Generator[tuple[Kernel, bytes], None, None]
    with _Progress(len(kernels)) as progress:
        if len(kernels) <= MIN_KERNELS_PER_PROCESS or children < 2 or not interpreter:
            results = ((kernel, _here(target, kernel)) for kernel in kernels)
        else:
            results = _in_children(target, kernels, children, interpreter, progress)
        try:
            for result in results:
                progress.step()
                yield result
        finally:
            results.close()


def _here(target: Target, kernel: Kernel) -> bytes:
    try:
        from striate.engine.codegen import llvm

        return llvm.object_code(target, kernel.text(target))
    except Exception as error:
        raise _error(target, kernel, f"{type(error).__name__}: {error}") from error


def _error(target: Target, kernel: Kernel, why: str) -> EngineError:
    return EngineError(
        f"kernel {kernel.template} cannot be compiled for {target.name}",
        where=f"{kernel.template}({', '.join(map(str, kernel.parameters))})",
        why=why,
        fix='use engine="numpy", which needs no compiler; `striate doctor` shows what is installed',
    )


class _Child:
    """One process that compiles."""

    def __init__(self, interpreter: str, target: Target) -> None:
        self._process = subprocess.Popen(
            [interpreter, "-P", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches this process alone, which ends its children
        )
        self._first = json.dumps([part for part in sys.path if isinstance(part, str)]) + "\n"
        self._first += json.dumps(dataclasses.asdict(target)) + "\n"

    def compile(self, kernel: Kernel) -> bytes | None:
        """Object code; None when the child reports a failure. Raises OSError or EOFError when it is gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        line = json.dumps([kernel.template, kernel.parameters]) + "\n"
        self._process.stdin.write((self._first + line).encode())
        self._process.stdin.flush()
        self._first = ""
        kind, length = struct.unpack(REPLY, self._read(struct.calcsize(REPLY)))
        reply = self._read(length)
        if kind == CODE:
            return reply
        log.debug("%s: %s", kernel, reply.decode(errors="replace"))
        return None

    def _read(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def crashed(self) -> str:
        """The signal of a crash, or an empty string."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # it is alive, but its replies are invalid
            return ""
        return signal.Signals(-code).name if -code in CRASHES else ""

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # unwritten data has no reader
                    stream.close()


def _in_children(
    target: Target, kernels: Sequence[Kernel], count: int, interpreter: str, progress: _Progress
) -> Generator[tuple[Kernel, bytes], None, None]:
    todo: queue.SimpleQueue[Kernel] = queue.SimpleQueue()
    replies: queue.SimpleQueue[tuple[Kernel, bytes | None, str]] = queue.SimpleQueue()
    for kernel in kernels:
        todo.put(kernel)

    def serve(child: _Child) -> None:
        """Feed one child until no kernel remains or it is gone."""
        while not todo.empty():
            try:
                kernel = todo.get_nowait()
            except queue.Empty:
                return
            try:
                replies.put((kernel, child.compile(kernel), ""))
            except (OSError, EOFError, ValueError, struct.error):
                replies.put((kernel, None, child.crashed()))
                return

    children: list[_Child] = []
    threads: list[threading.Thread] = []
    try:
        for _ in range(count):
            try:
                child = _Child(interpreter, target)
            except OSError as error:  # no process, or no memory for one
                log.debug("no child process: %s", error)
                break
            children.append(child)
            threads.append(threading.Thread(target=serve, args=(child,), daemon=True))
            threads[-1].start()
        remaining = len(kernels)
        while remaining:
            progress.show()
            try:
                kernel, code, crash = replies.get(timeout=0.1)
            except queue.Empty:
                if any(thread.is_alive() for thread in threads) or not replies.empty():
                    continue
                kernel, code, crash = todo.get_nowait(), None, ""  # all children are gone
            if crash:
                raise _error(target, kernel, f"the compiler crashed ({crash})")
            yield kernel, code if code is not None else _here(target, kernel)
            remaining -= 1
    finally:
        for child in children:
            child.kill()
        for thread in threads:
            thread.join()
        for child in children:
            child.close()


class _Progress:
    """Progress bar for long compilations; on a terminal without bars, one line at the end."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._bar = Bar(patience=PROGRESS_AFTER_S)
        self._began = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        took = time.monotonic() - self._began
        log.debug("compiled %d of %d kernels in %.2f s", self._done, self._total, took)
        self._bar.stop()
        slow = took > PROGRESS_AFTER_S and self._done == self._total
        if slow and not self._bar.enabled and is_terminal(sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                sys.stderr.write(
                    f"compiled {plural(self._total, 'kernel')} for this processor, once, in {took:.1f} s\n"
                )

    def step(self) -> None:
        self._done += 1
        self.show()

    def show(self) -> None:
        text = f"{self._done} of {self._total}"
        self._bar.update("compiling kernels for this processor, once", self._done, self._total, text, text)
