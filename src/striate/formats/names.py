"""Names of a network: legal in files and messages, and unique."""

from __future__ import annotations

import re
from collections.abc import Container

MAX_NAME_LETTERS = 200


def legal(name: str) -> str:
    """A name that files and messages can carry; dots for slashes, as modules are written.

    >>> legal("block/conv: 1")
    'block.conv.1'
    """
    text = re.sub(r"[\s:/\\]+", ".", name)
    return "".join(c for c in text if c.isprintable()).strip(".")[:MAX_NAME_LETTERS]


class UniqueNames:
    """Names in use. A name that is asked for again gets a number: conv, conv_2, conv_3."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}
        """Name -> the first number that may be free, so that repeated names take no search."""

    def __contains__(self, name: str) -> bool:
        return name in self._used

    def free(self, name: str, reserved: Container[str] = ()) -> str:
        """The name, or its first free numbered form. reserved: numbered forms that are not allowed."""
        if name not in self._used:
            return name
        number = self._next.get(name, 2)
        while (numbered := f"{name}_{number}") in self._used or numbered in reserved:
            number += 1
        self._next[name] = number
        return numbered

    def take(self, name: str, reserved: Container[str] = ()) -> str:
        """Add the name that `free` gives, and return it."""
        free = self.free(name, reserved)
        self.add(free)
        return free

    def add(self, name: str) -> None:
        """Mark a name as used."""
        self._used.add(name)

    def discard(self, name: str) -> None:
        """Release a name."""
        self._used.discard(name)
        base, _, number = name.rpartition("_")
        if number.isdecimal() and base in self._next:
            self._next[base] = min(self._next[base], int(number))
