"""Computation off the server's thread, so that a page is answered while another request is computed."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread that does jobs in their order, and leaves out those that were cancelled.

    The thread does not keep the process alive: Ctrl-C ends the server in the middle of a job. Raises nothing.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"striate lab: {name}", daemon=True)
        self._thread.start()

    async def do(self, job: Callable[[], T]) -> T:
        """The job's result, or what it raises. Cancelled, a job that has not begun is never done."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the thread after the job that it does now."""
        with contextlib.suppress(queue.Empty):
            while entry := self._jobs.get_nowait():
                entry[0].cancel()
        self._jobs.put(None)

    def _run(self) -> None:
        while entry := self._jobs.get():
            future, job = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
            del entry, future, job  # nothing is kept while the thread waits
