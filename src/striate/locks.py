"""Locks that are open in a forked child, because the thread that held one does not exist there."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """A new lock."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def reentrant() -> Any:
    """A new lock that its owner may acquire again; it stays locked in a child that the owner forks."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _reset_locks() -> None:
    for lock in list(_locks):
        if not (hasattr(lock, "_is_owned") and lock._is_owned()):  # the forking thread continues in the child
            lock._at_fork_reinit()  # what threading itself does


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_locks)
