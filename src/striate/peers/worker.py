"""The process of one tool: asked on standard input, one line each, answering one line of JSON each.

    python -m striate.peers.worker TOOL THREADS SUBJECT        SUBJECT: a Subject as JSON
    python -m striate.peers.worker TOOL THREADS SUBJECT first  prepare, and end: a process up to its first result

    prepare         -> {}                     the tool has made its program, and has run once
    check           -> {"error": …}           largest difference from the float64 answer over its largest number
    time SECONDS    -> {"seconds": …, "cpu": …}   median of runs repeated for this long (one at least), processor time
    peak            -> {"mib": …}             most memory that the process has had
    phases          -> {"forward": …, …}      seconds of the parts of a training step

TOOL may also be `reference` (prepare: leaves the float64 answer in the folder), `save` (the model in its own
format), `convert-KIND` (the file of that kind), `nodes` (prepare: answers with the seconds of every node alone) or
`limits` (prepare: answers with what this machine can do at most).
Where the subject is to be trained, a run is a step, and the answer to `prepare` also says how much memory there was:
`mib` in all, `grown_mib` more than before the network was there.
A failure is answered with {"failed": why}. Whatever a tool prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from striate.peers.subject import Subject, compared, single

if TYPE_CHECKING:
    from striate.peers.subject import Floats

Answer = dict[str, Any]
REFERENCE, SAVED = "reference.npy", "model"
MIN_SAMPLE_RUNS = 3
"""Runs per sample, unless a single run takes longer than a sample should."""
TRAINING_STEPS = 2
"""Training steps until a process has allocated all its memory: the first creates the moments."""


def pin(threads: int) -> None:
    """Keep this process on as many processors as it may use, the same ones for every tool."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def memory(forget: bool = False) -> tuple[float, float]:
    """MiB that this process has now, and the most it has had (since the last `forget`, on Linux)."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        found = {
            key: int(rest.split()[0]) / 2**10
            for key, _, rest in (line.partition(":") for line in lines)
            if key in ("VmRSS", "VmHWM")
        }
        return found["VmRSS"], found["VmHWM"]
    except (OSError, KeyError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )
        return most, most


class Worker:
    """One tool and one subject."""

    tasks: ClassVar[tuple[str, ...]] = ("prepare", "check", "time", "peak")

    def __init__(self, tool: str, threads: int, subject: Subject) -> None:
        self.tool, self.threads, self.subject = tool, threads, subject
        self.run: Callable[[Floats], Any]
        self.x: Floats

    def prepare(self) -> Answer:
        if self.tool.startswith("convert-"):
            from striate.peers.convert import make

            make(self.tool.removeprefix("convert-"), self.subject)
            return {}
        if self.tool == "nodes":
            from striate.peers.nodes import node_seconds

            return node_seconds(self.subject, self.threads)
        if self.tool == "save":
            self.subject.load("numpy").save(self.subject.path(SAVED))
            return {}
        if self.tool == "limits":
            return limits(self.threads)
        if self.tool == "reference":
            self._reference()
            return {}
        return self._made()

    def _made(self) -> Answer:
        from striate.peers.adapters import ADAPTERS

        start = time.perf_counter()
        self.run = ADAPTERS[self.tool](self.subject, self.threads)
        self.x = self.subject.images()
        self.run(self.x)
        return {"seconds": time.perf_counter() - start}

    def _reference(self) -> None:
        """What the numpy engine says in float64, to the images that are compared."""
        import numpy as np

        if self.subject.path(REFERENCE).exists():
            return
        images = compared(self.subject.images()).astype(np.float64)
        program = self.subject.load("numpy").compile(batch=len(images))
        np.save(self.subject.path(REFERENCE), single(program(images)))

    def check(self) -> Answer:
        import numpy as np

        right = np.load(self.subject.path(REFERENCE))
        answer = compared(np.asarray(self.run(self.x)))
        if answer.size != right.size:
            return {"failed": f"an output of shape {answer.shape}, expected {right.shape}"}
        difference = abs(answer.reshape(right.shape) - right).max()
        return {"error": float(difference / max(abs(right).max(), 1e-300))}

    def time(self, seconds: str = "0.2") -> Answer:
        self.run(self.x)  # unseen: caches and threads were another tool's
        samples: list[float] = []
        limit, used, begin = float(seconds), time.process_time(), time.perf_counter()
        while not self._enough(len(samples), time.perf_counter() - begin, limit):
            start = time.perf_counter()
            self.run(self.x)
            samples.append(time.perf_counter() - start)
        return {
            "seconds": statistics.median(samples),
            "cpu": (time.process_time() - used) / len(samples),
        }

    @staticmethod
    def _enough(runs: int, spent: float, limit: float) -> bool:
        return runs > 0 and spent >= limit and (runs >= MIN_SAMPLE_RUNS or spent >= MIN_SAMPLE_RUNS * limit)

    def peak(self) -> Answer:
        return {"mib": memory()[1]}

    def answer(self, line: str) -> Answer:
        """Whatever goes wrong in a tool is its answer."""
        task, *arguments = line.split()
        assert task in self.tasks
        try:
            return dict(getattr(self, task)(*arguments))
        except Exception as error:
            said = str(error).strip().splitlines() or [""]
            return {"failed": f"{type(error).__name__}: {said[0]}"[:300]}


class TrainingWorker(Worker):
    """The same of training steps."""

    tasks = (*Worker.tasks, "phases")

    def _made(self) -> Answer:
        from striate.peers import training

        training.imported(self.tool)
        before, _ = memory(forget=True)
        start = time.perf_counter()
        given = training.problem(self.subject)
        trainer = self.trainer = training.TRAINERS[self.tool](given, self.threads, training.LR)
        del given
        self.x: Any = None
        self.run = lambda _: trainer.step()
        for _ in range(TRAINING_STEPS):
            trainer.step()
        most = memory()[1]
        return {
            "seconds": time.perf_counter() - start,
            "mib": most,
            "grown_mib": most - before,
            "engine": trainer.engine(),
        }

    def _reference(self) -> None:
        self._right(0)

    def _right(self, draw: int) -> Mapping[str, Any]:
        """What the numpy engine's step changes in float64, computed by whoever asks first."""
        import numpy as np

        from striate.peers import training

        path = self.subject.path(f"stepped-{draw}.npz")
        if not path.exists():
            right: Any = training.changes("numpy", self.subject, self.threads, np.float64, draw)
            np.savez(path, **right)
        with np.load(path) as saved:
            return dict(saved)

    def check(self) -> Answer:
        from striate.peers import training
        from striate.peers.contest import TOLERANCE_TRAINING

        net = self.subject.network()
        found = []
        for draw in range(training.DRAWS):
            changed = training.changes(self.tool, self.subject, self.threads, draw=draw)
            found.append(training.difference(changed, self._right(draw), net))
            if found[-1][0] <= TOLERANCE_TRAINING:
                break
        error, name = min(found)
        return {"error": error, "worst": name}

    def phases(self) -> Answer:
        from striate.peers import training

        return training.timed(self.trainer, TRAINING_STEPS + 1)


def limits(threads: int) -> Answer:
    """GFLOP/s, and bytes of each level with the GB/s that are read from it; nothing where no kernels run."""
    from striate.engine.plan_report import Machine
    from striate.engine.target import host

    if host() is None:
        return {}
    found = Machine.measured(threads)
    read = [{"bytes": held if held < 1 << 62 else None, "gb_s": speed} for held, speed in found.levels]
    return {"fma_gflops": found.peak, "read": read}


def main() -> None:
    """Answer until standard input ends."""
    tool, threads, subject, *first = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    pin(int(threads))
    asked = Subject(**json.loads(subject))
    worker = (TrainingWorker if asked.train else Worker)(tool, int(threads), asked)
    if first:
        answer = worker.answer("prepare")
        sys.exit(answer.get("failed", 0))
    for line in sys.stdin:
        print(json.dumps(worker.answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
