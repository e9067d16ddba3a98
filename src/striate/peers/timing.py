"""Interleaved timing: every row once per round, so that a slow minute of the machine falls on all rows alike.

Standard library only: this process stays small, and favors no row.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One measurement: wall-clock seconds, processor seconds of all threads, peak memory in MiB."""

    seconds: float
    cpu: float | None = None
    peak_mib: float | None = None


Go = Callable[[], Sample]
"""Runs the timed function once."""


@dataclasses.dataclass
class Timing:
    """One timed row. rounds: number of rounds that it takes part in, 0 for all; images: per sample, 0 if it has none.

    repeated: samples that were taken again (`Steady`). Only samples are stored; everything else is derived from them.
    """

    group: str
    name: str
    go: Go
    rounds: int = 0
    images: int = 0
    repeated: int = 0
    samples: list[Sample] = dataclasses.field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Summary of the samples in seconds: median, minimum, quartiles, and processor time."""
        low, median, high = quartiles([sample.seconds for sample in self.samples])
        cpu = statistics.median(sample.cpu or 0.0 for sample in self.samples)
        least = min(sample.seconds for sample in self.samples)
        return {"name": self.name, "median": median, "least": least, "low": low, "high": high, "cpu": cpu}

    def record(self) -> dict[str, Any]:
        """The row for a file: lists of samples, to a tenth of a microsecond and of a MiB."""
        digits = {"seconds": 7, "cpu": 7, "peak_mib": 1}
        handled = {key: value for key in ("images", "repeated") if (value := getattr(self, key))}
        return (
            {"group": self.group, "name": self.name}
            | handled
            | {
                name: [round(value, places) for sample in self.samples if (value := getattr(sample, name))]
                for name, places in digits.items()
            }
        )


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile; for a single sample, all are that sample."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def show_round(done: int, total: int) -> None:
    """Print the number of finished rounds to standard error."""
    sys.stderr.write(f"\r  round {done} of {total} " + "\n" * (done == total))
    sys.stderr.flush()


class Steady:
    """Takes a sample again if the processors were slow right before or after it, whichever tool it is of.

    A virtual machine may run two virtual processors on one core for a second: two threads then take up to twice as
    long. speed: measures the processors at this moment; best: what they can do, as far as it is known; the best that
    is seen counts too. wait: seconds before a sample is taken again, twice as long each time.
    """

    SHARE = 0.9
    MAX_SLOWDOWN = 1.2
    """A sample this many times as long as the shortest of its row was disturbed, though no reading shows it."""
    AGAIN = 5
    READINGS = 3

    def __init__(self, speed: Callable[[], float], wait: float = 0.25, best: float = 0.0) -> None:
        self.speed, self.wait, self.best = speed, wait, best

    def _read(self) -> float:
        """The best of some readings: only that slowness counts that lasts as long as all of them."""
        now = max(self.speed() for _ in range(self.READINGS))
        self.best = max(self.best, now)
        return now

    def take(self, row: Timing) -> Sample:
        """The first sample at full speed, or the one nearest to it."""
        taken: list[tuple[float, Sample]] = []
        for again in range(1 + self.AGAIN):
            if again:
                row.repeated += 1
                time.sleep(self.wait * 2 ** (again - 1))
            before, sample, after = self._read(), row.go(), self._read()
            taken.append((min(before, after), sample))
            if taken[-1][0] >= self.SHARE * self.best:
                break
        return max(taken, key=lambda each: each[0])[1]

    def settle(self, row: Timing) -> None:
        """Take the samples that scatter again; of two the shorter counts, since nothing makes a tool too fast."""
        for _ in range(self.AGAIN):
            least = min((sample.seconds for sample in row.samples), default=0.0)
            late = [k for k, sample in enumerate(row.samples) if sample.seconds > self.MAX_SLOWDOWN * least]
            for k in late:
                row.repeated += 1
                row.samples[k] = min(row.samples[k], self.take(row), key=lambda sample: sample.seconds)
            if not late:
                break


def measure(
    rows: Sequence[Timing],
    rounds: int,
    warm_up: int = 1,
    progress: Callable[[int, int], None] = show_round,
    steady: Steady | None = None,
) -> None:
    """Run every row `warm_up` times without a record, then once per round; every second round runs in reverse order."""
    for number in range(-warm_up, rounds):
        for row in rows if number % 2 else reversed(rows):
            if row.rounds and number >= row.rounds:
                continue
            sample = steady.take(row) if steady and number >= 0 else row.go()
            if number >= 0:
                row.samples.append(sample)
        progress(max(number + 1, 0), rounds)
    if steady:
        for row in rows:
            steady.settle(row)


def process(command: Sequence[str], environment: Mapping[str, str], codes: Collection[int] = (0,)) -> Go:
    """A function that times a whole process, start and end included. An exit code outside `codes` ends the run."""

    def go() -> Sample:
        with tempfile.TemporaryFile() as messages:
            start = time.perf_counter()
            child = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=messages
            )
            if hasattr(os, "wait4"):  # not on Windows
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
                mib = 2**20 if sys.platform == "darwin" else 2**10
                cost = (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / mib)
            else:
                child.wait()
                cost = (None, None)  # type: ignore[assignment]
            sample = Sample(time.perf_counter() - start, *cost)
            if child.returncode not in codes:
                messages.seek(0)
                text = messages.read().decode(errors="replace")[-2000:]
                sys.exit(f"{' '.join(command)} failed with exit code {child.returncode}\n{text}")
        return sample

    return go


class Server:
    """A long-running process: each input line names a task, each output line has the numbers of one sample."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = command
        self.child = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, task: str) -> str:
        """Send a task, and read the answer: one line each. Ends the run if the process has ended."""
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(task + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().strip()
        if not answer:
            sys.exit(f"{' '.join(self.command)}: no reply to {task}")
        return answer

    def go(self, task: str) -> Go:
        return lambda: Sample(*map(float, self.ask(task).split()))

    def close(self) -> None:
        self.child.terminate()
        self.child.wait()


@dataclasses.dataclass(frozen=True)
class Summary:
    """Median, smallest and interquartile range of some samples, in milliseconds."""

    median: float
    least: float
    spread: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Summary:
        """Summarize one or more samples in seconds.

        >>> Summary.of([0.004, 0.001, 0.002, 0.003, 0.005])
        Summary(median=3.0, least=1.0, spread=2.0)
        """
        low, middle, high = quartiles(seconds)
        return cls(1e3 * middle, 1e3 * min(seconds), 1e3 * (high - low))

    def overlaps(self, other: Summary) -> bool:
        """Return whether two medians differ by no more than their spreads together."""
        return abs(self.median - other.median) <= self.spread + other.spread
