"""Trials of generated inputs in processes of their own: a crash or a hang is a finding, not the end of the run.

A generator is a module with `trial(seed) -> str | None` (tests/generators says more).
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import multiprocessing
import os
import pkgutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

MEMORY = 6 * 2**30
"""Bytes of data that one process of trials may hold: a runaway allocation fails there, and the machine goes on."""
LIFETIME = 400
"""Trials of one process, so that what an earlier one left behind does not go on for hours."""


def kinds(folder: Path) -> list[str]:
    """The generators in a folder, by name."""
    names = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(name for name in names if not name.startswith("_"))


def generator(folder: Path, kind: str) -> ModuleType:
    """The module of one kind; its folder is a package whose parent can be imported from."""
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    return importlib.import_module(f"{folder.name}.{kind}")


def lacking(module: ModuleType) -> list[str]:
    """The packages that a generator needs and that are not installed."""
    return [name for name in getattr(module, "NEEDS", ()) if importlib.util.find_spec(name) is None]


def tried(folder: Path, kind: str, seed: int) -> str | None:
    """One trial here; an exception is a finding that says where it was raised."""
    try:
        said = generator(folder, kind).trial(seed)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text[:300]} ({Path(last.filename).name}:{last.lineno})"
    return None if said is None else " ".join(str(said).split())[:2000]


# ---------------------------------------------------------------- a process
def _limit() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _serve(calls: Connection, folder: Path, told: str) -> None:
    """Trials as they are asked for. What is printed, and where a crash happened, goes to the file `told`."""
    with open(told, "wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    faulthandler.enable()
    _limit()
    while (asked := calls.recv()) is not None:
        kind, seed = asked
        start = time.perf_counter()
        calls.send((tried(folder, kind, seed), time.perf_counter() - start))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits, here for a moment and in the process that is started for good: its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Process:
    """One process, and the trial that it is at."""

    folder: Path
    scratch: Path
    asked: tuple[str, int] | None = None
    since: float = 0.0
    trials: int = 0
    alive: Any = None
    calls: Any = None
    told: Path = field(init=False)

    def start(self) -> None:
        handle, name = tempfile.mkstemp(dir=self.scratch)
        os.close(handle)
        self.told = Path(name)
        spawn = multiprocessing.get_context("spawn")
        self.calls, theirs = spawn.Pipe()
        self.alive = spawn.Process(target=_serve, args=(theirs, self.folder, name), daemon=True)
        with _without_interrupts():
            self.alive.start()
        theirs.close()
        self.trials = 0

    def ask(self, kind: str, seed: int) -> None:
        if self.alive is None or self.trials >= LIFETIME:
            self.end()
            self.start()
        self.asked, self.since, self.trials = (kind, seed), time.monotonic(), self.trials + 1
        with contextlib.suppress(OSError):  # it ended between two trials: seen by the one who waits
            self.calls.send((kind, seed))

    def end(self, kill: bool = False) -> int | None:
        """Stop the process; its exit code, negative for a signal."""
        if self.alive is None:
            return None
        if not kill:
            with contextlib.suppress(OSError):
                self.calls.send(None)
            self.alive.join(5)
        if self.alive.is_alive():
            self.alive.kill()
        self.alive.join()
        code = self.alive.exitcode
        self.calls.close()
        self.alive = None
        return code

    def fell(self) -> str:
        """What is known of a process that ended inside its trial."""
        self.alive.join(5)
        code = self.end(kill=True)
        with contextlib.suppress(ValueError):
            code = signal.Signals(-(code or 0)).name
        lines = self.told.read_text("utf-8", "replace").splitlines()
        where = next((line.strip() for line in lines if line.lstrip().startswith("File ")), "")
        return f"the process ended: {code}" + (f" in {where}" if where else "")


@dataclass(frozen=True)
class Answer:
    """The end of one trial; `said` is None where all was right."""

    kind: str
    seed: int
    said: str | None
    seconds: float


def run(
    folder: Path,
    trials: Iterator[tuple[str, int]],
    processes: int,
    limit_s: float,
    until: Callable[[], bool],
) -> Iterator[Answer]:
    """The answers to `trials` as they come, until there are none left or `until()`; trials that are under way then end
    within their limit. Closing the iterator stops every process."""
    with tempfile.TemporaryDirectory(prefix="striate-soak-") as scratch:
        workers = [Process(folder, Path(scratch)) for _ in range(processes)]
        try:
            for worker in workers:
                _next(worker, trials, until)
            while busy := [worker for worker in workers if worker.asked]:
                yield from _answers(busy, limit_s)
                for worker in workers:
                    if worker.asked is None:
                        _next(worker, trials, until)
        finally:
            for worker in workers:
                worker.end(kill=worker.asked is not None)


def _next(worker: Process, trials: Iterator[tuple[str, int]], until: Callable[[], bool]) -> None:
    if not until() and (trial := next(trials, None)):
        worker.ask(*trial)


def _answers(busy: Sequence[Process], limit_s: float) -> Iterator[Answer]:
    """Whoever has answered, fallen or been too long, after waiting for the first of them."""
    patience = max(min(worker.since for worker in busy) + limit_s - time.monotonic(), 0.0)
    ready = wait([x for w in busy for x in (w.calls, w.alive.sentinel)], timeout=min(patience, 1.0))
    for worker in busy:
        assert worker.asked
        kind, seed = worker.asked
        seconds = time.monotonic() - worker.since
        if worker.calls in ready or worker.alive.sentinel in ready:
            try:
                said, seconds = worker.calls.recv() if worker.calls.poll() else (worker.fell(), seconds)
            except (EOFError, OSError):
                said = worker.fell()
        elif seconds > limit_s:
            worker.end(kill=True)
            said = f"no end within {limit_s:g} s"
        else:
            continue
        worker.asked = None
        yield Answer(kind, seed, said, seconds)
