"""Requirements of PNG and PDF: two packages of the extra `draw`, and texts in the characters of their font."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.diagnostics import MissingExtraError, few, plural, warn
from striate.extras import install_command

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing, Mark


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Around imports of the extra. Raises MissingExtraError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            "images and PDF need the packages that draw them",
            why=str(error),
            fix=f"{install_command('draw')}, or write an .svg file",
        ) from None


def font_files() -> list[Path]:
    """The plain and the bold font."""
    with needed():
        import reportlab
    folder = Path(reportlab.__file__).parent / "fonts"
    return [folder / "Vera.ttf", folder / "VeraBd.ttf"]


@functools.cache
def letters() -> frozenset[int]:
    """Code points that the font has."""
    with needed():
        from reportlab.pdfbase.ttfonts import TTFontFile
    return frozenset(TTFontFile(str(font_files()[0])).charToGlyph)


def replaced(drawing: Drawing) -> Drawing:
    """The same drawing in letters that the font has; what it has no letter for becomes "?", with a warning."""
    return in_letters(drawing, lambda c: c if ord(c) in letters() else "?", "the font of images and PDF")


def in_letters(drawing: Drawing, spell: Callable[[str], str], lacking: str) -> Drawing:
    """A drawing with every character of its texts replaced by one that can be set; warns of those that become "?".

    lacking: what has no such characters.
    """
    texts = {mark["text"] for mark in drawing["marks"] if mark["mark"] == "text"}
    letter = {c: spell(c) for c in sorted({c for text in texts for c in text})}
    lost = [c for c, other in letter.items() if other == "?" != c]
    if lost:
        warn(f"{lacking} lacks {plural(len(lost), 'character')}, written as '?': {few(lost)}")
    marks: list[Mark] = []
    for mark in drawing["marks"]:
        if mark["mark"] == "text":
            mark = mark.copy()
            mark["text"] = "".join(letter[c] for c in mark["text"])
        marks.append(mark)
    return {**drawing, "marks": marks}
