"""Names that files and messages can carry."""

from __future__ import annotations

import re

LONGEST = 200


def legal(name: str) -> str:
    """A name that files and messages can carry; dots for slashes, as modules are written.

    >>> legal("block/conv: 1")
    'block.conv.1'
    """
    text = re.sub(r"[\s:/\\]+", ".", name)
    return "".join(c for c in text if c.isprintable()).strip(".")[:LONGEST]
