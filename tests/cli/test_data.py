"""`striate data check`: what it finds, and its exit code."""

import json
from pathlib import Path

from cli.conftest import pictures
from cli.run import run
from cli.terminals import PLAIN, terminal


def check(root, *more):
    return run("data", "check", str(root), *more)


def test_clean_data(images):
    done = check(images)
    assert (done.code, done.err) == (0, "")
    for word in ("columns", "rows", "squares", "train", "test", "8x8", "nothing found"):
        assert word in done.out
    record = json.loads(check(images, "--json").out)
    assert record["ok"] and [part["images"] for part in record["parts"]] == [60, 30]


def test_leaks_and_unreadable_files_are_errors(tmp_path, golden, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = pictures(Path("images"), {"train": 12, "test": 6})
    image = root / "train" / "rows" / "000.png"
    (root / "test" / "rows" / "again.png").write_bytes(image.read_bytes())
    (root / "test" / "rows" / "cut.png").write_bytes(image.read_bytes()[:40])
    done = check(root)
    assert done.code == 1
    golden("cli/data-check.txt", done.out)
    assert check(root, "--fail-on", "never").code == 0
    kinds = {finding["kind"] for finding in json.loads(check(root, "--json").out)["findings"]}
    assert {"leak", "unreadable"} <= kinds


def test_duplicates_are_warnings(tmp_path):
    root = pictures(tmp_path, {"train": 12, "test": 6})
    image = root / "train" / "rows" / "000.png"
    (image.parent / "again.png").write_bytes(image.read_bytes())
    assert check(root).code == 0
    assert check(root, "--fail-on", "warning").code == 1


def test_mistakes(tmp_path):
    for arguments, said in (
        (["data", "check"], "missing argument"),
        (["data", "check", str(tmp_path / "missing")], "there is no"),
        (["data", "check", str(tmp_path)], "fix"),
        (["data", "check", str(tmp_path), "--fail-on", "eror"], "error"),
        (["data", "chek", str(tmp_path)], "check"),
        (["data", "images/"], "striate data check images/"),
    ):
        failed = run(*arguments)
        assert (failed.code, failed.out) == (2, ""), arguments
        assert said in failed.err and "I000" not in failed.err
    assert run("data").code == 0


def test_terminals(images):
    for columns in (40, 80):
        seen = terminal(columns, "data", "check", str(images))
        text = PLAIN.sub("\n", seen)
        assert max(map(len, text.replace("\r", "\n").splitlines())) <= columns
