"""Sizes of the processor's caches, as Linux reports them."""

from __future__ import annotations

import functools
from pathlib import Path

SYSTEM = Path("/sys/devices/system/cpu/cpu0/cache")
DEFAULT_BYTES = {2: 1 << 20, 3: 8 << 20}
"""Defaults if Linux reports nothing."""


@functools.cache
def size(level: int, root: Path = SYSTEM) -> int:
    """Bytes of the data cache of a level, 2 or 3."""
    for folder in root.glob("index*"):
        try:
            cache_level, kind, text = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        number = text.rstrip("KMG")
        if cache_level == str(level) and kind in ("Unified", "Data") and number.isdigit():
            return int(number) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)
    return DEFAULT_BYTES[level]
