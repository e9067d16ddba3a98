"""Locks that are open in a forked child, because the thread that held one does not exist there."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """A new lock."""
    made = threading.Lock()
    _made.add(made)
    return made


def reentrant() -> Any:
    """A new lock that the thread which holds it may take again; a fork inside it leaves it held."""
    made = threading.RLock()
    _made.add(made)
    return made


def _forked() -> None:
    for made in list(_made):
        if not (hasattr(made, "_is_owned") and made._is_owned()):  # the thread that has forked goes on
            made._at_fork_reinit()  # what threading itself does


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
