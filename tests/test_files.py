"""Files that are replaced in one step, whenever the interruption comes."""

import os

import pytest

from striate.files import write_aside


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
