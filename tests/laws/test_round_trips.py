"""Networks of the catalogue through every format and back: the same network, weights equal bit for bit.

Structure goes round for one of every family, with STRIATE_EXHAUSTIVE for all. Numbers are looked at for the small ones;
of the others only those that a file holds next to its weights: a large tensor travels as its shape.
"""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from exhaustive import EXHAUSTIVE
from network_strategies import renamed
from striate import Model
from striate.diagnostics import StriateError
from striate.formats import load, toml
from striate.formats.conversion import writer
from striate.formats.loaded import Loaded
from striate.formats.torch.python_source import source
from striate.formats.weight_files import WEIGHTS, read_weights
from striate.models import catalogue

LIGHTEST = {e.family.name: e.name for e in sorted(catalogue.entries(), key=lambda e: -(e.params or 1e12))}
"""Family -> its entry with the fewest published parameters."""
ENTRIES = [e.name for e in catalogue.entries() if EXHAUSTIVE or e.name in LIGHTEST.values()]
SMALL = [entry.name for entry in catalogue.entries() if 0 < (entry.params or 0) < 1_500_000]
AWKWARD = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-38, 3.4028235e38, 1 / 3]
"""Numbers that a careless way through decimals, other types or arithmetic would change."""


def numbers(net, seed=0):
    """Any bits a float32 may have, the awkward ones in every tensor that has room for them."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, parameter in net.parameters.items():
        array = rng.integers(0, 2**32, parameter.shape, np.uint32).view(np.float32)
        array.reshape(-1)[: len(AWKWARD)] = AWKWARD[: array.size]
        # A signalling NaN is made quiet by some processors when it is only loaded.
        made[name] = np.where(np.isnan(array), np.float32(np.nan), array)
    return made


def bits(weights):
    return {
        name: (array.shape, np.ascontiguousarray(array, "<f4").tobytes()) for name, array in weights.items()
    }


@pytest.mark.parametrize("name", ENTRIES)
def test_toml(name):
    net = catalogue.create(name)
    back = toml.parse(toml.format(net))
    assert back == net and back.to_dict() == net.to_dict()


@pytest.mark.parametrize("name", ENTRIES)
def test_pytorch_source(name, tmp_path):
    """Read without running it; oracles/test_torch_source.py lets torch run it."""
    net = catalogue.create(name)
    path = tmp_path / "net.py"
    path.write_text(source(net))
    before = set(sys.modules)
    assert load(f"{path}:model" if name in SMALL else path) == net
    assert "torch" not in set(sys.modules) - before


@pytest.mark.onnx
@pytest.mark.parametrize("name", ENTRIES)
def test_onnx(name, tmp_path, monkeypatch):
    """The file's bytes, without the numbers of its large tensors: they would be 17 GB."""
    import onnx

    from striate.formats.onnx import proto, writing

    whole, kept = onnx.numpy_helper.from_array, proto.array

    def hollow(array, name=None):
        if array.size < 5000:
            return whole(array, name)
        return onnx.TensorProto(name=name, dims=array.shape, data_type=onnx.TensorProto.FLOAT)

    def filled(package, tensor, folder, path):
        if math.prod(tensor.dims) < 5000:
            return kept(package, tensor, folder, path)
        return np.broadcast_to(np.float32(0), tuple(tensor.dims))

    net = catalogue.create(name)
    given = {key: np.broadcast_to(np.float32(0), p.shape) for key, p in net.parameters.items()}
    monkeypatch.setattr(onnx.numpy_helper, "from_array", hollow)
    monkeypatch.setattr(np, "ascontiguousarray", np.asarray)
    monkeypatch.setattr(writing, "INSIDE", math.inf)
    monkeypatch.setattr(proto, "array", filled)
    path = tmp_path / f"{name}.onnx"
    writer(path)(path, Loaded.of(net, given), False)
    back = load(path)
    assert back == net and back.name == name
    assert {key: array.shape for key, array in back.weights.items()} == {k: v.shape for k, v in given.items()}


@pytest.mark.onnx
@pytest.mark.parametrize("name", SMALL)
def test_onnx_keeps_every_bit(name, tmp_path):
    net = catalogue.create(name)
    weights = numbers(net)
    path = tmp_path / "net.onnx"
    writer(path)(path, Loaded.of(net, weights), False)
    assert bits(load(path).weights) == bits(weights)
    assert bits(Model(load(path), engine="numpy").weights.current()) == bits(weights)


@pytest.mark.onnx("onnxruntime")
def test_weights_beside_an_onnx_file(tmp_path, monkeypatch):
    """What is too much for one protobuf message: here, more than 100 kB."""
    import onnx
    import onnxruntime

    from striate.formats.onnx import writing

    monkeypatch.setattr(writing, "INSIDE", 100_000)
    model = Model(catalogue.create("lenet5"), seed=3, engine="numpy")
    path = tmp_path / "net.onnx"
    model.export(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert path.stat().st_size < 20_000 < (tmp_path / "net.onnx.data").stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    back = load(path)
    assert back == model.net and bits(back.weights) == bits(model.weights.current())
    x = np.random.default_rng(0).standard_normal((2, 1, 32, 32)).astype(np.float32)
    (theirs,) = onnxruntime.InferenceSession(path).run(None, {"input": x})
    np.testing.assert_allclose(theirs, model.predict(x), rtol=1e-4, atol=1e-5)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(StriateError, match=r"net\.onnx\.data"):
        load(path)


@pytest.mark.parametrize("suffix", sorted(WEIGHTS))
@pytest.mark.parametrize("name", [*SMALL, "resnet18"])
def test_files_of_weights_keep_every_bit(name, suffix, tmp_path):
    net = catalogue.create(name)
    weights = numbers(net)
    path = tmp_path / f"weights{suffix}"
    writer(path)(path, Loaded.of(net, weights), False)
    assert bits(read_weights(path)) == bits(weights)
    model = Model(net, weights=path, engine="numpy")
    assert bits(model.weights.current()) == bits(weights)


def test_a_saved_model_comes_back(tmp_path):
    model = Model(catalogue.create("lenet5"), weights=numbers(catalogue.create("lenet5")), engine="numpy")
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved", engine="numpy")
    assert again.net == model.net == load(tmp_path / "saved")
    assert bits(again.weights.current()) == bits(model.weights.current())


# ---------------------------------------------------------------- networks that nobody thought of
@settings(max_examples=150)
@given(renamed(max_nodes=5))
def test_any_network_comes_back_or_is_refused(net):
    for write, read in ((toml.format, toml.parse), (source, _from_source)):
        try:
            text = write(net)
        except StriateError as error:
            assert error.fix
            continue
        assert read(text) == net


def _from_source(text):
    from striate.formats.torch import striate_metadata

    compile(text, "net.py", "exec")  # whatever the names, it is Python
    return striate_metadata.network(text)
