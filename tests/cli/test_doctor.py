"""`striate doctor` on machines that are written down, and what --clear-cache removes."""

import json
import os

import pytest

from cli.run import run, spawn
from striate.terminal import Terminal
from striate.views.doctor_record import doctor_record
from striate.views.text import doctor
from striate.views.text.page import Page

MACHINE = {
    "schema": "striate.doctor/1",
    "striate": "1.2.3",
    "python": "3.11.7",
    "implementation": "CPython",
    "system": "Linux 6.1 x86_64",
    "cpu": {"name": "Some CPU @ 2 GHz", "features": ["avx2", "fma"]},
    "threads": {"present": 8, "affinity": 4, "cores": 2, "quota": 2.5, "useful": 2},
    "kernels": {
        "target": "avx2",
        "vector": 256,
        "block": 8,
        "able": ["avx2", "sse"],
        "llvm": "22.1.0",
        "why": None,
    },
    "cache": {
        "folder": "/srv/ada/.cache/striate/code",
        "usable": True,
        "why": None,
        "owner": "ada",
        "mode": "0700",
        "files": 41,
        "bytes": 84_000,
    },
    "packages": [
        {"name": "numpy", "version": "2.4.6", "extra": None},
        {"name": "torch", "version": None, "extra": "torch"},
    ],
}
NONE = dict.fromkeys(MACHINE["kernels"]) | {"able": []}
NOWHERE = dict.fromkeys(MACHINE["cache"]) | {"usable": False, "files": 0, "bytes": 0}


def drawn(**changes):
    page = Page(Terminal(width=80))
    doctor.draw(page, MACHINE | changes)
    return str(page)


def test_the_machines_of_these_tests_have_the_keys_of_real_ones():
    def keys(record):
        return {key: keys(value) if isinstance(value, dict) else None for key, value in record.items()}

    assert keys(doctor_record()) == keys(MACHINE)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("well", {}),
        (
            "no-kernels",
            {
                "kernels": NONE | {"why": "kernels run on Linux, and this is Darwin"},
                "cache": NOWHERE | {"why": "there is no home folder; STRIATE_CACHE=FOLDER names another place"},
            },
        ),
        (
            "not-trusted",
            {"cache": MACHINE["cache"] | {"usable": False, "why": "it can be written by other users", "mode": "0777"}},
        ),
        ("not-yet", {"cache": MACHINE["cache"] | {"owner": None, "mode": None, "files": 0, "bytes": 0}}),
    ],
)  # fmt: skip
def test_what_is_printed(golden, name, changes):
    golden(f"cli/doctor/{name}.txt", drawn(**changes))


def test_an_empty_processor_and_no_target(monkeypatch):
    """Nothing known about the machine is not a reason to fail."""
    from striate.engine import target

    target.host.cache_clear()
    monkeypatch.setattr(target, "flags", frozenset)
    monkeypatch.setattr(target.platform, "machine", lambda: "x86_64")
    try:
        done = run("doctor", "--json")
        kernels = json.loads(done.out)["kernels"]
        assert (done.code, kernels["target"], kernels["able"]) == (0, None, [])
        assert "sse4_2" in kernels["why"] or "Linux" in kernels["why"]
        assert "engine=" in run("doctor").out
    finally:
        target.host.cache_clear()


def test_llvmlite_that_does_not_load(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.delitem(sys.modules, "llvmlite.binding", raising=False)
    monkeypatch.delitem(sys.modules, "striate.engine.codegen.memory", raising=False)
    if "striate.engine.codegen" in sys.modules:
        monkeypatch.delattr(sys.modules["striate.engine.codegen"], "memory", raising=False)
    kernels = doctor_record()["kernels"]
    assert kernels["target"] is kernels["llvm"] is None and kernels["why"]


@pytest.mark.parametrize("value", ["neon", "none-such"])
def test_a_target_that_is_not_here(value):
    done = spawn("doctor", STRIATE_TARGET=value)
    assert (done.code, done.err) == (0, "")
    assert "none: " in done.out


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")
class TestClearing:
    def test_only_what_was_made_here_goes(self, tmp_path):
        folder = tmp_path / "code"
        folder.mkdir(mode=0o700)
        made = [f"{'a' * 64}.code", f".{'b' * 64}.0123456789abcdef.new"]
        others = ["notes.txt", "a.code", f"{'a' * 63}g.code", f"{'c' * 64}.code.bak"]
        for name in made + others:
            (folder / name).write_bytes(b"12345")
        (folder / ("d" * 64 + ".code")).mkdir()
        done = spawn("doctor", "--clear-cache", STRIATE_CACHE=str(folder))
        assert (done.code, done.err) == (0, "")
        assert " ".join(done.out.split()) == f"{folder}: 2 compiled kernels removed, 10 B"
        assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "d" * 64 + ".code"])

    def test_links_are_removed_and_not_followed(self, tmp_path):
        folder = tmp_path / "code"
        folder.mkdir(mode=0o700)
        (tmp_path / "mine.txt").write_text("keep")
        (folder / f"{'a' * 64}.code").symlink_to(tmp_path / "mine.txt")
        assert spawn("doctor", "--clear-cache", STRIATE_CACHE=str(folder)).code == 0
        assert list(folder.iterdir()) == [] and (tmp_path / "mine.txt").read_text() == "keep"

    def test_a_folder_open_to_others_is_emptied(self, tmp_path):
        folder = tmp_path / "code"
        folder.mkdir()
        folder.chmod(0o777)
        (folder / f"{'a' * 64}.code").write_bytes(b"")
        before = json.loads(spawn("doctor", "--json", STRIATE_CACHE=str(folder)).out)["cache"]
        assert (before["usable"], before["mode"]) == (False, "0777")
        after = spawn("doctor", "--clear-cache", "--json", STRIATE_CACHE=str(folder))
        cache = json.loads(after.out)["cache"]
        assert (cache["usable"], cache["mode"]) == (False, "0777")
        assert list(folder.iterdir()) == []
        text = " ".join(spawn("doctor", STRIATE_CACHE=str(folder)).out.split())
        assert "`striate doctor --clear-cache`, then `chmod go-w` it" in text

    def test_nothing_there(self, tmp_path):
        done = spawn("doctor", "--clear-cache", STRIATE_CACHE=str(tmp_path / "none"))
        assert (done.code, " ".join(done.out.split())) == (0, f"{tmp_path / 'none'}: nothing to remove")
        assert not (tmp_path / "none").exists()

    def test_a_link_or_a_file_is_an_error_that_says_so(self, tmp_path):
        (tmp_path / "real").mkdir(mode=0o700)
        (tmp_path / "link").symlink_to(tmp_path / "real")
        (tmp_path / "file").write_text("")
        for name, why in (("link", "it is a link"), ("file", "Not a directory")):
            done = spawn("doctor", "--clear-cache", STRIATE_CACHE=str(tmp_path / name))
            assert done.code == 2 and why in done.err and "STRIATE_CACHE" in done.err
            assert "Traceback" not in done.err
