"""Words that were replaced do not come back: code and documentation use the terms of the field."""

import ast
import functools
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
    r"\bfetch(ed)? it again\b": "download it again",
    r"\bnot hold together\b": "is inconsistent",
    r"\bfault of Striate\b": "bug in Striate",
    r"\bof one's own\b": "custom",
    r"\bin a circle\b": "cycle",
    r"\bwhat the model says\b": "predicted class",
    r"\bno more is said\b": "no details",
    r"\bwhere there (is|are) none\b": "if there is none",
    r"\btaken on trust\b": "unsupported",
    r"\banother look at\b": "view, alias",
    r"\bso (many|much)\b(?! (as|that|the|more|less)\b)": "this many, `count`",
    r"\bbeside\b": "next to, besides, compared with",
    r"\b(go|goes|going|went) on with\b": "continue",
    r"\bwins a draw\b": "wins a tie",
    r"(?i)\bdata sets?\b": "dataset",
    r"(?i)\b(a|an|this|new|other|lower|higher|between|every|one) rooms?\b(?! (for|to|on)\b)": "package",
    r"(?i)\b(nobody|no one)\b": "nothing, no node, is unknown, is not read",
    r"(?i)\banew\b": "again",
    r"(?i)\blikewise\b": "also, the same",
    r"\bis not known\b": "is unknown",
    r"\bdoes not suit\b": "does not fit, is not allowed",
    r"\bcut off\b": "truncated, cropped",
    r"(?i)\bsomebody\b": "another user, a caller",
    r"\brefuses to know\b": "knows no …",
    r"(?i)\b(normalis|initialis|optimis|recognis|vectoris|regularis|organis|utilis)(e|ed|es|er|ing|ation)\b": "-ize",
    r"(?i)\b(colour|behaviour|neighbour|favour|grey)": "American spelling",
}
"""Phrase -> what to say instead."""

NAMES = (
    "Stretch", "BoundTraining", "Ledger", "Looped", "Normed", "World", "ALONE", "Remembered", "Scheme", "SCHEMES",
    "give_way", "default_scheme", "Normalise", "ColourJitter", "initialise", "TrainingTable", "Suited", "is_foreign",
    "Tailored", "tailored", "make_plan", "post_kernel", "map_steps", "SCATTER", "POSTED", "LARGEST_NAMED", "PACKING",
    "machine_record",
)  # fmt: skip
"""Identifiers that have better names now."""

MODULES = {
    "engine/kernels": "direct map mean gather planar planes post scatter squares sums",
    "engine/plan": "plan pattern patterns bound turns steps",
    "engine/training": "plan program rows",
    "train": "judging learner network plan watch",
    "train/data": "foreign opening remembered suiting",
    "views": "compare detail machine tables use",
    "views/text": "main_job numbers plan plot windows",
}
"""Room -> modules that have better names now."""

VAGUE = {
    "BIG", "CHUNK", "FAR", "FEW", "HEAVY", "HUGE", "LARGE", "LARGEST", "LEAST", "LIMIT", "LONG", "LONGEST", "MANY",
    "MOST", "NARROW", "NEAR", "PATIENCE", "REPEATED", "REUSE", "ROUNDS", "SHORT", "SIZES", "SMALL", "SUM", "SUMS",
    "TINY", "WASTE", "WIDE", "WORTH",
}  # fmt: skip
"""Names of limits that do not say what is counted, or in which unit: MAX_TILE_PIXELS does."""

ANY_VAGUE = re.compile(rf"\b_*(?:{'|'.join(sorted(VAGUE))})_*\b")
"""Finds the files that are worth a parser."""

CATALOGUE = {"convnext.py", "mobilenet_v3.py"}
"""Files in which SMALL and SIZES are names of published networks."""

KEPT = {
    ("src/striate/formats/recorded_steps.py", '"normalise": "normalize"'),
}
"""(file, text of the line) where an old word is an old spelling that is still read."""

ENDINGS = (".py", ".md", ".ts", ".tsx", ".css", ".html")
"""Of the files that are read."""


def sources():
    """The tracked text files of the package, its live page and its documentation."""
    listed = subprocess.run(
        ["git", "ls-files", "src", "web/src", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split() if name.endswith(ENDINGS)]


@functools.cache
def lines():
    """Place and text of every line but those of KEPT, read once for all tests."""
    found = []
    for path in sources():
        name = str(path.relative_to(ROOT))
        kept = [text for file, text in KEPT if file == name]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not any(text in line for text in kept):
                found.append((f"{name}:{number}", line))
    return found


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_retired_phrase_is_used(phrase):
    found = [f"{place}: {line.strip()}" for place, line in lines() if re.search(phrase, line)]
    assert not found, f"say {PHRASES[phrase]!r} instead:\n" + "\n".join(found)


def test_no_retired_name_is_used():
    names = re.compile(rf"\b({'|'.join(NAMES)})\b")
    found = [f"{place}: {line.strip()}" for place, line in lines() if names.search(line)]
    assert not found, "\n".join(found)


def test_no_retired_module_is_back():
    package = ROOT / "src" / "striate"
    found = [
        f"{room}/{name}.py"
        for room, names in MODULES.items()
        for name in names.split()
        if (package / room / f"{name}.py").exists()
    ]
    assert all((package / room).is_dir() for room in MODULES)
    assert not found, "\n".join(found)


def constants(text):
    """(line, name) of each constant of a module."""
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for name in (name for target in targets if target is not None for name in ast.walk(target)):
            if isinstance(name, ast.Name):
                yield node.lineno, name.id


SCRIPT_CONSTANT = re.compile(r"^(?:export )?const ([A-Z][A-Z_]*)\b")
"""A constant of a TypeScript module."""


def test_a_constant_says_what_it_limits_and_its_unit():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in (ROOT / "src").rglob("*.py")
        if path.name not in CATALOGUE and ANY_VAGUE.search(text := path.read_text("utf-8"))
        for number, name in constants(text)
        if name.strip("_") in VAGUE
    ] + [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in (ROOT / "web" / "src").rglob("*.ts*")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for name in SCRIPT_CONSTANT.findall(line)
        if name in VAGUE
    ]
    assert not found, "\n".join(found)


def test_a_vague_constant_is_found():
    text = "A, MOST = 1, 2\n_SMALL: int = 3\ndef f():\n    FEW = 4\n"
    assert [name for _, name in constants(text) if name.strip("_") in VAGUE] == ["MOST", "_SMALL"]
    assert ANY_VAGUE.findall(text) == ["MOST", "_SMALL", "FEW"]
    assert SCRIPT_CONSTANT.findall("export const MOST = 3") == ["MOST"] and "MOST" in VAGUE


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
