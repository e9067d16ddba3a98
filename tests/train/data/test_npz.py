"""Arrays in .npz: any naming in use; no objects, no bombs, no claims that do not hold."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from striate.diagnostics import FormatError, LimitError, StriateError
from striate.train.data import npz as reader
from striate.train.data import open_data
from striate.train.data.npz import read_npz
from train.data.makers import Runs, five_parts, picture

X, Y = picture(0, (12, 8), 8), np.arange(12) % 3


def saved(path, folded=False, **arrays):
    (np.savez_compressed if folded else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("x", "y"),
        ("images", "labels"),
        ("data", "target"),
        ("X", "Y"),
        ("arr_0", "arr_1"),
        ("imgs", "labels"),
    ],
)
def test_one_part(tmp_path, images, labels, folded):
    data = open_data(saved(tmp_path / "a.npz", folded, **{images: X, labels: Y}), "all")
    assert len(data) == 12 and data.shape == (1, 8, 8) and data.classes == ("0", "1", "2")
    assert np.array_equal(data.item(5).image[0], X[5]) and data.item(5).label == 2


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
        ("train/x", "train/y", "test/x", "test/y"),
    ],
)
def test_parts(tmp_path, keys):
    splits = open_data(saved(tmp_path / "a.npz", **dict(zip(keys, (X, Y, X[:4], Y[:4, None])))), holdout=0)
    assert (len(splits.train), len(splits.test), splits.validation) == (12, 4, None)
    assert splits.classes == ("0", "1", "2")


def test_three_parts_and_other_arrays(tmp_path):
    path = saved(
        tmp_path / "a.npz",
        x_train=X,
        y_train=Y,
        x_val=X[:3],
        y_val=Y[:3],
        x_test=X[:4],
        y_test=Y[:4],
        ids=np.arange(12),
        class_names=np.array(["a", "b", "c"]),
    )
    splits = open_data(path)
    assert {name: len(part) for name, part in splits.parts().items()} == {
        "train": 12,
        "validation": 3,
        "test": 4,
    }
    assert splits.classes == ("a", "b", "c") and "arrays not read: ids" in splits.found


def test_labels_in_words(tmp_path):
    path = saved(
        tmp_path / "a.npz",
        x_train=X,
        y_train=np.array(["b", "a", "c"])[Y],
        x_test=X[:1],
        y_test=np.array(["c"]),
    )
    splits = open_data(path, holdout=0)
    assert splits.classes == ("a", "b", "c")
    assert splits.train.labels[:3].tolist() == [1, 0, 2] and splits.test.labels.tolist() == [2]


def test_column_order_and_other_types(tmp_path):
    x = np.asfortranarray(np.linspace(0, 1, 12 * 3 * 8 * 8).reshape(12, 3, 8, 8))
    data = open_data(saved(tmp_path / "a.npz", x=x, y=Y.astype(">i2")), "all")
    assert np.array_equal(data.item(7).image, x[7].astype(np.float32)) and data.labels.tolist() == Y.tolist()


def test_a_folder_with_one(tmp_path):
    saved(tmp_path / "a.npz", x=X, y=Y)
    assert len(open_data(tmp_path, "all")) == 12
    saved(tmp_path / "b.npz", x=X, y=Y)
    with pytest.raises(FormatError, match=r"several \.npz") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_pickled_objects_are_not_read(tmp_path):
    path = saved(tmp_path / "a.npz", x=X, y=np.array([Runs(tmp_path / "ran")] * 12, object))
    with pytest.raises(FormatError, match="values of type object") as caught:
        open_data(path)
    five_parts(caught.value)
    assert not (tmp_path / "ran").exists()


def member(shape, descr="|u1", data=b"", magic=b"\x93NUMPY\x01\x00") -> bytes:
    head = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return magic + struct.pack("<H", len(head)) + head.encode() + data


def stored(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name + ".npy", data)
    return path


def test_members_made_here_can_be_read(tmp_path):
    data = read_npz(
        archive(tmp_path / "a.npz", x=member((2, 3, 3), data=bytes(18)), y=member((2,), data=bytes(2)))
    )
    assert len(data["all"]) == 2


BAD = {
    "claims too much": member((2, 1 << 20, 1 << 20), data=bytes(18)),
    "claims 2^180 bytes": member((1 << 60, 1 << 60, 1 << 60)),
    "claims less": member((2, 2, 3), data=bytes(18)),
    "negative": member((2, -3, -3), data=bytes(18)),
    "no array": b"hello",
    "empty": b"",
    "wrong magic": member((2, 3, 3), data=bytes(18), magic=b"\x93NUMPZ\x01\x00"),
    "unknown version": member((2, 3, 3), data=bytes(18), magic=b"\x93NUMPY\x09\x00"),
    "cut in its head": member((2, 3, 3))[:40],
    "no types": member((2, 3, 3), descr="nothing", data=bytes(18)),
    "objects": member((2, 3, 3), descr="|O", data=bytes(18)),
    "records": stored(np.zeros((2, 3, 3), [("a", "u1")])),
    "times": member((2, 3, 3), descr="<M8[s]", data=bytes(144)),
    "a head that computes": member("__import__('os').system('touch ran')", data=bytes(18)),
}


@pytest.mark.parametrize("name", BAD)
def test_members_that_do_not_hold_together(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "a.npz", x=BAD[name], y=member((2,), data=bytes(2)))
    with pytest.raises(FormatError) as caught:
        open_data(path)
    five_parts(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_zip_bomb(tmp_path, monkeypatch):
    """100 MB of zeros in 100 kB; the claim alone is enough."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("x.npy", "w") as stream:
        stream.write(member((100, 1024, 1024)))
        for _ in range(100):
            stream.write(bytes(1 << 20))
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("y.npy", member((100,), data=bytes(100)))
    monkeypatch.setattr(reader, "read_into", lambda *_: pytest.fail("it was read"))
    with pytest.raises(LimitError, match="zip bomb") as caught:
        open_data(path)
    five_parts(caught.value)


@pytest.mark.parametrize("claim", [1 << 31, (1 << 32) - 2])
def test_a_member_that_lies_about_its_size(tmp_path, claim):
    """The directory of the zip says gigabytes; the limits act before a byte is read."""
    path = archive(tmp_path / "a.npz", x=member((2, 3, 3), data=bytes(18)), y=member((2,), data=bytes(2)))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", claim)
    path.write_bytes(bytes(data))
    with pytest.raises(StriateError) as caught:
        open_data(path)
    five_parts(caught.value)


def test_together_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("striate.train.data.bounded_reads.MAX_ARRAY", 1000)
    monkeypatch.setattr(reader, "check_size", lambda size, where, what: _allow(size, where, what, 1000))
    with pytest.raises(LimitError) as caught:
        open_data(saved(tmp_path / "a.npz", x=X, y=Y))
    five_parts(caught.value)


def _allow(size, where, what, limit):
    from striate.train.data.bounded_reads import check_size

    check_size(size, where, what, limit)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "a zip file without arrays"),
        ({"x": X}, "no images with labels"),
        ({"a": X, "b": Y}, "no images with labels"),
        ({"x": X, "images": X, "y": Y}, "twice"),
        ({"x": X, "y": Y[:5]}, "12 images but 5 labels"),
        ({"x": X, "y": Y, "classes": np.array(["a"])}, "not a class"),
        ({"x": X, "y": Y, "classes": np.array([["a"]])}, "not a list of names"),
    ],
)
def test_files_without_a_meaning(tmp_path, arrays, message):
    with pytest.raises(FormatError, match=message) as caught:
        open_data(saved(tmp_path / "a.npz", **arrays))
    five_parts(caught.value)


def test_an_encrypted_archive(tmp_path):
    path = saved(tmp_path / "a.npz", x=X, y=Y)
    data = bytearray(path.read_bytes())
    for at in (i for i in range(len(data)) if data[i : i + 4] in (b"PK\x01\x02", b"PK\x03\x04")):
        data[at + (8 if data[at + 2] == 1 else 6)] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match=r"not a complete \.npz") as caught:
        open_data(path)
    five_parts(caught.value)


def whole() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=X, y=Y)
    return stream.getvalue()


WHOLE = whole()


@example(len(WHOLE) - 5, b"\x01", False)  # the directory seems to begin before the file
@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4), st.booleans())
def test_any_damage_is_found(tmp_path_factory, place, junk, cut):
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    path.write_bytes(WHOLE[:place] + junk + (b"" if cut else WHOLE[place + len(junk) :]))
    try:
        data = read_npz(path)["all"]
    except (FormatError, LimitError) as error:
        five_parts(error)
    else:
        assert np.array_equal(data.x[:, 0], X) and data.labels.tolist() == Y.tolist()
