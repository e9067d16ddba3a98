"""How long a run takes: said at its beginning, corrected as it goes, and an end for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from striate.diagnostics import plural
from striate.peers.tools import TOOLS

RATE = 70e9
"""Floating-point operations per second of one thread, over all tools."""
PREPARE_S, COMPILE_S = 2.0, 45.0
"""Seconds until a tool is ready, and until one is that compiles C++."""
ONCE_S = 8.0
"""Of a case: conversion, float64, the bound."""


def case_s(macs: int, batch: int, threads: int, tools: Sequence[str], settings: Mapping[str, Any]) -> float:
    """Expected seconds of one case: every tool is prepared, and takes its samples.

    >>> case_s(0, 1, 1, ["striate"], {"rounds": 9, "sample_s": 0.2})
    12.0
    """
    run, sample = 2 * macs * batch / (RATE * threads), settings["sample_s"]
    took = run + max(sample, run, min(3 * run, 3 * sample))
    ready = sum(COMPILE_S if TOOLS[tool].slow else PREPARE_S for tool in tools)
    return ONCE_S + ready + len(tools) * (1 + settings["rounds"]) * took


def length(seconds: float) -> str:
    """
    >>> length(40), length(600), length(9000)
    ('1 min', '10 min', '2 h 30 min')
    """
    hours, minutes = divmod(max(round(seconds / 60), 1), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class TimeIsOver(SystemExit):
    """The run's minutes are over; what it has measured is kept."""


class Schedule:
    """Cases with their expected seconds, in order. minutes: after which no further case begins; 0: there is no end."""

    def __init__(
        self, expected: Mapping[str, float], minutes: float = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.left, self.count, self.minutes, self.clock = dict(expected), len(expected), minutes, clock
        self.start = self.now = clock()
        self.passed = 0.0
        """Expected seconds of the cases that are done."""
        self.running: str | None = None
        self.say(f"{plural(self.count, 'case')}, about {length(sum(self.left.values()))}")

    @staticmethod
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, case: str) -> None:
        """Say which case begins and how long the rest takes. Ends the run when its time is over."""
        self._finish()
        if self.minutes and self.clock() - self.start >= 60 * self.minutes:
            raise TimeIsOver(f"{self.minutes:g} minutes are over; --resume goes on with {case}")
        gone = self.clock() - self.start
        rest = sum(self.left.values()) * (gone / self.passed if self.passed > 60 else 1.0)
        done = self.count - len(self.left) + 1
        self.say(f"{case} ({done} of {self.count}, {length(rest)} to go)")
        self.running = case

    def _finish(self) -> None:
        if self.running is not None:
            self.passed += self.left.pop(self.running, 0.0)
            self.running = None
