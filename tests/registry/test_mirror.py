"""The tests mirror the source.

`tests/a/test_b.py` tests `striate/a/b.py` or the room `striate/a/b/`, and `tests/a/test_b_topic.py` one topic of it.
Some are named after a file, folder or page of the repository instead. Tests across rooms have folders of their own.
"""

import re
from pathlib import Path

import pytest

from registry.test_layout import ROOT, tracked

TESTS, SOURCE = ROOT / "tests", ROOT / "src" / "striate"
ACROSS = {
    "browser": "pages as a browser shows them",
    "laws": "what holds between rooms, or for every network and every file",
    "oracles": "what others say: papers, published tables, PyTorch, ONNX, timm",
    "registry": "every op, rule and model, found by itself; habits of the repository",
}
"""Folders of tests across rooms."""
TOPICS = {"cli": {"golden": "what every command prints"}}
"""Topics that are not a module of their room."""
PATH = re.compile(r"(?<![\w/.<-])(\.?\w+)((?:/[\w.-]+)+\.(?:py|md|toml|json|txt|svg)\b)")
WRITTEN = {"docs/rules.md", "docs/models.txt", "bench/results/soak.json"}
"""Files that commands write and git ignores."""


def names(folder: Path) -> set[str]:
    """The modules and rooms in a folder of the source."""
    return {path.stem for path in folder.glob("[!_]*") if path.suffix == ".py" or path.is_dir()}


def pages() -> set[str]:
    return {path.stem.lower() for path in (*ROOT.glob("[!.]*"), *(ROOT / "docs").glob("*.md"))}


def misplaced(path: Path) -> str | None:
    """Why a test module (its path below tests/) lies in the wrong place; None where it does not."""
    folder, topic = path.parent, path.stem.removeprefix("test_")
    if path.parts[0] in ACROSS:
        return None
    if not (SOURCE / folder).is_dir():
        return f"there is no room striate/{folder}"
    known = names(SOURCE / folder) | pages() | TOPICS.get(str(folder), {}).keys()
    about = [name for name in known if topic == name or topic.startswith(f"{name}_")]
    if not about:
        return f"nothing in striate/{folder} has a name that {path.name} begins with"
    name = max(about, key=len)
    side = topic.removeprefix(name).removeprefix("_")
    if side in names(SOURCE / folder / name):
        return f"it belongs into tests/{folder / name}/test_{side}.py"
    return None


def test_every_test_module_lies_where_its_subject_does():
    tests = [path.relative_to(TESTS) for path in tracked("tests/*.py") if path.name.startswith("test_")]
    assert len(tests) > 150
    assert {str(path): wrong for path in tests if (wrong := misplaced(path))} == {}


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("engine/codegen/test_code_cache.py", None),
        ("engine/codegen/test_code_cache_locks.py", None),
        ("test_readme.py", None),
        ("cli/test_golden.py", None),
        ("laws/test_anything.py", None),
        ("engine/test_anything.py", "nothing in striate/engine"),
        ("engine/runtime/test_thread_pooled.py", "nothing in striate/engine/runtime"),
        ("nowhere/test_cache.py", "no room"),
        ("formats/test_onnx_reading.py", "tests/formats/onnx/test_reading.py"),
        ("checks/test_golden.py", "nothing in striate/checks"),
    ],
)
def test_a_misplaced_module_is_told(path, wrong):
    said = misplaced(Path(path))
    assert said is None if wrong is None else wrong in said


def test_paths_that_are_named_exist():
    """In docstrings, comments and pages; the first folders may be left out: `engine/target.py`, `oracles/tfslim.py`."""
    parts = [path.relative_to(ROOT).parts for path in tracked()]
    ends = {"/".join(part[k:]) for part in parts for k in range(len(part))}
    folders = {name for part in parts for name in part[:-1]}
    lost = [
        f"{file.relative_to(ROOT)}:{number}: {first}{rest}"
        for file in tracked("*.py", "*.md", "*.toml", "Makefile", ".ci/run")
        if file.name != "CHANGELOG.md" and file != Path(__file__)
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        for first, rest in PATH.findall(line)
        if first in folders and first + rest not in ends | WRITTEN
    ]
    assert not lost
