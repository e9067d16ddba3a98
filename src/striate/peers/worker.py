"""The process of one tool: asked on standard input, one line each, answering one line of JSON each.

    python -m striate.peers.worker TOOL THREADS SUBJECT        SUBJECT: a Subject as JSON
    python -m striate.peers.worker TOOL THREADS SUBJECT first  prepare, and end: a process up to its first result

    prepare         -> {}                     the tool has made its program, and has run once
    check           -> {"error": …}           largest difference from the float64 answer over its largest number
    time SECONDS    -> {"seconds": …, "cpu": …}   median of runs repeated for this long (one at least), processor time
    peak            -> {"mib": …}             most memory that the process has had

TOOL may also be `reference` (prepare: leaves the float64 answer in the folder), `save` (the model in its own
format), `convert-KIND` (the file of that kind) or `nodes` (prepare: answers with the seconds of every node alone).
A failure is answered with {"failed": why}. Whatever a tool prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.peers.subject import Subject, compared, single

if TYPE_CHECKING:
    from striate.peers.subject import Floats

Answer = dict[str, Any]
REFERENCE, SAVED = "reference.npy", "model"
FEWEST = 3
"""Runs in a sample, unless one alone takes longer than the sample should."""


def pin(threads: int) -> None:
    """Keep this process on as many processors as it may use, the same ones for every tool."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Worker:
    """One tool and one subject."""

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
        if self.tool == "reference":
            self._reference()
            return {}
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
            return {"failed": f"an answer of shape {answer.shape}, expected {right.shape}"}
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
        return runs > 0 and spent >= limit and (runs >= FEWEST or spent >= FEWEST * limit)

    def peak(self) -> Answer:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"mib": most / (2**20 if sys.platform == "darwin" else 2**10)}

    def answer(self, line: str) -> Answer:
        """Whatever goes wrong in a tool is its answer."""
        task, *arguments = line.split()
        try:
            return {"prepare": self.prepare, "check": self.check, "time": self.time, "peak": self.peak}[task](
                *arguments
            )
        except Exception as error:
            said = str(error).strip().splitlines() or [""]
            return {"failed": f"{type(error).__name__}: {said[0]}"[:300]}


def main() -> None:
    """Answer until standard input ends."""
    tool, threads, subject, *first = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    pin(int(threads))
    worker = Worker(tool, int(threads), Subject(**json.loads(subject)))
    if first:
        answer = worker.answer("prepare")
        sys.exit(answer.get("failed", 0))
    for line in sys.stdin:
        print(json.dumps(worker.answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
