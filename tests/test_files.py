"""Files: what is said of one that cannot be read; replaced in one step, whenever the interruption comes."""

import os
from pathlib import Path

import pytest

from striate.diagnostics import FormatError, LimitError, SourceError
from striate.files import check_file, exists, opened, parse_toml, read_bytes, status, write_aside


@pytest.mark.parametrize("renamed", [False, True])
def test_an_interruption_around_the_renaming(tmp_path, monkeypatch, renamed):
    """Ctrl-C stays Ctrl-C: the file is the old one or the new one, and nothing is left next to it."""
    path = tmp_path / "state"
    write_aside(path, b"old")
    rename = os.replace

    def interrupted(*names):
        if renamed:
            rename(*names)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_aside(path, b"new")
    assert path.read_bytes() == (b"new" if renamed else b"old")
    assert os.listdir(tmp_path) == ["state"]


def test_what_is_missing_is_named_with_the_nearest(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(SourceError, match=r"there is no file .*weigths\.pth") as error:
        check_file(tmp_path / "weigths.pth")
    assert error.value.fix == f"did you mean {tmp_path / 'weights.pth'}?"
    with pytest.raises(SourceError, match=r"there is no .*nothing") as error:
        status(tmp_path / "nothing")
    assert error.value.why == "no such path" and "spelling" in error.value.fix


@pytest.mark.parametrize("name", ["a\0b", "x" * 100_000])
def test_a_name_that_no_file_can_have(tmp_path, name):
    assert not exists(tmp_path / name)
    with pytest.raises(SourceError, match="cannot read") as error:
        read_bytes(tmp_path / name)
    assert len(str(error.value)) < 1000


def test_only_files_within_the_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    assert check_file(path, 10) == 10
    with pytest.raises(LimitError, match="has 10 bytes") as error:
        check_file(path, 9, "a test", "cut it")
    assert (error.value.why, error.value.fix) == ("a test has at most 9", "cut it")
    with pytest.raises(SourceError, match="is a directory"):
        check_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="is not a regular file"), opened(tmp_path / "pipe"):
        pass


def test_an_error_while_reading_is_in_the_words_of_its_user(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(SourceError, match="cannot read") as error, opened(tmp_path / "a"):
        raise OSError(5, "Input/output error")
    assert error.value.why == "Input/output error"


@pytest.mark.parametrize("content", [b"a = [", b"\xff", b"a = 1\na = 2", b"a = " + b"[" * 9999], ids=range(4))
def test_broken_toml_names_its_file(content):
    assert parse_toml(b"a = 1", Path("a.toml")) == {"a": 1}
    with pytest.raises(FormatError, match=r"c\.toml is not valid TOML") as error:
        parse_toml(content, Path("/b/c.toml"))
    assert error.value.where == "/b/c.toml"
