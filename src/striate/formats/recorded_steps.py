"""Words and numbers of a recorded image transformation that training and files agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLD_WORDS = {"normalise": "normalize", "colour_jitter": "color_jitter"}
"""Steps by the words that earlier versions recorded them under: their files are still read."""
LUMA = (0.299, 0.587, 0.114)
"""Red, green and blue in gray: Rec. 601, as Pillow's "L"."""


def word_of(entry: Any) -> Any:
    """The word of a step in a record, in its current spelling; None if the entry names no step."""
    word = entry.get("step") if isinstance(entry, Mapping) else None
    return OLD_WORDS.get(word, word) if isinstance(word, str) else word
