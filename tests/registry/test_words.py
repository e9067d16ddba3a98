"""Words that were replaced do not come back: code and documentation use the terms of the field."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = {
    r"(?<![Tt]here )\bis no (?!longer\b|more\b|less\b)\w+": "is not a …",
    r"\bway (back|there)\b": "backward pass, forward pass, inverse",
    r"\bthere and back\b": "forward and backward",
    r"\bha(s|ve) no meaning\b": "is not allowed, must be at least 1",
    r"\bto the bit\b": "bit-identical",
    r"\bwhere there (is|are) none\b": "if there is none",
    r"\btaken on trust\b": "unsupported",
    r"\banother look at\b": "view, alias",
    r"\bso (many|much)\b(?! (as|that|the|more|less)\b)": "this many, `count`",
    r"\bbeside\b": "next to, besides, compared with",
    r"(?i)\b(nobody|no one)\b": "nothing, no node, is unknown, is not read",
    r"(?i)\banew\b": "again",
    r"(?i)\b(normalis|initialis|optimis|recognis|vectoris|regularis|organis|utilis)(e|ed|es|er|ing|ation)\b": "-ize",
    r"(?i)\b(colour|behaviour|neighbour|favour|grey)": "American spelling",
}
"""Phrase -> what to say instead."""

NAMES = (
    "Stretch", "BoundTraining", "Ledger", "Looped", "Normed", "World", "ALONE", "Remembered", "Scheme", "SCHEMES",
    "give_way", "default_scheme", "Normalise", "ColourJitter", "initialise", "TrainingTable", "Suited", "is_foreign",
)  # fmt: skip
"""Identifiers that have better names now."""

KEPT = {
    ("src/striate/formats/recorded_steps.py", '"normalise": "normalize"'),
}
"""(file, text of the line) where an old word is an old spelling that is still read."""


def sources():
    """The tracked text files of the package and its documentation."""
    listed = subprocess.run(
        ["git", "ls-files", "src", "docs", "README.md", "CONTRIBUTING.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split() if name.endswith((".py", ".md"))]


def lines():
    for path in sources():
        name = str(path.relative_to(ROOT))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not any(name == file and text in line for file, text in KEPT):
                yield f"{name}:{number}", line


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_retired_phrase_is_used(phrase):
    found = [f"{place}: {line.strip()}" for place, line in lines() if re.search(phrase, line)]
    assert not found, f"say {PHRASES[phrase]!r} instead:\n" + "\n".join(found)


def test_no_retired_name_is_used():
    names = re.compile(rf"\b({'|'.join(NAMES)})\b")
    found = [f"{place}: {line.strip()}" for place, line in lines() if names.search(line)]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for():
    for line in (
        "x is no number", "on the way back", "there and back", "has no meaning", "the same to the bit", "so many rows",
        "beside the machine's limits", "where there is none", "normalises", "a grey image",
    ):  # fmt: skip
        assert any(re.search(phrase, line) for phrase in PHRASES), line
    for line in (
        "there is no file",
        "it is no longer there",
        "so many as fit",
        "besides",
        "the way that it goes",
    ):
        assert not any(re.search(phrase, line) for phrase in PHRASES), line
