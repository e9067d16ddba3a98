"""Keras files without Keras: what a configuration means here, with weights where h5py is there and without."""

import importlib.util
import json

import numpy as np
import pytest

import striate as st
from keras_files import archive, functional, layer, sequential, tensor
from striate.diagnostics import FormatError, MissingExtraError, ShapeError
from striate.extras import install_command

SMALL = (
    layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same", activation="relu"),
    layer("Flatten", "flat"),
    layer("Dense", "fc", units=5, activation="softmax"),
)


def words(net):
    return [f"{node.name} = {node.op}" for node in net.nodes]


def weights_of_small(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"conv2d": [(3, 3, 3, 4), (4,)], "dense": [(144, 5), (5,)]}
    return {
        place: [rng.standard_normal(s).astype(np.float32) for s in sizes] for place, sizes in shapes.items()
    }


@pytest.fixture
def without_h5py(monkeypatch):
    """As on a machine that has no h5py."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "h5py" else find(name, *a)
    )
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)


def test_nodes_carry_the_names_of_layers(tmp_path):
    net = st.load(archive(tmp_path / "net.keras", sequential(*SMALL)))
    assert words(net) == [
        "conv = conv 3x3 4 /2 pad same",
        "conv.relu = relu",
        "flat = flatten",
        "fc = fc 5 in 144",
        "fc.softmax = softmax",
    ]
    assert net.name == "net" and net.input.shape == (1, 3, 12, 12) and net.weights is None


@pytest.mark.keras
def test_weights_are_turned_once(tmp_path):
    """Against the definition in NHWC, written out: SAME of 12 with stride 2 pads one row after."""
    given = weights_of_small()
    net = st.load(archive(tmp_path / "net.keras", sequential(*SMALL), given))
    x = np.random.default_rng(1).standard_normal((2, 12, 12, 3)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    kernel, bias = given["conv2d"]
    y = np.zeros((2, 6, 6, 4))
    for i in range(6):
        for j in range(6):
            y[:, i, j] = (
                np.einsum("nuvc,uvck->nk", padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel) + bias
            )
    logits = np.maximum(y, 0).reshape(2, -1) @ given["dense"][0] + given["dense"][1]
    want = np.exp(logits - logits.max(1, keepdims=True))
    want /= want.sum(1, keepdims=True)
    found = st.Model(net, engine="numpy").predict(np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize("root", ["layers", "_layer_checkpoint_dependencies"])
def test_weights_by_class_and_number(tmp_path, root):
    """Groups are named after classes and counted; Keras 2.13 had another word for the layers."""
    from keras_files import hdf5

    config = sequential(
        layer("Conv2D", "late", filters=2, kernel_size=[1, 1], use_bias=False),
        layer("Conv2D", "early", filters=3, kernel_size=[1, 1], use_bias=False),
        layer(
            "Sequential",
            "inner",
            layers=[layer("Conv2D", "deep", filters=4, kernel_size=[1, 1], use_bias=False)],
        ),
    )
    kernels = [np.full((1, 1, i, o), i, np.float32) for i, o in ((3, 2), (2, 3), (3, 4))]
    inner = f"sequential/{root}/conv2d"
    data = hdf5({"conv2d": kernels[:1], "conv2d_1": kernels[1:2], inner: kernels[2:]}, root)
    net = st.load(archive(tmp_path / "net.keras", config, data))
    assert {name: float(a.mean()) for name, a in net.weights.items()} == {
        "late.weight": 3, "early.weight": 2, "inner.deep.weight": 3,
    }  # fmt: skip


def test_the_architecture_needs_no_h5py(tmp_path, without_h5py):
    path = archive(tmp_path / "net.keras", sequential(*SMALL), b"weights that nobody reads")
    net = st.load(path)
    assert st.analyze(net) and st.check(net) is not None and st.sizes(net)
    with pytest.raises(MissingExtraError) as caught:
        st.Model(net)
    text = str(caught.value)
    assert "weights" in text and "missing" in text and install_command("keras") in text
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(MissingExtraError, match="h5py"):
        st.load(tmp_path / "net.h5")


def test_an_open_size_is_asked_for(tmp_path):
    layers = (SMALL[0], layer("GlobalAveragePooling2D", "gap"), layer("Dense", "fc", units=5))
    path = archive(tmp_path / "net.keras", sequential(*layers, input=(None, None, 3)))
    with pytest.raises(FormatError, match='input="224x224x3"'):
        st.load(path)
    assert st.load(path, "20x30").input.shape == (1, 3, 20, 30)
    assert st.load(path, (3, 20, 30)).specs["conv"].shape == (1, 4, 10, 15)


def test_another_size_of_a_fixed_input(tmp_path):
    path = archive(tmp_path / "net.keras", sequential(SMALL[0]))
    assert st.load(path, "31x31x3").specs["conv"].shape == (1, 4, 16, 16)
    with pytest.raises(ShapeError):
        _ = st.load(archive(tmp_path / "b.keras", sequential(*SMALL)), "20x20x3").specs


def test_same_padding_is_a_policy_that_rules_know(tmp_path):
    """SAME on an even size pads one side only: P001, and X002 says what PyTorch would make of it."""
    conv = layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same")
    for size, expected in ((12, True), (13, False)):
        found = st.check(st.load(archive(tmp_path / "net.keras", sequential(conv, input=(size, size, 3)))))
        codes = {d.code for d in found.findings}
        assert ({"P001", "X002"} <= codes) == expected, codes


def test_padding_layers_join_their_convolution(tmp_path):
    config = sequential(
        layer("ZeroPadding2D", "pad", padding=[[0, 1], [0, 1]]),
        layer("DepthwiseConv2D", "dw", kernel_size=[3, 3], strides=[2, 2], use_bias=False),
    )
    assert words(st.load(archive(tmp_path / "net.keras", config))) == [
        "dw = dwconv 3x3 /2 pad 0,1,0,1 bias off"
    ]


def test_channel_shuffle_is_recognized(tmp_path):
    config = sequential(
        layer("Reshape", "split", target_shape=[12, 12, 3, 2]),
        layer("Permute", "swap", dims=[1, 2, 4, 3]),
        layer("Reshape", "join", target_shape=[12, 12, 6]),
        input=(12, 12, 6),
    )
    assert words(st.load(archive(tmp_path / "net.keras", config))) == ["join = channelshuffle 3"]


def test_a_model_inside_a_model_called_twice(tmp_path):
    inner = functional(layer("Conv2D", "conv", ["first"], filters=3, kernel_size=[1, 1]), outputs=["conv"])
    inner |= {
        "name": "inner",
        "inbound_nodes": [{"args": [tensor("first")]}, {"args": [tensor(("inner", 1))]}],
    }
    inner["config"]["name"] = "inner"
    add = layer("Add", "add", [("inner", 1), ("inner", 2)])
    net = st.load(archive(tmp_path / "net.keras", functional(inner, add, outputs=["add"])))
    assert [(n.name, n.inputs) for n in net.nodes] == [
        ("inner.conv", ("input",)),
        ("inner.conv_2", ("inner.conv",)),
        ("add", ("inner.conv", "inner.conv_2")),
    ]


def test_the_lists_of_keras_2(tmp_path):
    """Calls as lists [layer, call, tensor, arguments], batch_input_shape, and its own hard sigmoid."""
    first = layer("InputLayer", "first", None, batch_input_shape=[None, 12, 12, 3]) | {"inbound_nodes": []}
    conv = layer("Conv2D", "conv", filters=3, kernel_size=[1, 1], activation="hard_sigmoid")
    conv["inbound_nodes"] = [[["first", 0, 0, {}]]]
    add = layer("Add", "add") | {"inbound_nodes": [[["first", 0, 0, {}], ["conv", 0, 0, {}]]]}
    config = functional(conv, add, outputs=["add"])
    config["config"]["layers"][0] = first
    net = st.load(archive(tmp_path / "net.keras", config, version="2.12.0"))
    assert words(net) == [
        "conv = conv 1x1 3", "conv.affine = affine 0.2 0.5", "conv.clip = clip low 0 high 1", "add = add",
    ]  # fmt: skip
    net = st.load(archive(tmp_path / "net.keras", config))
    assert words(net)[1] == "conv.hardsigmoid = hardsigmoid"


@pytest.mark.keras
def test_a_whole_model_in_hdf5(tmp_path):
    """Configuration in an attribute, weights by the names of layer and variable."""
    import h5py

    given = weights_of_small()
    config = sequential(*SMALL)
    for entry in config["config"]["layers"]:
        del entry["module"]
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
        for name, place in (("conv", "conv2d"), ("fc", "dense")):
            for word, array in zip(("kernel:0", "bias:0"), given[place]):
                file[f"model_weights/{name}/{name}/{word}"] = array
    found = st.load(tmp_path / "net.h5")
    want = st.load(archive(tmp_path / "net.keras", config, given, version="2.15.0"))
    assert found.nodes == want.nodes
    assert found.weights.keys() == want.weights.keys() == want.parameters.keys()
    assert all((found.weights[name] == want.weights[name]).all() for name in want.weights)
    with h5py.File(tmp_path / "alone.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 4), np.float32)
    with pytest.raises(FormatError, match="weights without a network"):
        st.load(tmp_path / "alone.weights.h5")


@pytest.mark.keras
def test_half_precision_and_flags(tmp_path):
    """float16 becomes float32; of scale and shift, the one that is missing changes nothing."""
    config = sequential(
        layer("BatchNormalization", "a", scale=False, epsilon=0.01, momentum=0.9),
        layer("BatchNormalization", "b", center=False),
        layer("BatchNormalization", "c", center=False, scale=False),
    )
    rows = [np.array(r, np.float16) for r in ([1, 2, 3], [4, 5, 6], [7, 8, 9])]
    places = {"batch_normalization": rows, "batch_normalization_1": rows, "batch_normalization_2": rows[1:]}
    net = st.load(archive(tmp_path / "net.keras", config, places))
    assert words(net) == ["a = bn eps 0.01", "b = bn eps 0.001 momentum 0.01",
                          "c = bn eps 0.001 momentum 0.01 affine off"]  # fmt: skip
    found = {name: a.tolist() for name, a in net.weights.items()}
    assert (
        found["a.weight"] == [1, 1, 1]
        and found["a.bias"] == [1, 2, 3]
        and found["a.running_mean"] == [4, 5, 6]
    )
    assert (
        found["b.weight"] == [1, 2, 3]
        and found["b.bias"] == [0, 0, 0]
        and found["b.running_var"] == [7, 8, 9]
    )
    assert found["c.running_mean"] == [4, 5, 6] and all(a.dtype == np.float32 for a in net.weights.values())


def test_average_pooling_leaves_padding_out(tmp_path):
    """TensorFlow's SAME: what lies outside is not counted. (Keras on PyTorch repeats the border where it is uneven.)"""
    pool = layer("AveragePooling2D", "pool", pool_size=[3, 3], strides=[2, 2], padding="same")
    net = st.load(archive(tmp_path / "net.keras", sequential(pool, input=(4, 4, 1))))
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    found = st.Model(net, engine="numpy").predict(x)
    assert found.tolist() == [[[[5.0, 6.5], [11.0, 12.5]]]]


def test_layer_normalization_along_another_axis(tmp_path):
    """Along the rows, as the definition says. (Keras on PyTorch normalizes the last axis instead.)"""
    norm = layer("LayerNormalization", "norm", axis=[1], center=False, scale=False, epsilon=0.0)
    net = st.load(archive(tmp_path / "net.keras", sequential(norm, input=(5, 4, 3))))
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32)
    want = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    found = np.moveaxis(st.Model(net, engine="numpy").predict(np.moveaxis(x, -1, 1)), 1, -1)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_a_layer_that_nobody_knows_keeps_its_shape(tmp_path):
    """X001 names it; the next layer says what shape it has made."""
    conv = layer("Conv2D", "conv", filters=2, kernel_size=[3, 3])
    conv["build_config"] = {"input_shape": [None, 6, 6, 5]}
    net = st.load(archive(tmp_path / "net.keras", sequential(layer("Fold", "fold"), conv)))
    assert words(net)[0] == "fold = opaque Fold shape 5,6,6"
    assert net.specs["conv"].shape == (1, 2, 4, 4)
    found = [d for d in st.check(net).findings if d.code == "X001"]
    assert found[0].node == "fold"


def test_models_whose_graph_is_code(tmp_path):
    config = {"class_name": "MyNet", "module": "mine", "config": {"units": 3}, "registered_name": "MyNet"}
    with pytest.raises(FormatError, match="MyNet") as caught:
        st.load(archive(tmp_path / "net.keras", config))
    assert "onnx" in caught.value.fix
