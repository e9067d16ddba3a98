"""The worker threads: they sleep while there is no program, and spin for a moment after each before they sleep.

They are Python threads, so that only the C library is needed; inside a program they run machine code without the
interpreter lock. After a fork the child has none and starts its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from typing import Any

import numpy as np

from striate.engine import aligned, threads
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import driver
from striate.engine.target import Target
from striate.locks import fork_safe_lock

SPIN_TURNS = 20_000
"""Turns that a worker spins before it sleeps: about a millisecond."""

DRIVE, RUN, WAIT = (Kernel("driver", (part,)) for part in ("drive", "run", "wait"))


@functools.cache
def _code(target: Target) -> tuple[int, Any, Any]:
    codes = addresses(target, [DRIVE, RUN, WAIT])
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(codes[RUN])
    wait = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)(codes[WAIT])
    return codes[DRIVE], run, wait


@functools.cache
def sched_yield_address() -> int:
    """Address of the operating system's function that lets other threads run, or 0."""
    try:
        return ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


class ThreadPool:
    """Workers 1 … count for programs of up to count + 1 threads."""

    def __init__(self, target: Target) -> None:
        self._drive, self._run, self._wait = _code(target)
        self._control = aligned.zeros(driver.CONTROL_SIZE // 8, np.int64)
        self._busy = fork_safe_lock()
        self.begin()

    def begin(self) -> None:
        """No workers yet, and no program."""
        self._control[:] = 0
        self._control[driver.SPIN_TURNS // 8] = SPIN_TURNS
        self._bells: list[threading.Semaphore] = []
        self._asleep: list[bool] = []

    def run(self, program: int, count: int) -> None:
        """Run a program with its number of threads; on this thread alone while another program uses the workers."""
        if count > 1 and self._busy.acquire(blocking=False):
            try:
                self._wake(count - 1)
                self._run(aligned.address(self._control), program, self._drive)
            finally:
                self._busy.release()
        else:
            self._run(None, program, self._drive)

    def _wake(self, count: int) -> None:
        while len(self._bells) < count:
            self._hire()
        for k in range(count):
            if self._asleep[k]:
                self._asleep[k] = False
                self._bells[k].release()

    def _hire(self) -> None:
        index = len(self._bells)
        self._bells.append(threading.Semaphore(0))
        self._asleep.append(True)
        name = f"striate-{index + 1}"
        near = threads.current()
        threading.Thread(target=self._work, args=(index, near), name=name, daemon=True).start()

    def _work(self, index: int, near: int | None) -> None:
        """Serve programs. near: the processor of the thread that runs them, which a worker leaves to it."""
        bell, control = self._bells[index], aligned.address(self._control)
        with contextlib.suppress(OSError, AttributeError):
            places = threads.order(near)
            if index + 1 < len(places):
                os.sched_setaffinity(0, {places[index + 1]})  # a sleeping thread wakes sooner where it slept
        while True:
            bell.acquire()
            self._wait(control, index + 1, self._drive)
            self._asleep[index] = True
            if self._control[driver.JOB // 8]:  # a program arrived between the last check and sleeping
                self._asleep[index] = False
                bell.release()


_pools: dict[Target, ThreadPool] = {}
_lock = fork_safe_lock()


def pool(target: Target) -> ThreadPool:
    """The one pool of this process."""
    with _lock:
        if target not in _pools:
            _pools[target] = ThreadPool(target)
        return _pools[target]


def _forked() -> None:
    for one in _pools.values():
        one.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
