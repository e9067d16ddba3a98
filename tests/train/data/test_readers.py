"""One door: every format is told from the others, says what it found, and what is none says what to do."""

import gzip

import numpy as np
import pytest

from striate.diagnostics import SourceError, StriateError, UsageError, render
from striate.train.data import DataSplits, open_data
from train.data.makers import (
    cifar_batch,
    cifar_records,
    encoded,
    five_parts,
    image_folder,
    mnist,
    needs,
    picture,
    shard,
    tar_of,
)


def make(root, kind):
    """A data set of this format, of 30 images and, where the format has parts, 10 to test."""
    if kind == "folder":
        return image_folder(root, {"cat": 20, "dog": 10})
    if kind == "folder with parts":
        image_folder(root / "test", {"cat": 5, "dog": 5}, seed=1)
        image_folder(root / "train", {"cat": 20, "dog": 10})
        return root
    if kind == "mnist":
        return mnist(root)
    root.mkdir()
    if kind == "npz":
        x, y = picture(0, (40, 8), 8), np.arange(40) % 3
        np.savez(root / "set.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
        return root / "set.npz"
    if kind == "shards":
        (root / "train-0.tar").write_bytes(tar_of(shard(30)))
        (root / "test-0.tar").write_bytes(tar_of(shard(10, 30)))
        return root
    for name, count in (("data_batch_1", 30), ("test_batch", 10)):
        data = cifar_records(count) if kind == "cifar binary" else cifar_batch(count)
        (root / (name + ".bin" * (kind == "cifar binary"))).write_bytes(data)
    return root


KINDS = ["folder", "folder with parts", "mnist", "npz", "shards", "cifar binary", "cifar python"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_through_one_door(tmp_path, kind):
    source = make(tmp_path / "set", kind)
    for spelling in (source, str(source)):
        splits = open_data(spelling)
        parts = {name: len(data) for name, data in splits.parts().items()}
        drawn = 10 if kind in ("mnist", "cifar binary", "cifar python") else 3  # one of each class at least
        expected = (24, 3, 3) if kind == "folder" else (30 - drawn, drawn, 10)
        assert (parts["train"], parts["validation"], parts["test"]) == expected
        batch = next(splits.train.batches(8, rng=(0, 0)))
        assert batch.x.shape == (8, *splits.shape) and batch.x.min() >= 0 and batch.x.max() <= 1
        names = {data.name(i) for data in splits.parts().values() for i in range(len(data))}
        assert len(names) == sum(parts.values())


def test_what_was_found(tmp_path, golden):
    texts = [open_data(make(tmp_path / kind, kind)).found for kind in KINDS]
    texts.append(open_data((np.zeros((30, 5, 5, 3)), np.arange(30) % 3)).found)
    golden("data-found.txt", "\n".join(texts).replace(str(tmp_path), "DATA"))


def test_what_is_no_data(tmp_path, golden):
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    make(tmp_path / "two" / "a", "cifar binary").joinpath("x.tar").write_bytes(tar_of(shard(2)))
    files = {
        "empty.npz": b"",
        "a.png": encoded(picture(0)),
        "a.npy": b"\x93NUMPY\x01\x00",
        "a.h5": b"\x89HDF\r\n\x1a\n",
        "a.parquet": b"PAR1",
        "a.tar.xz": b"\xfd7zXZ\0",
        "a.zip": b"PK\x05\x06" + bytes(18),
        "a.csv": b"label,pixel0\n",
        "a.npz": b"no zip",
        "lonely-idx3": b"\0\0\x08\x03" + bytes(12),
        "a.gz": gzip.compress(b"hello", mtime=0),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    missing = [str(tmp_path / "nothing"), str(tmp_path / "a.pnx"), "digit", "https://example.org/a.tar", ""]
    sources = [
        *(str(tmp_path / name) for name in files),
        *missing,
        str(tmp_path / "empty"),
        str(tmp_path / "two" / "a"),
    ]
    texts = []
    for source in sources:
        with pytest.raises(StriateError) as caught:
            open_data(source)
        five_parts(caught.value)
        texts.append(render(caught.value.diagnostic))
    golden("data-errors.txt", "\n\n".join(texts).replace(str(tmp_path), "DATA"))


def test_a_sample_is_a_name_and_a_folder_a_path(tmp_path, monkeypatch):
    needs("sklearn")
    monkeypatch.chdir(tmp_path)
    image_folder(tmp_path / "digits", {"a": 2, "b": 2})
    assert len(open_data("digits", "all")) == 1797
    assert len(open_data("./digits", "all")) == 4
    assert len(open_data(tmp_path / "digits", "all")) == 4


@pytest.mark.parametrize("name", ["mnist", "MNIST", "cifar-10", "Fashion_MNIST", "CIFAR100"])
def test_a_published_set_that_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="is neither a sample of Striate nor a folder") as caught:
        open_data(name)
    said = five_parts(caught.value)
    assert f"({name!r}, download=True)" in said and "digits, textures, faces" in said
    image_folder(tmp_path / name, {"a": 3, "b": 3})
    assert len(open_data(name, "all")) == 6


def test_a_home_of_nobody_is_a_name_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="there is no ~nosuchuser/data") as caught:
        open_data("~nosuchuser/data")
    five_parts(caught.value)
    image_folder(tmp_path / "~nosuchuser", {"a": 3, "b": 3})
    assert len(open_data("~nosuchuser", "all")) == 6


def test_what_was_opened_may_be_opened_again():
    splits = open_data((np.zeros((40, 5, 5)), np.arange(40) % 2))
    assert open_data(splits) is splits and open_data(splits, "val") is splits.validation
    assert isinstance(open_data(splits.train), DataSplits)
    assert len(open_data(splits.train, "all")) == 32


def test_only_a_test_part(tmp_path):
    image_folder(tmp_path / "test", {"a": 2, "b": 2})
    assert len(open_data(tmp_path, "test")) == 4
    with pytest.raises(SourceError, match="no train part") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


@pytest.mark.parametrize(
    ("options", "match"), [({"on_bad": "ignore"}, "on_bad"), ({"split": "trian"}, "trian")]
)
def test_options_without_meaning(options, match):
    with pytest.raises(UsageError, match=match) as caught:
        open_data((np.zeros((4, 2, 2)), [0, 1, 0, 1]), **options)
    five_parts(caught.value)


def test_arrays_of_different_parts_share_their_classes():
    x = np.zeros((4, 2, 2))
    splits = open_data({"train": (x, [0, 1, 2, 0]), "test": (x[:1], [1])}, holdout=0)
    assert splits.test.classes == splits.train.classes == ("0", "1", "2")
    with pytest.raises(StriateError) as caught:
        open_data({"train": (x, [0, 1, 2, 0]), "test": (x[:1], ["a"])})
    five_parts(caught.value)
    with pytest.raises(StriateError, match="part is empty") as caught:
        open_data({"train": (x, [0, 1, 2, 0]), "test": (x[:0], [])})
    five_parts(caught.value)


def test_a_fifo_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError) as caught:
        open_data(tmp_path / "pipe")
    five_parts(caught.value)
