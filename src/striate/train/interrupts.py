"""Graceful interruption: on Ctrl-C the loop finishes its update, saves and stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal after saving; the text is one line for the user.

    exit_code: what a shell reports for a program ended by this signal (130 for Ctrl-C).
    """

    def __init__(self, text: str, signum: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.exit_code = 128 + signum


class Stop:
    """True once a stop was requested; `signum` is the signal."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Let SIGINT, SIGTERM and SIGHUP set the Stop; a second signal interrupts at once.

    Under torchrun further signals are ignored, because it forwards those that the terminal has sent already, and kills
    after half a minute. Under nohup SIGHUP has no effect. Outside the main thread Python delivers no signals: then the
    Stop stays unset.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handlers = {signum: signal.getsignal(signum) for signum in STOPS}
    before = {
        s: handler for s, handler in handlers.items() if s in STOPS[:2] or handler is not signal.SIG_IGN
    }

    def ask(signum: int, frame: FrameType | None) -> None:
        if stop:
            if "TORCHELASTIC_RUN_ID" in os.environ:
                return
            raise KeyboardInterrupt
        stop.signum = signum

    try:
        for signum in before:
            signal.signal(signum, ask)
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
