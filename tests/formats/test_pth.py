"""State dicts without torch: written and read back; whatever a file holds, it is refused and nothing is executed."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as strategies

import striate as st
from striate.diagnostics import StriateError
from striate.formats import pth, safetensors
from striate.formats.weight_files import read_weights

WEIGHTS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_mean": np.array([0.5, -1], np.float32),
    "scalar": np.array(3.5, np.float32),
    "whole": np.array([1, 2**40]),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    pth.save(folder / "a.pth", WEIGHTS)
    safetensors.save(folder / "a.safetensors", WEIGHTS)
    return folder


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_round_trip(files, name):
    found = read_weights(files / name)
    assert set(found) == set(WEIGHTS)
    for key, array in WEIGHTS.items():
        np.testing.assert_array_equal(found[key], array)
    pth.save(files / "again.pth", WEIGHTS)
    assert (files / "again.pth").read_bytes() == (files / "a.pth").read_bytes()


def broken(files, name, place, change):
    data = bytearray((files / name).read_bytes())
    at = place % len(data)
    if change is None:
        return bytes(data[:at])
    data[at] ^= change
    return bytes(data)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@settings(max_examples=300)
@given(place=strategies.integers(0, 10**6), change=strategies.none() | strategies.integers(1, 255))
def test_a_broken_file_is_read_or_refused(files, name, place, change):
    target = files / f"broken-{name}"
    target.write_bytes(broken(files, name, place, change))
    try:
        found = read_weights(target)
    except StriateError as error:
        assert error.fix
    else:
        assert sum(array.nbytes for array in found.values()) < 10_000


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def zipped(content, compress=zipfile.ZIP_STORED, **more):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compress) as archive:
        archive.writestr("a/data.pkl", content)
        for name, data in more.items():
            archive.writestr(f"a/data/{name}", data)
    return made.getvalue()


def tensor(shape, stride, size=4):
    """A pickled state dict of one tensor, spelled by the writer's own words."""
    numbers = b"(" + b"".join(map(pth._int, shape)) + b"t(" + b"".join(map(pth._int, stride)) + b"t"
    place = (
        b"("
        + pth._text("storage")
        + pth._name("torch", "FloatStorage")
        + pth._text("0")
        + pth._text("cpu")
        + pth._int(size)
        + b"tQ"
    )
    call = pth._name("torch._utils", "_rebuild_tensor_v2") + b"(" + place + pth._int(0) + numbers + b"\x89}tR"
    return b"\x80\x02}" + pth._text("w") + call + b"s."


HOSTILE = {
    "a call": (zipped(pickle.dumps({"w": Evil()}, 2)), "asks for '__builtin__.print'"),
    "a pickle": (pickle.dumps({"w": Evil()}, 2), "asks for"),
    "plain data": (zipped(pickle.dumps({"w": 1}, 2)), "no named tensors"),
    "compressed": (zipped(bytes(10**6), zipfile.ZIP_DEFLATED), "compressed"),
    "past the storage": (zipped(tensor((3, 2), (2, 1)), **{"0": bytes(16)}), "past its storage"),
    "repeated": (zipped(tensor((10**9,), (0,)), **{"0": bytes(16)}), "past its storage"),
    "short": (zipped(tensor((4,), (1,)), **{"0": bytes(8)}), "needs 16 bytes"),
    "no storage": (zipped(tensor((4,), (1,))), "data/0"),
    "huge": (zipped(tensor((4,), (1,), 2**31 - 1), **{"0": bytes(16)}), "needs"),
    "empty": (b"", "neither"),
    "a legacy header": (b"\x80\x02" + struct.pack("<B", 0x4B) + b"\x01.", "torch.save did not write"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, capsys, name):
    content, said = HOSTILE[name]
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(StriateError) as caught:
        pth.load(path)
    assert said in caught.value.why
    assert "executed" not in capsys.readouterr().out


def test_transposed_views_are_read(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(zipped(tensor((2, 2), (1, 2)), **{"0": np.arange(4, dtype="<f4").tobytes()}))
    np.testing.assert_array_equal(pth.load(path)["w"], [[0, 2], [1, 3]])


def test_a_model_takes_a_file(files, tmp_path):
    model = st.Model(st.parse("8x8x1 -> conv 3x3 4 -> flatten -> fc 2"), seed=1, engine="numpy")
    pth.save(tmp_path / "m.pth", model.weights.current())
    again = st.Model(model.net, weights=tmp_path / "m.pth", engine="numpy")
    assert all((again.weights[name] == array).all() for name, array in model.weights.items())
