"""What tests of files that mean harm share: the error that is expected, in bounded time and memory."""

import contextlib
import os
import resource
import time

import pytest

from striate.formats import load


def refused(path, kind, *words):
    """A short error in bounded time that says why, what to do, and these words."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        load(path)
    assert time.monotonic() - start < 10
    error = caught.value
    assert error.why and error.fix and len(str(error)) < 2000
    assert all(word in str(error) for word in words), str(error)


@contextlib.contextmanager
def little_memory(extra=256 * 2**20):
    """No more address space than is used now, and a little."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
