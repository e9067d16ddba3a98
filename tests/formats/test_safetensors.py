"""Safetensors files: written array by array, read once, and refused where their content does not hold together."""

import json
import mmap
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import striate
from striate import weights
from striate.diagnostics import FormatError, SourceError
from striate.formats import pth, safetensors

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda name: name != "__metadata__"
)
tables = st.dictionaries(names, st.lists(st.integers(0, 3), max_size=4).map(tuple), max_size=5)


@given(tables)
def test_a_file_gives_back_what_was_written(tmp_path_factory, shapes):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    made = {
        name: np.random.default_rng(0).standard_normal((*shape, 1))[..., 0].astype(np.float32)
        for name, shape in shapes.items()
    }
    safetensors.save(path, made, {"note": "ü"})
    found, metadata = safetensors.load(path)
    assert metadata["note"] == "ü"
    assert found.keys() == made.keys()
    assert all((found[name] == made[name]).all() and found[name].shape == made[name].shape for name in made)


def test_halves_become_float32(tmp_path):
    values = np.array([1.0, -2.5], np.float16)
    words = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    for kind, data in (("F16", values.tobytes()), ("BF16", words.tobytes())):
        header = json.dumps({"w": {"dtype": kind, "shape": [2], "data_offsets": [0, 4]}}).encode()
        (tmp_path / "h").write_bytes(len(header).to_bytes(8, "little") + header + data)
        found, _ = safetensors.load(tmp_path / "h")
        assert found["w"].dtype == np.float32
        assert found["w"].tolist() == [1.0, -2.5]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_bad_bytes_are_refused(tmp_path_factory, junk, cut):
    folder = tmp_path_factory.mktemp("bad")
    safetensors.save(folder / "good", {"w": np.zeros((3, 4), np.float32)})
    good = (folder / "good").read_bytes()
    for content in (junk, good[: min(cut, len(good) - 1)], good[:cut] + junk + good[cut:] + b"x"):
        (folder / "bad").write_bytes(content)
        with pytest.raises(FormatError):
            safetensors.load(folder / "bad")


@pytest.mark.parametrize(
    "header",
    [
        b"3", b"[]", b"{", b"null", b"\xff", b"[" * 9999, b'{"w": 3}', b'{"w": {}}', b'{"__metadata__": 3}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F3", "shape": [2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "v": '
        b'{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
    ],
)  # fmt: skip
def test_headers_that_do_not_hold_together_are_refused(tmp_path, header):
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(FormatError):
        safetensors.load(tmp_path / "w")


def test_a_file_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(SourceError):
        safetensors.load(tmp_path / "missing")
    with pytest.raises(SourceError):
        safetensors.load(tmp_path)
    with pytest.raises(SourceError):
        safetensors.save(tmp_path / "no" / "folder", {})


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w"
    safetensors.save(path, {"w": np.zeros(3, np.float32)})
    old = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SourceError, match="No space left"):
        safetensors.save(path, {"w": np.ones(3, np.float32)})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["w"], "nothing half-written is left beside it"


def test_equal_weights_give_equal_files_that_the_safetensors_package_reads(tmp_path):
    from safetensors.numpy import load_file

    made = {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "a": np.arange(3)}
    made |= {"none": np.zeros((0, 2), np.float32), "half": np.ones(3, np.float16)}
    metadata = {str(k): "ü" * k for k in range(9)}
    safetensors.save(tmp_path / "one", made, metadata)
    safetensors.save(tmp_path / "two", dict(reversed(made.items())), metadata)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = load_file(tmp_path / "one")
    assert read.keys() == made.keys()
    assert all(
        np.array_equal(read[name], array) and read[name].dtype == array.dtype for name, array in made.items()
    )
    assert safetensors.load(tmp_path / "one")[1] == {"format": "pt", **metadata}


def test_what_the_safetensors_package_writes_is_read(tmp_path):
    from safetensors.numpy import save_file

    kinds = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
    made = {f"{kind}.weight": np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    made |= {"scalar": np.array(2.5, np.float32), "none": np.zeros((0, 2), np.float32)}
    save_file(made, tmp_path / "w", {"format": "pt", "author": "someone"})
    found, metadata = safetensors.load(tmp_path / "w")
    assert metadata == {"format": "pt", "author": "someone"} and found.keys() == made.keys()
    for name, array in made.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == (np.float32 if array.dtype.kind == "f" else array.dtype)


def test_numbers_of_an_unknown_type_are_named(tmp_path):
    header = b'{"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}'
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(FormatError, match="F8_E4M3"):
        safetensors.load(tmp_path / "w")


# ---------------------------------------------------------------- nobody writes to what programs read
@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="files are read into plain bytes there")
def test_weights_of_a_large_file_are_read_once_and_not_copied(tmp_path):
    net = striate.parse("16x16x3 -> flatten -> fc 2048 -> fc 10")
    model = striate.Model(net)
    assert model.weights["fc1.weight"].nbytes > safetensors.HUGE_PAGE_MIN_BYTES
    model.export(tmp_path / "model.safetensors")
    loaded = striate.Model.load(tmp_path / "model.safetensors")
    lowest, highest = np.inf, 0
    for array in loaded.weights.current().values():
        assert weights.is_sealed(array)
        begin, end = np.lib.array_utils.byte_bounds(array)
        lowest, highest = min(lowest, begin), max(highest, end)
        with pytest.raises(ValueError):
            array.flags.writeable = True
    size = sum(array.nbytes for array in model.weights.current().values())
    assert highest - lowest == size, "all of them lie where the file was read to"
    loaded.weights["fc2.bias"] += 1
    assert np.array_equal(loaded.weights["fc2.bias"], model.weights["fc2.bias"] + 1)
    again = striate.Model.load(tmp_path / "model.safetensors")
    assert np.array_equal(again.weights["fc2.bias"], model.weights["fc2.bias"]), "the file is as it was"


@pytest.mark.parametrize("save", [safetensors.save, pth.save])
def test_a_file_is_written_array_by_array(tmp_path, save):
    arrays = {str(k): np.full((512, 512), k, np.float32) for k in range(16)}
    size = arrays["0"].nbytes
    save(tmp_path / "warm", arrays)  # modules and caches of the writer
    tracemalloc.start()
    try:
        save(tmp_path / "w", arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size, "no copy of an array, let alone of all of them, is made"
    assert (tmp_path / "w").read_bytes() == (tmp_path / "warm").read_bytes()
