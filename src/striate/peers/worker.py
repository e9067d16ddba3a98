"""The process of one tool: reads tasks from standard input, and answers each with one line of JSON.

    python -m striate.peers.worker TOOL THREADS SUBJECT        SUBJECT: a Subject as JSON
    python -m striate.peers.worker TOOL THREADS SUBJECT first  prepare, and end: a process up to its first result

    prepare         -> {}                     prepare the tool, and run it once
    check           -> {"error": …}           largest difference from the float64 answer over its largest number
    time SECONDS    -> {"seconds": …, "cpu": …}   median of runs for this long (at least one), processor time
    peak            -> {"mib": …}             peak memory of the process
    bound LIMITS    -> {"seconds": …}         lower bound on the seconds of the plan, on a machine with these limits
    speed           -> {"gflops": …}          multiply-adds of this moment, for `limits`
    phases          -> {"forward": …, …}      seconds of the parts of a training step

TOOL may also be `reference` (prepare: write the float64 answer into the folder), `save` (write the model in Striate's
format), `convert-KIND` (write the file of that kind), `nodes` (prepare: answer with the seconds of every node) or
`limits` (prepare: answer with the limits of this machine).
If the subject is trained, a run is a training step, and the answer to `prepare` has the peak memory: `mib` in total,
`grown_mib` more than before the network was loaded.
A failure is answered with {"failed": why}. Everything that a tool prints goes to standard error.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from striate.engine.threads import order
from striate.peers.subject import Subject, images_to_compare, single

if TYPE_CHECKING:
    from striate.engine.runtime.plan_report import Machine
    from striate.peers.subject import Floats

Answer = dict[str, Any]
REFERENCE, SAVED = "reference.npy", "model"
MIN_SAMPLE_RUNS = 3
"""Runs per sample, unless a single run takes longer than a sample should."""
TRAINING_STEPS = 2
"""Training steps until a process has allocated all its memory: the first creates the moments."""


def pin(threads: int) -> None:
    """Pin this process to as many processors as threads, the same ones for every tool; on different cores first."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order()[:threads])


def memory(forget: bool = False) -> tuple[float, float]:
    """Memory of this process in MiB: now, and at its peak (on Linux since the last `forget`)."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        sizes = {
            key: int(rest.split()[0]) / 2**10
            for key, _, rest in (line.partition(":") for line in lines)
            if key in ("VmRSS", "VmHWM")
        }
        return sizes["VmRSS"], sizes["VmHWM"]
    except (OSError, KeyError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )
        return most, most


class Worker:
    """One tool and one subject."""

    tasks: ClassVar[tuple[str, ...]] = ("prepare", "check", "time", "peak", "bound", "speed")

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
        return self._start()

    def _start(self) -> Answer:
        from striate.peers.adapters import ADAPTERS

        start = time.perf_counter()
        self.run = ADAPTERS[self.tool](self.subject, self.threads)
        self.x = self.subject.images()
        self.run(self.x)
        return {"seconds": time.perf_counter() - start}

    def _reference(self) -> None:
        """Write the output of the numpy engine in float64 for the compared images."""
        import numpy as np

        if self.subject.path(REFERENCE).exists():
            return
        images = images_to_compare(self.subject.images()).astype(np.float64)
        program = self.subject.load("numpy").compile(batch=len(images))
        np.save(self.subject.path(REFERENCE), single(program(images)))

    def check(self) -> Answer:
        import numpy as np

        right = np.load(self.subject.path(REFERENCE))
        answer = images_to_compare(np.asarray(self.run(self.x)))
        if answer.size != right.size:
            return {"failed": f"an output of shape {answer.shape}, expected {right.shape}"}
        difference = abs(answer.reshape(right.shape) - right).max()
        return {"error": float(difference / max(abs(right).max(), 1e-300))}

    def time(self, seconds: str = "0.2") -> Answer:
        self.run(self.x)  # not recorded: another tool had the caches and threads
        samples: list[float] = []
        limit, cpu, begin = float(seconds), time.process_time(), time.perf_counter()
        while not self._enough(len(samples), time.perf_counter() - begin, limit):
            start = time.perf_counter()
            self.run(self.x)
            samples.append(time.perf_counter() - start)
        return {
            "seconds": statistics.median(samples),
            "cpu": (time.process_time() - cpu) / len(samples),
        }

    @staticmethod
    def _enough(runs: int, elapsed: float, limit: float) -> bool:
        return (
            runs > 0 and elapsed >= limit and (runs >= MIN_SAMPLE_RUNS or elapsed >= MIN_SAMPLE_RUNS * limit)
        )

    def peak(self) -> Answer:
        return {"mib": memory()[1]}

    def bound(self, known: str) -> Answer:
        """known: the answer of `limits`, as JSON without spaces. Empty if the network has no compiled plan."""
        from striate.engine.compiled_engine import CompiledProgram

        program = self.subject.load().compile(batch=self.subject.batch, threads=self.threads)
        if not isinstance(program, CompiledProgram):
            return {}
        return {"seconds": program.bound(self.subject.batch, _machine(json.loads(known)))}

    def speed(self) -> Answer:
        return {"gflops": self._speed()}

    @functools.cached_property
    def _speed(self) -> Callable[[], float]:
        from striate.engine.runtime.limits import fma_speed

        return fma_speed(self.threads)

    def answer(self, line: str) -> Answer:
        """Run a task; a failure of the tool is its answer."""
        task, *arguments = line.split()
        assert task in self.tasks
        try:
            return dict(getattr(self, task)(*arguments))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            return {"failed": f"{type(error).__name__}: {lines[0]}"[:300]}


class TrainingWorker(Worker):
    """Worker that measures training steps."""

    tasks = (*Worker.tasks, "phases")

    def _start(self) -> Answer:
        from striate.peers import training

        training.import_tool(self.tool)
        before, _ = memory(forget=True)
        start = time.perf_counter()
        task = training.problem(self.subject)
        trainer = self.trainer = training.TRAINERS[self.tool](task, self.threads, training.LR)
        del task
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
        """The changes of the numpy engine's step in float64, computed once and stored in the folder."""
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
        differences = []
        for draw in range(training.DRAWS):
            step = training.changes(self.tool, self.subject, self.threads, draw=draw)
            differences.append(training.difference(step, self._right(draw), net))
            if differences[-1][0] <= TOLERANCE_TRAINING:
                break
        error, name = min(differences)
        return {"error": error, "worst": name}

    def bound(self, known: str) -> Answer:
        from striate.engine.registry import get_engine
        from striate.engine.training.compiled_training import CompiledTraining
        from striate.engine.training.training_report import step_bound

        model, engine = self.subject.load("numpy"), get_engine("compiled")
        context = engine.context(self.threads)  # type: ignore[attr-defined]
        program = CompiledTraining(model.net, dict(model.weights), context)
        return {"seconds": step_bound(program, self.subject.batch, _machine(json.loads(known)))}

    def phases(self) -> Answer:
        from striate.peers import training

        return training.phase_seconds(self.trainer, TRAINING_STEPS + 1)


def limits(threads: int) -> Answer:
    """Peak GFLOP/s, and size and read GB/s of each level of memory; empty without compiled kernels."""
    from striate.engine.runtime.plan_report import Machine
    from striate.engine.target import host

    if host() is None:
        return {}
    machine = Machine.measure(threads)
    read = [{"bytes": size if size < 1 << 62 else None, "gb_s": speed} for size, speed in machine.levels]
    return {"fma_gflops": machine.peak, "read": read}


def _machine(known: Answer) -> Machine:
    """The machine with the limits that `limits` answers."""
    from striate.engine.runtime.plan_report import Machine

    return Machine(
        known["fma_gflops"], tuple((level["bytes"] or 1 << 62, level["gb_s"]) for level in known["read"])
    )


def main() -> None:
    """Answer tasks until standard input ends."""
    tool, threads, text, *first = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    pin(int(threads))
    subject = Subject(**json.loads(text))
    worker = (TrainingWorker if subject.train else Worker)(tool, int(threads), subject)
    if first:
        answer = worker.answer("prepare")
        sys.exit(answer.get("failed", 0))
    for line in sys.stdin:
        print(json.dumps(worker.answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
