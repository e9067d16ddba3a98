"""Background prefetch: results in order, with bounded memory.

At most `workers` results are computed at a time, and `ahead` more are waiting.
"""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from striate.engine.threads import available

Job = TypeVar("Job")
Result = TypeVar("Result")


def default_workers() -> int:
    """Number of decoding threads: those that this process may use, at most four (decoding releases Python's lock)."""
    return min(4, available())


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], workers: int, ahead: int = 2
) -> Iterator[Result]:
    """Results of `work` in the order of the jobs; the first error stops it. 0 workers: computed in this thread."""
    if workers <= 0:
        yield from map(work, jobs)
        return
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="striate-data")
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= workers + ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the reader stops half-way, or Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)
