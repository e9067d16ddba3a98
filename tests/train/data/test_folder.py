"""Folders of images: parts and classes by their names, decoding in the background in bounded memory."""

import inspect
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from exhaustive import EXHAUSTIVE
from striate.diagnostics import FormatError, LimitError, SourceError
from striate.train.data import Transform, check_data, open_data
from striate.train.data.cached import with_cache
from striate.train.data.image_transforms import Fit, Normalize
from striate.train.inputs import image_files
from train.data.makers import encoded, five_parts, image_folder, picture


def test_parts_and_classes(tmp_path):
    image_folder(tmp_path / "train", {"cat": 5, "dog": 4})
    image_folder(tmp_path / "val", {"cat": 2, "dog": 2}, seed=1)
    image_folder(tmp_path / "Test", {"dog": 3}, seed=2)
    splits = open_data(tmp_path)
    assert {name: len(part) for name, part in splits.parts().items()} == {
        "train": 9,
        "validation": 4,
        "test": 3,
    }
    assert splits.classes == ("cat", "dog") and splits.shape == (3, 8, 8)
    assert splits.test.labels.tolist() == [1, 1, 1]
    item = splits.train.item(6)
    assert item.name == os.path.join("train", "dog", "0001.png") and item.label == 1
    assert np.array_equal(item.image, picture(6).transpose(2, 0, 1))


def test_without_parts_a_split_is_drawn_and_said(tmp_path):
    image_folder(tmp_path, {"cat": 30, "dog": 10})
    splits = open_data(tmp_path)
    assert {name: len(part) for name, part in splits.parts().items()} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    assert splits.test.counts() == {"cat": 3, "dog": 1}
    assert "10 % of each class, drawn by seed 0" in splits.found
    names = [{part.name(i) for i in range(len(part))} for part in splits.parts().values()]
    assert len(set.union(*names)) == 40 == sum(map(len, names))
    assert len(open_data(tmp_path, "all")) == 40


@pytest.mark.parametrize("source", ["train", "."])
def test_folders_inside_classes_links_and_other_files(tmp_path, source):
    root = image_folder(tmp_path / "set", {"a": 2, "b": 2})
    image_folder(root / "b", {"more": 3}, seed=1)
    (root / "a" / "notes.txt").write_text("hello")
    (root / "a" / ".hidden.png").write_bytes(b"")
    (root / "README.md").write_text("hello")
    (root / "b" / "loop").symlink_to(root / "b")
    (root / ".git").mkdir()
    data = open_data(root, "all")
    assert data.counts() == {"a": 2, "b": 5}
    assert "3 other files not read (1 .md, 1 .txt, 1 .png)" in data.source or "3 other files" in data.source


def test_a_class_may_be_called_train(tmp_path):
    """Vehicles: car, plane, train. Folders of images are classes, whatever they are called."""
    image_folder(tmp_path, {"car": 2, "plane": 2, "train": 2})
    assert open_data(tmp_path, "all").classes == ("car", "plane", "train")


def test_folders_beside_the_parts_are_said(tmp_path):
    image_folder(tmp_path / "train", {"a": 2, "b": 2})
    image_folder(tmp_path / "extra", {"a": 2})
    assert "folders next to the parts not read: extra" in open_data(tmp_path).found


def test_classes_have_to_agree(tmp_path):
    image_folder(tmp_path / "train", {"a": 2})
    image_folder(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(FormatError, match="classes that train lacks") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_one_part_twice(tmp_path):
    for name in ("train", "val", "validation"):
        image_folder(tmp_path / name, {"a": 2})
    with pytest.raises(FormatError, match="twice") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


@pytest.mark.parametrize("what", ["empty", "loose images", "text", "empty classes"])
def test_folders_without_labeled_images(tmp_path, what):
    if what == "loose images":
        (tmp_path / "a.png").write_bytes(encoded(picture(0)))
    if what == "text":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b.txt").write_text("hello")
    if what == "empty classes":
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
    with pytest.raises(SourceError) as caught:
        open_data(tmp_path)
    assert "<class>/<image>" in five_parts(caught.value)


def test_nothing_but_corrupt_images(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(3):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(FormatError, match="none of the 3 images") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_corrupt_images_among_others(tmp_path):
    image_folder(tmp_path, {"a": 6, "b": 6})
    (tmp_path / "a" / "0002.png").write_bytes(b"")
    cut = tmp_path / "b" / "0001.png"
    cut.write_bytes(cut.read_bytes()[:60])
    data = open_data(tmp_path, "all")
    assert sum(len(batch.y) for batch in data.batches(5)) == 10
    assert sorted(bad.name for bad in data.bad.values()) == ["a/0002.png", "b/0001.png"]
    with pytest.raises(FormatError) as caught:
        list(open_data(tmp_path, "all", on_bad="refuse").batches(5))
    assert "0002.png" in five_parts(caught.value)


def test_a_huge_file_is_one_bad_image(tmp_path, monkeypatch):
    image_folder(tmp_path, {"a": 3})
    with (tmp_path / "a" / "0001.png").open("ab") as stream:
        stream.truncate(300 << 20)
    data = open_data(tmp_path, "all")
    assert sum(len(batch.y) for batch in data.batches(5)) == 2
    with pytest.raises(LimitError):
        data.item(1)


def test_a_removed_file_is_an_error_at_once(tmp_path):
    image_folder(tmp_path, {"a": 6})
    data = open_data(tmp_path, "all")
    (tmp_path / "a" / "0003.png").unlink()
    with pytest.raises(SourceError, match="there is no") as caught:
        list(data.batches(2))
    assert "0003.png" in five_parts(caught.value)


ODD = {
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this file system")
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_file_is_one_bad_image(tmp_path, what):
    image_folder(tmp_path, {"a": 3, "b": 3})
    ODD[what](tmp_path / "a" / "0001x.png")
    data = open_data(tmp_path, "all")
    assert sum(len(batch.y) for batch in data.batches(4)) == 6
    assert [bad.name for bad in data.bad.values()] == ["a/0001x.png"]
    why = "a broken link" if "link" in what else "not a regular file"
    assert why in data.notes()[0] and "1 of 7 images" in data.notes()[0]
    assert any(finding.kind == "unreadable" for finding in check_data(tmp_path).findings)
    with pytest.raises(FormatError) as caught:
        list(open_data(tmp_path, "all", on_bad="refuse").batches(4))
    assert "0001x.png" in five_parts(caught.value)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".hidden", "lost+found"])
def test_hidden_folders_hold_no_images(tmp_path, name):
    image_folder(tmp_path, {"a": 3, "b": 3})
    for place in (tmp_path / name, tmp_path / "a" / name, tmp_path / "b" / name / "more"):
        image_folder(place, {"c": 1})
        (place / "0.png").write_bytes(encoded(picture(99)))
    data = open_data(tmp_path, "all")
    assert data.classes == ("a", "b") and len(data) == 6
    assert f"3 hidden folders not read (3 {name})" in data.source
    assert [os.path.relpath(file, tmp_path) for file in image_files([str(tmp_path)])] == list(data.files)


def test_class_folders_without_images_are_left_out(tmp_path):
    image_folder(tmp_path / "train", {"a": 3, "b": 3, "d": 2})
    image_folder(tmp_path / "test", {"a": 3, "b": 1})
    for part in ("train", "test"):
        (tmp_path / part / "c").mkdir()
    (tmp_path / "test" / "d").mkdir()
    data = open_data(tmp_path, holdout=0)
    assert data.classes == data.test.classes == ("a", "b", "d")  # d has images to learn from
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert "class folders without images left out: c" in data.found


def test_deep_folders(tmp_path):
    image_folder(tmp_path, {"a": 3, "b": 1})
    deep = tmp_path / "b"
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "0.png").write_bytes(encoded(picture(1)))
    assert len(open_data(tmp_path, "all")) == 5
    for _ in range(10):
        deep /= "d"
        deep.mkdir()
    with pytest.raises(LimitError, match="64 deep") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_images_in_very_deep_folders_are_found(tmp_path):
    """Deeper than functions may call each other."""
    folder = tmp_path.joinpath(*"d" * 150)
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(b"")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 90)
    try:
        found = list(image_files([str(tmp_path)]))
    finally:
        sys.setrecursionlimit(before)
    assert found == [str(folder / "0.png")]


def test_pixels_of_16_and_8_bits_in_one_set(tmp_path):
    """Both in [0, 1], all levels kept, and in any batch alike."""
    dark = np.linspace(0, 4095, 48).astype(np.uint16).reshape(6, 8)
    pixels = [dark, (dark // 16).astype(np.uint8), dark * 16]
    for number, each in enumerate(pixels):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[number % 2] / f"{number}.png").write_bytes(encoded(each))
    data = open_data(tmp_path, "all")
    order = [data.files.index(f"{'ab'[n % 2]}/{n}.png") for n in range(3)]
    wanted = [dark / 65_535, pixels[1] / 255, pixels[2] / 65_535]
    fit = Transform((Fit((6, 8)),))
    half = Transform((Fit((3, 4)), Normalize((0.1,), (0.2,))))
    for transform in (None, fit, half):
        one = np.concatenate([batch.x for batch in data.batches(1, transform=transform)])
        for kept in (data, with_cache(data, half) if transform is half else data):
            assert np.array_equal(next(kept.batches(3, transform=transform)).x, one)
    x = next(data.batches(3)).x[order, 0]
    np.testing.assert_allclose(x, wanted, atol=1e-7)
    assert len(np.unique(x[0])) == 48
    assert list(data.change_counts()) == ["pixels of 16 bits, 0..65535, read as [0, 1]"]


def test_a_folder_nobody_may_read(tmp_path, monkeypatch):
    image_folder(tmp_path, {"a": 2, "b": 2})
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(SourceError, match="cannot read") as caught:
        open_data(tmp_path)
    assert "Permission denied" in five_parts(caught.value)


def test_images_of_several_sizes_and_kinds(tmp_path):
    root = image_folder(tmp_path, {"a": 3})
    (root / "a" / "wide.png").write_bytes(encoded(picture(1, (5, 20))))
    (root / "a" / "gray.png").write_bytes(encoded(picture(1, (8, 8), 1)))
    data = open_data(root, "all")
    assert data.shape == (3, 8, 8) and not data.uniform
    assert "of several sizes, most often 8x8" in data.source
    with pytest.raises(FormatError, match="differ in size"):
        list(data.batches(5))
    transform = Transform((Fit((8, 8)), Normalize((0.5,) * 3, (0.2,) * 3)))
    assert next(data.batches(5, transform=transform)).x.shape == (5, 3, 8, 8)
    assert data.notes() == ("1 image: gray repeated to three channels",)


def test_parts_get_the_channels_of_train(tmp_path):
    image_folder(tmp_path / "train", {"a": 2}, channels=1)
    image_folder(tmp_path / "test", {"a": 2}, channels=3)
    splits = open_data(tmp_path, holdout=0)
    assert splits.train.shape == splits.test.shape == (1, 8, 8)
    assert next(splits.test.batches(2)).x.shape == (2, 1, 8, 8)
    assert splits.test.notes() == ("2 images: color converted to gray",)


def test_names_that_would_break_a_terminal(tmp_path):
    image_folder(tmp_path, {"a\x1b[31m": 1, "b": 1})
    (tmp_path / "b" / os.fsdecode(b"\xff\n.png")).write_bytes(b"")
    data = open_data(tmp_path, "all")
    list(data.batches(3))
    for text in (*data.classes, *data.notes(), data.source, *(data.name(i) for i in range(3))):
        assert text.isprintable()


STREAM = """
import sys
from pathlib import Path
from striate.train.data import open_data

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

data = open_data(sys.argv[1], "all")
seen, first, most = 0, 0, 0
for batch in data.batches(32, rng=0, workers=2):
    seen += len(batch.y)
    if batch.index % 25 == 0:
        most = max(most, resident())
        first = first or most
print(seen, len(data.bad), most - first)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="asks Linux how much memory a process has")
def test_thousands_of_images_stream_in_bounded_memory(tmp_path):
    """6,000 images are 74 MB once decoded, and 295 MB as float32; 32 MB more than at the first batch have to do."""
    count = 20_000 if EXHAUSTIVE else 6_000
    image_folder(tmp_path, {"a": 1, "b": 1}, size=(64, 64))
    for name in ("a", "b"):
        for number in range(1, count // 2):
            os.link(tmp_path / name / "0000.png", tmp_path / name / f"{number:05d}.png")
    answer = subprocess.run(
        [sys.executable, "-c", STREAM, tmp_path], capture_output=True, text=True, check=True
    )
    seen, bad, growth = map(int, answer.stdout.split())
    assert (seen, bad) == (count, 0)
    assert growth < 32 << 20, f"{growth / 2**20:.0f} MB"
