"""Locks that a forked child finds open, whoever held them: that thread is not there to open them."""

from __future__ import annotations

import os
import threading
import weakref

_made: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def lock() -> threading.Lock:
    """A new lock."""
    made = threading.Lock()
    _made.add(made)
    return made


def _forked() -> None:
    for made in list(_made):
        made._at_fork_reinit()  # type: ignore[attr-defined]  # what threading itself does


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
