"""IDX: MNIST's format, gzipped or not; claims are checked before memory is asked for."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError
from striate.train.data import bounded_reads as limits
from striate.train.data import open_data
from striate.train.data.idx import FASHION, TYPES, read_array
from train.data.makers import five_parts, idx, mnist, picture


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist(tmp_path, zipped):
    splits = open_data(mnist(tmp_path, 30, 10, zipped), holdout=0)
    assert (len(splits.train), len(splits.test)) == (30, 10)
    assert splits.shape == (1, 28, 28) and splits.classes == tuple("0123456789")
    assert np.array_equal(splits.train.item(3).image[0], picture(30, (30, 28), 28)[3])
    assert splits.train.labels[3] == 3


def test_where_torchvision_puts_it(tmp_path):
    mnist(tmp_path / "MNIST" / "raw")
    mnist(tmp_path / "MNIST" / "raw", zipped=False)  # both, as it leaves them
    assert len(open_data(tmp_path, "test")) == 10
    assert len(open_data(tmp_path / "MNIST", "test")) == 10


def test_fashion_is_told_by_its_path(tmp_path):
    splits = open_data(mnist(tmp_path / "FashionMNIST" / "raw"))
    assert splits.classes == FASHION and "as the path says" in splits.found


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"])
def test_one_file_of_a_pair(tmp_path, name):
    mnist(tmp_path)
    assert len(open_data(tmp_path / name, "train", holdout=0)) == 30
    other = "images-idx3" if "labels" in name else "labels-idx1"
    (tmp_path / f"train-{other}-ubyte.gz").unlink()
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(SourceError, match="next to it") as caught:
            open_data(source)
        five_parts(caught.value)


@given(st.sampled_from(sorted(TYPES)), st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans())
def test_any_type_and_shape(tmp_path_factory, code, shape, zipped):
    path = tmp_path_factory.mktemp("idx") / "a"
    array = np.arange(np.prod(shape)).reshape(shape).astype(TYPES[code])
    path.write_bytes(gzip.compress(idx(array, code)) if zipped else idx(array, code))
    again = read_array(path)
    assert np.array_equal(again, array) and again.dtype.isnative and again.shape == array.shape


GOOD = idx(picture(0, (6, 28), 28))
BAD = {
    "empty": (b"", FormatError, "not an IDX file"),
    "wrong magic": (b"\x00\x01" + GOOD[2:], FormatError, "not an IDX file"),
    "no such type": (b"\x00\x00\x07" + GOOD[3:], FormatError, "not an IDX file"),
    "too many axes": (b"\x00\x00\x08\x09" + GOOD[4:], FormatError, "not an IDX file"),
    "cut in its head": (GOOD[:9], FormatError, "is truncated in its header"),
    "truncated": (GOOD[:-1], FormatError, "truncated|declares more data than it can hold"),
    "longer": (GOOD + b"\0", FormatError, "longer than it declares"),
    "claims 2^128 bytes": (
        b"\0\0\x08\x04" + b"\xff" * 16 + b"abc",
        FormatError,
        "declares more data than it can hold",
    ),
    "claims 4 GB": (
        b"\0\0\x08\x01" + b"\xff" * 4 + b"abc",
        FormatError,
        "declares more data than it can hold",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", BAD)
def test_files_that_do_not_hold_together(tmp_path, name, zipped):
    data, kind, message = BAD[name]
    mnist(tmp_path, zipped=zipped)
    path = tmp_path / ("train-images-idx3-ubyte" + ".gz" * zipped)
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(StriateError, match=message) as caught:
        open_data(tmp_path)
    assert type(caught.value) is kind
    assert path.name in five_parts(caught.value)


@pytest.mark.parametrize("cut", [1, 5, 12, 40, -1])
def test_a_gzip_that_is_cut_off(tmp_path, cut):
    mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError) as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_a_gzip_with_a_wrong_sum(tmp_path):
    mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError):
        open_data(tmp_path)


def test_a_gzip_bomb_is_left_folded(tmp_path):
    """A claim within what deflate can fold, with zeros without end after it: only what is claimed is read."""
    mnist(tmp_path)
    head = b"\0\0\x08\x03" + struct.pack(">3I", 30, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(50 << 20)))
    with pytest.raises(FormatError, match="longer than it declares"):
        open_data(tmp_path)


def test_more_than_memory_may_hold(tmp_path, monkeypatch):
    import striate.train.data.idx as reader

    monkeypatch.setattr(reader, "MAX_ARRAY", 1000)
    with pytest.raises(LimitError) as caught:
        open_data(mnist(tmp_path, zipped=False))
    five_parts(caught.value)
    assert limits.MAX_ARRAY > 1 << 30


def test_images_and_labels_that_do_not_match(tmp_path):
    mnist(tmp_path, zipped=False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    good = labels.read_bytes()
    labels.write_bytes(idx(np.zeros(29, np.uint8)))
    with pytest.raises(FormatError, match="30 images but 29 labels"):
        open_data(tmp_path)
    labels.write_bytes((tmp_path / "train-images-idx3-ubyte").read_bytes())
    with pytest.raises(FormatError, match="are not a pair of images and labels"):
        open_data(tmp_path)
    labels.write_bytes(good)
    open_data(tmp_path)


@given(st.binary(max_size=40), st.integers(0, 60))
def test_any_bytes_are_an_array_or_an_error(tmp_path_factory, junk, place):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for data in (GOOD[:place] + junk, GOOD[:place] + junk + GOOD[place + len(junk) :]):
        path.write_bytes(data)
        try:
            read_array(path)
        except (FormatError, LimitError) as error:
            five_parts(error)
