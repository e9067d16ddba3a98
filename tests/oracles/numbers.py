"""Access to numbers.json that keeps a record of what was taken, so that a test can say that nothing was left."""

import json
from pathlib import Path
from typing import Any

NUMBERS = json.loads(Path(__file__).with_name("numbers.json").read_text("utf-8"))
PROSE = {"_meta", "source", "kind", "note", "columns", "check", "memory_unverified"}
"""Keys that say where numbers come from and how they were obtained; all others are tested."""

taken: set[tuple[str, ...]] = set()


def take(*path: str) -> Any:
    """The part of numbers.json under a path of keys; the caller tests every row of it."""
    found = NUMBERS
    for key in path:
        found = found[key]
    taken.add(path)
    return found


def left() -> list[str]:
    """Paths to what nothing took."""
    missing = []

    def walk(node: Any, path: tuple[str, ...]) -> None:
        if path in taken or (path and path[-1] in PROSE):
            return
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, (*path, key))
        else:
            missing.append("/".join(path))

    walk(NUMBERS, ())
    return missing
