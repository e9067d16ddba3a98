"""What files and modules say of their parameters: shared, tied, constant, frozen; and what unknown operators hold."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

import numpy as np
import pytest

import striate as st
from striate.diagnostics import FormatError


def _modules() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Modules whose state holds one tensor under several names, or several calls of one module."""
    import torch
    from torch import nn

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.body = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.bn, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            x = self.stem(x).relu()
            for _ in range(3):
                x = self.bn(self.body(x)).relu()
            return self.fc(x.mean((2, 3)))

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.dec = nn.Conv2d(3, 8, 3, padding=1), nn.ConvTranspose2d(8, 3, 3, padding=1)
            self.dec.weight = self.enc.weight

        def forward(self, x: Any) -> Any:
            return self.dec(self.enc(x).relu())

    class Names(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.c = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=2, dilation=2)
            self.b, self.c.weight, self.c.bias = self.a, self.a.weight, self.a.bias
            self.a_2 = nn.Conv2d(3, 3, 1)

        def forward(self, x: Any) -> Any:
            return self.a_2(self.c(self.b(self.a(x).relu()).relu()))

    class Blur(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.scale = nn.Conv2d(3, 6, 3), nn.Parameter(torch.ones(6, 1, 1))
            self.register_buffer(
                "taps",
                torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])).expand(6, 1, 3, 3) / 16,
            )
            self.taps = self.taps.clone()

        def forward(self, x: Any) -> Any:
            x = nn.functional.conv2d(self.conv(x), self.taps, stride=2, groups=6)
            return nn.functional.conv2d(x, self.taps, padding=1, groups=6) * self.scale

    torch.manual_seed(0)
    image = (3, 10, 10)
    return {
        "twice": (Twice(), image),
        "tied": (Tied(), image),
        "names": (Names(), image),
        "blur": (Blur(), image),
    }


NAMES = ["twice", "tied", "names", "blur"]


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_module_keeps_its_parameters_and_its_names(name, tmp_path):
    import torch

    module, shape = _modules()[name]
    net = st.from_torch(module, input=shape)
    assert st.analyze(net).totals.params == sum(p.numel() for p in module.parameters())
    model = st.Model(net, engine="numpy")
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    wanted = module.eval()(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(model.predict(x), wanted, atol=1e-5)
    for path in (tmp_path / "m.pth", tmp_path / "m.safetensors"):
        model.export(path)
        again = st.Model(net, weights=path)
        assert all(np.array_equal(again.weights[key], array) for key, array in model.weights.items())
    state = torch.load(tmp_path / "m.pth", weights_only=True)
    module.load_state_dict(state, strict=True)
    model.to_torch().load_state_dict(state, strict=True)
    assert st.load(tmp_path / "m.safetensors") == net
    # The module's own file, with every name of every tensor, is read as well.
    torch.save(module.state_dict(), tmp_path / "theirs.pth")
    assert np.array_equal(
        st.Model(net, weights=tmp_path / "theirs.pth", engine="numpy").predict(x), model.predict(x)
    )


@pytest.mark.torch
def test_one_tensor_has_one_value(tmp_path):
    import torch

    module, shape = _modules()["tied"]
    net = st.from_torch(module, input=shape)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state["dec.weight"] += 1
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(FormatError, match="differ"):
        st.Model(net, weights=tmp_path / "m.pth")
    del state["enc.weight"]  # some writers keep one of the names
    torch.save(state, tmp_path / "m.pth")
    assert np.array_equal(
        st.Model(net, weights=tmp_path / "m.pth").weights["enc.weight"], state["dec.weight"].numpy()
    )


@pytest.mark.torch
def test_a_transposed_weight_is_opaque_and_counted_once():
    import torch
    from torch import nn

    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.bias = nn.Linear(12, 8), nn.Parameter(torch.zeros(12))

        def forward(self, x: Any) -> Any:
            return nn.functional.linear(self.enc(x.flatten(1)).relu(), self.enc.weight.t(), self.bias)

    net = st.from_torch(Transposed(), input=(3, 2, 2))
    assert [node.op.word for node in net.nodes] == ["flatten", "fc", "relu", "opaque"]
    assert st.analyze(net).totals.params == 12 * 8 + 8 + 12


@pytest.mark.torch
def test_a_parametrized_module_that_is_called_twice_is_one():
    from torch import nn

    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1))
    net = st.from_torch(nn.Sequential(conv, nn.ReLU(), conv), input=(3, 9, 9))
    assert [bool(node.shares) for node in net.nodes if node.op.word == "conv"] == [False, True]


@pytest.mark.torch
def test_buffers_are_constants_and_frozen_parameters_count():
    import torch
    from torch import nn

    net = st.from_torch(_modules()["blur"][0], input=(3, 10, 10))
    fixed = [node for node in net.nodes if node.fixed]
    assert [node.fixed for node in fixed] == [("weight",)] and net.node("conv").fixed == ()
    assert [node.shares for node in net.nodes if node.shares] == [fixed[0].name]
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.Conv2d(2, 4, 3), nn.LayerNorm((4, 8, 8), bias=False)
    )
    module[0].weight.requires_grad_(False)
    net = st.from_torch(module, input=(1, 12, 12))
    assert st.analyze(net).totals.params == sum(p.numel() for p in module.parameters()) == 18 + 76 + 256
    assert (net.node("0").frozen, net.node("2").fixed) == (("weight",), ("bias",))
    back = st.Model(net).to_torch()
    learned = {name for name, p in back.named_parameters() if p.requires_grad}
    assert learned == {"1.weight", "1.bias", "2.weight"}
    assert not back.get_parameter("0.weight").requires_grad
    assert isinstance(back.get_buffer("2.bias"), torch.Tensor)


@pytest.mark.torch
def test_an_attention_module_is_counted():
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            x = self.conv(x).flatten(2).transpose(1, 2)
            return self.fc(self.attention(x, x, x)[0].mean(1))

    totals = st.analyze(st.from_torch(Net(), input=(3, 8, 8))).totals
    assert totals.params == 448 + 4 * 16 * 16 + 4 * 16 + 85  # 1,621
    assert not totals.unknown["params"] and len(totals.unknown["macs"]) == 1


# ---------------------------------------------------------------------------------------------------- ONNX


def _graph(
    onnx: Any, nodes: Any, tensors: dict[str, Any], path: Any, shape: tuple[int, ...] = (1, 4, 8, 8)
) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "file",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in tensors.items()],
        value_info=[helper.make_tensor_value_info("inside", kind, shape)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return st.load(path)


@pytest.mark.onnx
def test_an_initializer_that_several_operators_read_is_one_tensor(tmp_path):
    import onnx

    node = onnx.helper.make_node
    rng = np.random.default_rng(0)
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"], name="one", pads=[1] * 4),
        node("Relu", ["a"], ["r"]),
        node("Conv", ["r", "w", "b"], ["y"], name="two", pads=[2] * 4, dilations=[2, 2]),
    ]
    tensors = {"w": rng.standard_normal((4, 4, 3, 3)), "b": np.zeros(4)}
    net = _graph(onnx, nodes, tensors, tmp_path / "m.onnx")
    # The bias of zeros goes with its weight.
    assert [(n.name, n.shares) for n in net.nodes if n.op.word == "conv"] == [("one", ""), ("two", "one")]
    assert st.analyze(net).totals.params == 148
    st.Model(net).export(tmp_path / "ours.onnx")
    assert len(onnx.load(tmp_path / "ours.onnx").graph.initializer) == 2
    assert st.load(tmp_path / "ours.onnx") == net


@pytest.mark.onnx
def test_equal_tensors_that_an_exporter_keeps_once_are_not_shared(tmp_path):
    """Scales of 1 and shifts of 0 of layers that have not learned yet."""
    import onnx

    node = onnx.helper.make_node
    norms = [
        node("BatchNormalization", [x, "one", "zero", "zero", "one"], [y], name=f"bn{k}")
        for k, (x, y) in enumerate([("x", "a"), ("a", "y")])
    ]
    net = _graph(onnx, norms, {"one": np.ones(4), "zero": np.zeros(4)}, tmp_path / "m.onnx")
    assert st.analyze(net).totals.params == 16 and not any(n.shares for n in net.nodes)


@pytest.mark.onnx
def test_a_tensor_in_two_layouts_is_no_silent_copy(tmp_path):
    import onnx

    node = onnx.helper.make_node
    nodes = [
        node("Gemm", ["x", "w"], ["h"], name="enc", transB=1),
        node("MatMul", ["h", "w"], ["y"], name="dec"),
    ]
    weight = np.random.default_rng(0).standard_normal((3, 5))
    net = _graph(onnx, nodes, {"w": weight}, tmp_path / "m.onnx", (1, 5))
    assert [n.op.word for n in net.nodes] == ["fc", "opaque"]
    assert st.analyze(net).totals.params == 15


@pytest.mark.onnx
def test_what_an_unknown_operator_reads_is_counted(tmp_path):
    import onnx

    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv"),
        node("Strange", ["a", "w", "v", "s"], ["inside"], name="strange", domain="own"),
        node("Relu", ["inside"], ["y"], name="relu"),
    ]
    tensors = {"w": np.random.default_rng(0).random((4, 4, 1, 1)), "v": np.ones(7), "s": np.float32(0.5)}
    net = _graph(onnx, nodes, tensors, tmp_path / "m.onnx")
    totals = st.analyze(net).totals
    assert totals.params == 16 + 7  # w once, and s is a setting
    assert "strange" in totals.unknown["macs"]


@pytest.mark.onnx("torch", "onnxscript")
@pytest.mark.parametrize("name", ["twice", "tied", "names"])
def test_a_module_through_onnx(name, tmp_path):
    import torch

    module, shape = _modules()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.zeros(2, *shape),), tmp_path / "m.onnx", dynamo=True)
    net = st.load(tmp_path / "m.onnx")
    assert st.analyze(net).totals.params == sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------------------------------------------- Keras


@pytest.fixture
def keras(tmp_path_factory, monkeypatch):
    monkeypatch.setitem(os.environ, "KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    return importlib.import_module("keras")


@pytest.mark.keras("keras", "torch")
def test_layers_and_models_that_are_called_again(keras, tmp_path):
    L = keras.layers
    start = keras.Input((8, 8, 3))
    conv, norm = L.Conv2D(3, 3, padding="same"), L.BatchNormalization(scale=False)
    apart = L.SeparableConv2D(3, 3, padding="same")
    x = start
    for _ in range(3):
        x = L.ReLU()(apart(norm(conv(x))))
    inner = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3), L.GlobalAveragePooling2D()])
    frozen = L.Dense(2)
    model = keras.Model(start, frozen(L.Concatenate()([inner(x), inner(start)])))
    frozen.trainable = False
    model.save(tmp_path / "m.keras")
    net = st.load(tmp_path / "m.keras")
    learned = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert st.analyze(net).totals.params == learned + sum(int(np.prod(w.shape)) for w in frozen.weights)
    assert sum(p.elements for p in net.parameters.values() if p.trainable) == learned
    image = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(image, training=False))
    assert np.allclose(st.Model(net).predict(image.transpose(0, 3, 1, 2)), wanted, atol=1e-5)


@pytest.mark.keras("keras", "torch")
@pytest.mark.parametrize("missing", ["scale", "center"])
@pytest.mark.parametrize("kind", ["BatchNormalization", "LayerNormalization", "GroupNormalization"])
def test_a_scale_that_is_not_there_is_a_constant(keras, tmp_path, kind, missing):
    L = keras.layers
    more = {"groups": 2} if kind.startswith("Group") else {}
    layers = [
        keras.Input((8, 8, 3)),
        L.Conv2D(6, 3, use_bias=False),
        getattr(L, kind)(**{missing: False}, **more),
    ]
    model = keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(2)])
    model.save(tmp_path / "m.keras")
    net = st.load(tmp_path / "m.keras")
    assert st.analyze(net).totals.params == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    (node,) = [node for node in net.nodes if node.fixed]
    assert node.fixed == ({"scale": "weight", "center": "bias"}[missing],)


@pytest.mark.keras("keras", "torch")
def test_what_an_unknown_layer_holds_is_counted(keras, tmp_path):
    L = keras.layers
    x = start = keras.Input((8, 8, 3))
    x = L.Reshape((64, 3))(x)
    attention = L.MultiHeadAttention(2, 4)
    model = keras.Model(start, L.GlobalAveragePooling1D()(attention(x, x)))
    model.save(tmp_path / "m.keras")
    totals = st.analyze(st.load(tmp_path / "m.keras")).totals
    assert totals.params == model.count_params() and not totals.unknown["params"]
