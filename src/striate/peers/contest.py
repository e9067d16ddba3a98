"""Compare tools on one network: first their results, then their speed in interleaved rounds.

Standard library only. Each tool has a separate process, so that no thread pool disturbs another; between its samples a
process is stopped (SIGSTOP), so that no waiting thread spins while another tool is timed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from striate.peers.subject import Subject
from striate.peers.timing import Sample, Steady, Timing, measure
from striate.peers.tools import TOOLS, missing, unable

Answer = dict[str, Any]

TOLERANCE = 3e-4
"""Tolerance of the difference from float64, relative to the largest output: in float32, Winograd with large tiles comes
near 2e-4 on a deep network. Half precision exceeds it, and such a tool is left out.
"""

TOLERANCE_TRAINING = 0.1
"""Tolerance of the difference from float64 of a tensor's update in a training step, relative to its norm. Rounding in
float32 moves some values across the kink of a relu or a maximum, where gradients jump: by a few hundredths in ResNet-50
and MobileNetV2, differently in every tool. A wrong result differs by its full norm. If a difference is larger, other
images are drawn, and the smallest difference counts.
"""

PREPARING_S, SLOW_S = 300, 900
"""Seconds until the first result of a tool; `slow` tools get more."""

PAUSES = hasattr(signal, "SIGSTOP")


class Failed(Exception):
    """A tool cannot take part; the message says why."""


class Process:
    """The worker process of one tool. It runs only while it handles a task."""

    def __init__(self, tool: str, threads: int, subject: Subject) -> None:
        command = worker(tool, threads, subject)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.child = subprocess.Popen(
            command,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
        )

    def ask(self, task: str, limit: float = PREPARING_S) -> Answer:
        """Send a task, and read the answer: one line each. Raises Failed with the reason."""
        assert self.child.stdin and self.child.stdout
        try:
            self._signal("SIGCONT")
            self.child.stdin.write(f"{task}\n".encode())
            self.child.stdin.flush()
            if sys.platform != "win32" and not select.select([self.child.stdout], [], [], limit)[0]:
                raise Failed(f"no result within {limit:.0f} s")
            line = self.child.stdout.readline()
        except OSError as error:
            raise Failed(self._last_words(str(error))) from None
        self._signal("SIGSTOP")
        if not line:
            self.child.wait()
            raise Failed(self._last_words(f"exit code {self.child.returncode}"))
        answer: Answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def go(self, seconds: float) -> Callable[[], Sample]:
        """The function that a row times: it takes one sample."""

        def sample() -> Sample:
            answer = self.ask(f"time {seconds}")
            return Sample(answer["seconds"], answer["cpu"])

        return sample

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self._messages):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def _signal(self, name: str) -> None:
        if PAUSES and self.child.poll() is None:
            self.child.send_signal(getattr(signal, name))

    def _last_words(self, otherwise: str) -> str:
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else otherwise


def worker(tool: str, threads: int, subject: Subject, *more: str) -> list[str]:
    """The command of a tool's process."""
    name = ("-W", "ignore", "-m", "striate.peers.worker", tool, str(threads))
    return [sys.executable, *name, subject.json(), *more]


def environment(threads: int) -> dict[str, str]:
    """Environment with one number of threads for every library that a tool uses, and without telemetry."""
    counts = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    quiet = {"OPENVINO_TELEMETRY": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    pinning = {"OMP_PROC_BIND": "close", "OMP_PLACES": "threads"} if threads > 1 else {}
    return os.environ | counts | quiet | pinning


def once(tool: str, subject: Subject, threads: int = 1, tasks: Sequence[str] = ("prepare",)) -> list[Answer]:
    """Run some tasks in a new process, which then ends. Raises Failed."""
    process = Process(tool, threads, subject)
    try:
        return [process.ask(task) for task in tasks]
    finally:
        process.close()


class Result(NamedTuple):
    """Result of a contest. rows: timings, one row per tool; answers: tool -> difference from float64.

    left_out: tool -> why; lacking: tool -> packages that are not installed; prepared: tool -> its answer to
    `prepare` and, for training steps, the seconds of their phases.
    """

    rows: dict[str, Timing]
    answers: dict[str, float]
    left_out: dict[str, str]
    lacking: dict[str, list[str]]
    prepared: dict[str, Answer]


def _files(
    tools: Iterable[str], subject: Subject, report: Callable[[str], None]
) -> Iterator[tuple[str, str]]:
    """Convert the subject to the files that the tools read; yield the kinds that cannot be converted, and why."""
    for kind in dict.fromkeys(TOOLS[tool].file for tool in tools if TOOLS[tool].file):
        report(f"converting to {kind}")
        try:
            once(f"convert-{kind}", subject)
        except Failed as why:
            yield kind, str(why)


@contextlib.contextmanager
def _steady(subject: Subject, threads: int, gflops: float) -> Iterator[Steady | None]:
    """Judges samples by the machine's multiply-adds on that many threads; None where no kernels run. gflops: what is
    known of them."""
    process = Process("limits", threads, subject)
    judge = None
    try:
        with contextlib.suppress(Failed):
            process.ask("speed")
            judge = Steady(lambda: float(process.ask("speed")["gflops"]), best=gflops)
        yield judge
    finally:
        process.close()


def contest(
    subject: Subject,
    tools: Sequence[str],
    threads: int,
    rounds: int,
    *,
    seconds: float = 0.2,
    slow_s: float = SLOW_S,
    steady: float | None = None,
    group: str = "",
    report: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Compare the result of every tool with float64, then time the correct ones in interleaved rounds.

    slow_s: seconds in which a `slow` tool must be prepared; steady: take samples again that the machine
    disturbed; its value is the GFLOP/s that the machine is known to reach.
    report, progress: called with the current step, and with the finished and total rounds. rounds: 0 compares results
    only. Raises Failed if not even the numpy engine can run the network.
    """
    rows: dict[str, Timing] = {}
    answers: dict[str, float] = {}
    lacking = {tool: lacks for tool in tools if (lacks := missing(tool))}
    left_out: dict[str, str] = {}
    prepared: dict[str, Answer] = {}
    tolerance = TOLERANCE_TRAINING if subject.train else TOLERANCE
    report("computing in float64")
    once("reference", subject, threads if subject.train else 1)
    able = [tool for tool in tools if tool not in lacking]
    unmade = dict(_files(able, subject, report))
    processes: dict[str, Process] = {}
    try:
        for tool in able:
            if TOOLS[tool].file in unmade:
                left_out[tool] = unmade[TOOLS[tool].file]
                continue
            if why_not := unable(tool):
                left_out[tool] = why_not
                continue
            report(TOOLS[tool].label)
            processes[tool] = Process(tool, threads, subject)
            try:
                limit = slow_s if TOOLS[tool].slow else PREPARING_S
                prepared[tool] = processes[tool].ask("prepare", limit)
                answer = processes[tool].ask("check", limit)
                answers[tool] = answer["error"]
                if not answers[tool] <= tolerance:
                    what = answer.get("worst", "answer")
                    raise Failed(f"its {what} differs from float64 by {answers[tool]:.1e}")
            except Failed as why:
                left_out[tool] = str(why)
                processes.pop(tool).close()
                continue
            rows[tool] = Timing(group, TOOLS[tool].label, processes[tool].go(seconds), images=subject.batch)
        if rounds:
            report("timing")
            with contextlib.nullcontext() if steady is None else _steady(subject, threads, steady) as judge:
                measure(list(rows.values()), rounds, progress=progress, steady=judge)
        if subject.train:
            for tool in rows:
                prepared[tool] |= {"phases": processes[tool].ask("phases")}
    finally:
        for process in processes.values():
            process.close()
    return Result(rows, answers, left_out, lacking, prepared)
