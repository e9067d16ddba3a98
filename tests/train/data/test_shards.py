"""Tar shards: samples by name, read where they lie; an archive that lies or points outside is refused."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError
from striate.train.data import open_data
from striate.train.data import tars as places
from striate.train.data.tars import members
from train.data.makers import encoded, five_parts, picture, shard, tar_of

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def written(path, files, format=tarfile.PAX_FORMAT, zipped=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = tar_of(files, format)
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("zipped", [True, False])
def test_one_shard(tmp_path, format, zipped):
    path = written(tmp_path / ("a.tar" + ".gz" * zipped), shard(9), format, zipped)
    data = open_data(path, "all")
    assert len(data) == 9 and data.shape == (3, 8, 8) and data.classes == ("0", "1", "2")
    assert np.array_equal(data.item(4).image, picture(4).transpose(2, 0, 1)) and data.item(4).label == 1
    assert data.name(4) == f"{path.name}/000004.png"
    assert [number for batch in data.batches(4, rng=1) for number in batch.ids.tolist()] != list(range(9))


def test_many_shards_and_their_parts(tmp_path):
    for number in range(3):
        written(tmp_path / f"set-train-{number:06d}.tar", shard(5, 5 * number))
    written(tmp_path / "set-val-000000.tar", shard(4, 100))
    for source in (tmp_path, f"{tmp_path}/set-*.tar"):
        splits = open_data(source)
        assert (len(splits.train), len(splits.validation), splits.test) == (15, 4, None)
    assert len(open_data(f"{tmp_path}/set-train-{{000000..000002}}.tar", "train", holdout=0)) == 15
    assert len(open_data(f"{tmp_path}/set-train-{{000001..000002}}.tar", "train", holdout=0)) == 10


def test_parts_in_folders(tmp_path):
    written(tmp_path / "train" / "0.tar", shard(5))
    written(tmp_path / "test" / "0.tar", shard(4, 100))
    splits = open_data(tmp_path, holdout=0)
    assert (len(splits.train), len(splits.test)) == (5, 4)


def test_labels_of_any_form(tmp_path):
    image = encoded(picture(0))
    files = {
        "a.png": image,
        "a.json": b'{"label": "dog"}',
        "b.png": image,
        "b.cls": b"cat\n",
        "sub/c.d.png": image,
        "sub/c.txt": b"dog",
        "sub/c.json": b'{"class_name": "cat", "x": 1}',
    }
    data = open_data(written(tmp_path / "a.tar", files), "all")
    assert data.classes == ("cat", "dog") and data.labels.tolist() == [1, 0, 0]
    assert "1 other file not read (1 .txt)" in data.source
    (tmp_path / "classes.txt").write_text("dog\ncat\nbird\n")
    assert open_data(tmp_path / "a.tar", "all").classes == ("dog", "cat", "bird")


def test_number_labels_get_the_names_beside(tmp_path):
    written(tmp_path / "a.tar", shard(4))
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    assert open_data(tmp_path, "all").classes == ("x", "y", "z")


def test_incomplete_samples_are_named(tmp_path):
    image = encoded(picture(0))
    files = {
        **shard(3),
        "n1.png": image,
        "n2.cls": b"1",
        "n3.png": image,
        "n3.cls": b"",
        "n4.png": image,
        "n4.json": b"{",
        "n5.png": image,
        "n5.jpg": image,
        "n5.cls": b"0",
        "n6.png": image,
        "n6.json": b'{"a": 1}',
        "n7.png": image,
        "n7.cls": b"1\n2",
        "readme.md": b"hello",
    }
    path = written(tmp_path / "a.tar", files)
    data = open_data(path, "all")
    assert len(data) == 3
    assert "7 of 11 samples left out: a.tar/n1 (no label); a.tar/n2 (no image)" in data.source
    assert "1 .md" in data.source
    with pytest.raises(FormatError, match="7 of 11 samples") as caught:
        open_data(path, on_bad="refuse")
    five_parts(caught.value)


def test_corrupt_images_inside(tmp_path):
    files = shard(6)
    files["000002.png"] = files["000002.png"][:-60]
    files["000004.png"] = b"no image"
    data = open_data(written(tmp_path / "a.tar", files), "all")
    assert sum(len(batch.y) for batch in data.batches(2)) == 4
    assert {bad.name for bad in data.bad.values()} == {"a.tar/000002.png", "a.tar/000004.png"}


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/outside.png", "a/../../b.png", "..\\b.png", "C:/b.png", "\\b.png"]
)
def test_an_archive_that_points_outside(tmp_path, name):
    path = written(tmp_path / "in" / "a.tar", {**shard(3), name: encoded(picture(0)), "b.cls": b"0"})
    with pytest.raises(FormatError, match="points outside") as caught:
        open_data(path)
    five_parts(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar", "in"]


def test_links_and_devices_are_not_followed(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            entry = tarfile.TarInfo(f"x{number}.png")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        for name, data in shard(3).items():
            entry = tarfile.TarInfo("./" + name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    data = open_data(tmp_path / "a.tar", "all")
    assert len(data) == 3 and "4 members that are not plain files are skipped: x0.png" in data.source


def with_size(data: bytes, size: bytes) -> bytes:
    """The first header with another size, and its sum put right."""
    head = bytearray(data[:512])
    head[124:136] = size.ljust(12, b"\0")
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head) + data[512:]


GOOD = tar_of(shard(3), tarfile.USTAR_FORMAT)
HUGE = (1 << 60).to_bytes(11, "big")
BAD = {
    "empty": b"",
    "text": b"hello" * 200,
    "truncated in an image": GOOD[:700],
    "truncated in a header": GOOD[: 512 * 2 + 100],
    "claims 8 GB": with_size(GOOD, b"77777777777"),
    "claims 2^60 bytes": with_size(GOOD, b"\x80" + HUGE),
    "claims less than nothing": with_size(GOOD, b"\xff" * 12),
    "a broken header in the middle": GOOD[: 512 * 2] + b"\1" * 512 + GOOD[512 * 3 :],
    "an extended header of gigabytes": with_size(
        tar_of({"a" * 200 + ".png": b"1"}, tarfile.GNU_FORMAT), b"77777777777"
    ),
    "nothing but zeros": bytes(10240),
    "no images": tar_of({"a.txt": b"hello"}),
    "no labels": tar_of({"a.png": encoded(picture(0))}),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", BAD)
def test_archives_that_do_not_hold_together(tmp_path, name, zipped):
    path = tmp_path / ("a.tar" + ".gz" * zipped)
    path.write_bytes(gzip.compress(BAD[name]) if zipped else BAD[name])
    with pytest.raises(FormatError) as caught:
        open_data(path)
    five_parts(caught.value)


@pytest.mark.parametrize("cut", [1, 20, 300, -5])
def test_a_gzip_that_is_cut_off(tmp_path, cut):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(GOOD)[:cut])
    with pytest.raises(FormatError) as caught:
        open_data(path)
    five_parts(caught.value)


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MAX_UNZIPPED", 1000)
    with pytest.raises(LimitError) as caught:
        open_data(written(tmp_path / "a.tar.gz", shard(3), zipped=True))
    five_parts(caught.value)
    monkeypatch.setattr(places, "MAX_MEMBERS", 3)
    with pytest.raises(LimitError) as caught:
        open_data(written(tmp_path / "a.tar", shard(3)))
    five_parts(caught.value)
    with pytest.raises(LimitError) as caught:
        open_data(f"{tmp_path}/{{0..999999999}}.tar")
    five_parts(caught.value)


def test_an_image_too_large_to_be_meant(tmp_path, monkeypatch):
    files = shard(4)
    files["000001.png"] += bytes(5000)
    monkeypatch.setattr("striate.train.data.images.MAX_BYTES", 4000)
    data = open_data(written(tmp_path / "a.tar", files), "all")
    assert sum(len(batch.y) for batch in data.batches(4)) == 3 and "5," in data.notes()[0]


def test_a_shard_that_shrinks_or_goes(tmp_path):
    path = written(tmp_path / "a.tar", shard(40))
    data = open_data(path, "all")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SourceError, match="was truncated while it was read") as caught:
        list(data.batches(8))
    five_parts(caught.value)
    path.unlink()
    with pytest.raises(SourceError, match="there is no") as caught:
        list(data.batches(8))
    five_parts(caught.value)


@pytest.mark.parametrize("pattern", ["none-*.tar", "x-{0..3}.tar"])
def test_patterns_without_a_file(tmp_path, pattern):
    with pytest.raises(SourceError) as caught:
        open_data(f"{tmp_path}/{pattern}")
    five_parts(caught.value)


name = st.text("abcé.-/ ", min_size=1, max_size=150).filter(
    lambda text: ".." not in text and text.strip("/. ")
)


@given(
    st.dictionaries(name.map(lambda text: text.lstrip("/")), st.binary(max_size=600), min_size=1, max_size=5),
    st.sampled_from(FORMATS[1:]),
)
def test_members_are_those_of_tarfile(tmp_path_factory, files, format):
    path = tmp_path_factory.getbasetemp() / "law.tar"
    path.write_bytes(tar_of(files, format))
    with path.open("rb") as stream:
        found = list(members(path, stream, [], []))
        with tarfile.open(path) as archive:
            expected = [entry for entry in archive if entry.isreg()]
        assert [(m.offset, m.size) for m in found] == [(e.offset_data, e.size) for e in expected]


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_any_damage_is_a_sample_or_an_error(tmp_path_factory, place, junk, cut):
    path = tmp_path_factory.getbasetemp() / "fuzz.tar"
    path.write_bytes(GOOD[:place] + junk + (b"" if cut else GOOD[place + len(junk) :]))
    try:
        data = open_data(path, "all")
        read = sum(len(batch.y) for batch in data.batches(2))
    except StriateError as error:
        five_parts(error)
    else:  # nothing lost without a word
        words = ("left out", "not read", "cut off")
        assert read == 3 or data.bad or any(word in data.source for word in words)


@pytest.mark.parametrize(("kept", "remark"), [(0, True), (511, True), (512, False), (1024, False)])
def test_an_archive_cut_between_two_files_is_named(tmp_path, kept, remark):
    whole = tar_of(shard(2))
    path = tmp_path / "a.tar"
    path.write_bytes(whole.rstrip(b"\0").ljust(-(-len(whole.rstrip(b"\0")) // 512) * 512 + kept, b"\0"))
    source = open_data(path, "all").source
    assert ("possibly truncated, because there is no end marker: a.tar" in source) is remark


def test_json_without_end(tmp_path):
    files = {**shard(2), "x.png": encoded(picture(0)), "x.json": b"[" * 60_000}
    data = open_data(written(tmp_path / "a.tar", files), "all")
    assert "a.tar/x (its json cannot be read)" in data.source
    files["x.json"] = json.dumps({"label": "a" * 300}).encode()
    assert "not a single word" in open_data(written(tmp_path / "a.tar", files), "all").source
