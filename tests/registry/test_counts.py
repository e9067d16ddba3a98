"""Counts with their words, in everything that Striate says: 1 image, 2 images."""

import ast
import re
from pathlib import Path

import striate
from striate.diagnostics import plural

SOURCE = Path(striate.__file__).parent
WORDS = (
    "images|classes|inputs|outputs|nodes|networks|labels|findings|arrays|batches|epochs|updates|files|kernels|tensors"
    "|parameters|threads|characters|parts"
)
NO_COUNTS = re.compile(r"MAX|LIMIT|REPEATED|_MOST|LARGEST|\bcount\(|shape\[0\]|at most|-- ")
"""Limits, which are never 1, and what has been counted in words already."""
HABIT = re.compile(rf"^ (?:[a-z-]+ )?(?:{WORDS})\b")


def hand_made(source: str) -> list[int]:
    """Lines of a source where a number stands before a word that is always plural, or gets its s by hand."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:]):
            if not isinstance(value, ast.FormattedValue):
                continue
            by_hand = isinstance(value.value, ast.BinOp | ast.IfExp)
            habit = isinstance(text, ast.Constant) and HABIT.match(str(text.value))
            said = ast.unparse(value.value) if by_hand or habit else ""
            if re.fullmatch(r"'s' \* .*|'s' if .* else ''", said):
                found.append(value.lineno)
            if habit and re.match(r"len\(|sum\(", said) and not NO_COUNTS.search(said):
                found.append(value.lineno)
    return found


def test_plurals_come_from_one_place():
    left = []
    for path in sorted(SOURCE.rglob("*.py")):
        lines = path.read_text("utf-8").splitlines()
        left += [f"{path.name}:{at} {lines[at - 1].strip()}" for at in hand_made("\n".join(lines))]
    assert not [line for line in left if not any(known in line for known in ATLEAST_TWO)]


ATLEAST_TWO = (
    "has {len(self.inputs)} inputs",
    "has {len(self._inputs)} inputs",
    "has {len(loaded.net.inputs)} inputs",
    "all {len(data):,} images are",
    "does not name the axes of {len(self.apart)} parts",
)
"""Said only where there are several."""


def test_the_scan_sees_what_it_should():
    assert hand_made("f\"{len(x)} images and {n} image{'s' * (n > 1)} here\"") == [1, 1]
    assert not hand_made("f\"{plural(len(x), 'image')} of {MAX_IMAGES} images\"")


def test_counts():
    assert [plural(n, "image") for n in (0, 1, 2, 1234)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,234 images",
    ]
    assert plural(2, "class", "classes") == "2 classes"
