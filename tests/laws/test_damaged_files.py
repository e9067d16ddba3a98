"""Damaged files of every format: some seeds of the generator that `bench/soak.py` runs for hours."""

import pytest

from generators import files
from striate.diagnostics import FormatError, StriateError
from striate.train.data import open_data

pytestmark = [pytest.mark.onnx("h5py"), pytest.mark.timeout(300)]
ROUNDS = 12


@pytest.mark.parametrize("kind", files.ORDER)
def test_damaged_files(kind):
    first = files.ORDER.index(kind)
    seeds = range(first, ROUNDS * len(files.ORDER), len(files.ORDER))
    found = {seed: said for seed in seeds if (said := files.trial(seed))}
    assert not found


@pytest.mark.parametrize("kind", files.ORDER)
def test_what_is_not_damaged_is_read(tmp_path, kind):
    """Else nothing would be tried beyond the first refusal."""
    _, place, read = files.KINDS[kind]
    for path, data in files._valid(kind).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    if read is None:
        files._own((tmp_path / place).read_bytes())
    else:
        read(tmp_path / place)


def test_a_reader_that_fails_is_found(monkeypatch):
    def fails(path):
        raise MemoryError

    monkeypatch.setitem(files.KINDS, files.ORDER[0], (*files.KINDS[files.ORDER[0]][:2], fails))
    assert "asks for more than" in files.trial(0)


def damaged_npz(path, name, old, new):
    files_ = files._unzip(files._valid("npz")["set.npz"])
    assert old in files_[name]
    files_[name] = files_[name].replace(old, new, 1)
    path.write_bytes(files._zip(files_))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("x_train.npy", b"}", b" "),  # numpy then looks for the numbers of Python 2
        ("classes.npy", "cat".encode("utf-32-le"), b"\xff" * 12),  # no characters
    ],
)
def test_heads_and_text_of_npz(tmp_path, name, old, new):
    damaged_npz(tmp_path / "a.npz", name, old, new)
    with pytest.raises(FormatError):
        open_data(tmp_path / "a.npz")


def test_half_a_character_can_be_printed():
    str(StriateError("\ud800", where="\udfff", fix="é")).encode()
    assert "\\ud800" in str(StriateError("\ud800"))
