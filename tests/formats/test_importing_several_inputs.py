"""Networks of several inputs come in from every framework, and go out with their inputs' names."""

import numpy as np
import pytest

import striate as st
from keras_files import archive, layer
from striate.diagnostics import FormatError, NotationError, UsageError
from striate.formats import load

torch = pytest.importorskip("torch")
nn = torch.nn


class Siamese(nn.Module):
    """Two images, one pair of eyes, a vector beside them."""

    def __init__(self):
        super().__init__()
        self.conv, self.meta, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(5, 4), nn.Linear(4 * 9, 2)

    def see(self, x):
        return nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)

    def forward(self, left, right, extra):
        far = self.see(left) - 2 * self.see(right)
        return self.fc((far * torch.sigmoid(self.meta(extra))[:, :, None, None]).flatten(1))


SHAPES = {"left": (1, 8, 8), "right": (1, 8, 8), "extra": (5,)}


def arrays(count=3, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((count, *shape)).astype(np.float32) for name, shape in shapes.items()}


def theirs(module, given):
    with torch.no_grad():
        return module.eval()(*map(torch.from_numpy, given)).numpy()


@pytest.mark.parametrize("via", ["export", "fx"])
@pytest.mark.parametrize(
    "input", [SHAPES, dict(reversed(SHAPES.items())), tuple(SHAPES.values()), list(SHAPES.values())]
)
def test_a_module_with_several_arguments(input, via):
    torch.manual_seed(0)
    module = Siamese()
    net = st.from_torch(module, input=input, via=via)
    assert {name: spec.without_batch for name, spec in net.inputs.items()} == SHAPES
    assert list(net.inputs) == list(SHAPES)  # in the order of forward, however they were named
    x = arrays()
    assert np.allclose(st.Model(net).predict(x), theirs(module, x.values()), atol=1e-5)


def test_arguments_with_defaults_and_by_keyword_only():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(4, 2)

        def forward(self, a, scale=None, *, v):
            return self.a(a).mean((2, 3)) - self.fc(v)

    torch.manual_seed(0)
    module = Module()
    a, v = np.ones((2, 1, 8, 8), np.float32), np.arange(8, dtype=np.float32).reshape(2, 4)
    with torch.no_grad():
        wanted = module(torch.from_numpy(a), v=torch.from_numpy(v)).numpy()
    for via in ("export", "fx"):
        net = st.from_torch(module, input={"v": (4,), "a": (1, 8, 8)}, via=via)
        # the module has a part called a, whose weights keep their name
        assert list(net.inputs) == ["a_input", "v"] and "a.weight" in net.parameters
        assert np.allclose(st.Model(net).predict(a, v), wanted, atol=1e-5)


def test_any_number_of_arguments():
    class Module(nn.Module):
        def forward(self, *xs):
            return xs[0] + 2 * xs[1]

    one = np.ones((1, 3), np.float32)
    assert st.Model(st.from_torch(Module(), input=((3,), (3,)))).predict(one, 5 * one).tolist() == [
        [11.0] * 3
    ]
    net = st.from_torch(Module(), input={"x": (3,), "y": (3,)})
    assert st.Model(net).predict({"y": 5 * one, "x": one}).tolist() == [[11.0] * 3]


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ((1, 8, 8), "takes 3 inputs; got 1 shape"),
        (((1, 8, 8),) * 2, "takes 3 inputs; got 2 shapes"),
        (((1, 8, 8),) * 4, "takes 3 inputs; got 4 shapes"),
        ({"left": (1, 8, 8)}, "right, extra is missing"),
        ({**SHAPES, "extar": (5,)}, "no argument 'extar'"),
        ({**SHAPES, "extra": (0,)}, "(0,) is not the shape"),
        ({**SHAPES, "extra": 5}, "5 is not the shape"),
    ],
)
def test_shapes_that_do_not_suit_the_arguments(input, said):
    with pytest.raises(UsageError) as caught:
        st.from_torch(Siamese(), input=input)
    assert said in str(caught.value) and caught.value.fix


def test_a_module_on_the_command_line_says_which_inputs_it_takes(tmp_path, monkeypatch):
    (tmp_path / "pair.py").write_text(
        "import torch\n"
        "class Pair(torch.nn.Module):\n"
        "    def forward(self, a, b): return a.flatten(1) @ torch.ones(12, 2) + b\n"
        "model = Pair()\n"
    )
    path = str(tmp_path / "pair.py")
    net = load(path, {"a": "2x2x3", "b": "2"})
    assert {name: spec.without_batch for name, spec in net.inputs.items()} == {"a": (3, 2, 2), "b": (2,)}
    with pytest.raises(UsageError, match="takes 2 inputs"):
        load(path, "2x2x3")


def test_keras_files(tmp_path):
    config = {
        "class_name": "Functional", "module": "keras.src.models.functional", "registered_name": "Functional",
        "config": {
            "name": "two",
            "layers": [
                layer("InputLayer", "image", [], batch_shape=[None, 6, 6, 2]),
                layer("InputLayer", "extra", [], batch_shape=[None, 4]),
                layer("Flatten", "flatten", ["image"]),
                layer("Concatenate", "join", ["flatten", "extra"], axis=-1),
                layer("Dense", "dense", ["join"], units=3, activation="linear", use_bias=True),
            ],
            "input_layers": [["image", 0, 0], ["extra", 0, 0]],
            "output_layers": [["dense", 0, 0]],
        },
    }  # fmt: skip
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((76, 3)).astype(np.float32)
    archive(tmp_path / "two.keras", config, {"dense": [kernel, np.ones(3, np.float32)]})
    model = st.Model.load(tmp_path / "two.keras")
    assert {n: s.without_batch for n, s in model.net.inputs.items()} == {"image": (2, 6, 6), "extra": (4,)}
    x, v = (
        rng.standard_normal((3, 6, 6, 2)).astype(np.float32),
        rng.standard_normal((3, 4)).astype(np.float32),
    )
    wanted = np.concatenate([x.reshape(3, -1), v], 1) @ kernel + 1
    made = model.predict({"image": x.transpose(0, 3, 1, 2).copy(), "extra": v})
    assert np.allclose(made, wanted, atol=1e-4)


def open_onnx(path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((4, 2, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["p"]),
        helper.make_node("GlobalAveragePool", ["p"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Sub", ["f", "b"], ["y"]),
    ]
    shapes = {"b": ["n", "k"], "a": ["n", 2, "h", "w_"]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "two", inputs, [output], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_open_sizes_of_an_onnx_file_are_named_by_input(tmp_path):
    path = str(tmp_path / "two.onnx")
    open_onnx(path)
    net = load(path, {"a": "8x9", "b": "4"})
    assert {n: s.without_batch for n, s in net.inputs.items()} == {"b": (4,), "a": (2, 8, 9)}
    for wish, name in ((None, "b"), ({"a": "8x9"}, "b"), ({"b": "4"}, "a")):
        with pytest.raises(FormatError, match="open") as caught:
            load(path, wish)
        assert caught.value.fix == f'name it: input={{"{name}": "224x224x3"}}'
    x = arrays(2, {"b": (4,), "a": (2, 8, 9)})
    ort = pytest.importorskip("onnxruntime")
    (wanted,) = ort.InferenceSession(path).run(None, x)
    assert np.allclose(st.Model(net).predict(x), wanted, atol=1e-5)


TWO = """
[network]
name = "two"
[network.inputs]
left = "16x16x3"
right = "8"
[[node]]
name = "flat"
op = "flatten"
inputs = ["left"]
[[node]]
name = "join"
op = "concat"
inputs = ["flat", "right"]
"""


def test_sizes_by_name(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TWO)

    def shapes(wish):
        return {n: s.without_batch for n, s in load(path, wish).inputs.items()}

    assert shapes(None) == {"left": (3, 16, 16), "right": (8,)}
    assert shapes({"right": "64"}) == {"left": (3, 16, 16), "right": (64,)}
    assert shapes({"left": "20x24", "right": (9,)}) == {"left": (3, 20, 24), "right": (9,)}
    for wish, said in (
        ("20x20", 'input={"left": "16x16x3", "right": "8"}'),
        ((3, 8, 8), 'input={"left": "16x16x3", "right": "8"}'),
        ({"lft": "8"}, 'input={"left": "16x16x3"}'),
        ({"right": "8x8"}, "such as 8"),
        ({"left": "8x8x8x8"}, "such as 16x16x3"),
        ({"left": (3, 0, 8)}, "such as 224x224x3"),
    ):
        with pytest.raises(NotationError) as caught:
            load(path, wish)
        assert caught.value.fix == said


def test_the_source_for_pytorch_names_its_arguments(tmp_path):
    model = st.Model(st.from_torch(Siamese(), input=SHAPES))
    from striate.formats.torch import striate_metadata
    from striate.formats.torch.python_source import source

    text = source(model.net)
    assert all(f"{name}: torch.Tensor" in text for name in SHAPES)
    assert striate_metadata.network(text) == model.net
    earlier = source(model.net, named=False)  # as earlier versions wrote it
    assert "x1: torch.Tensor" in earlier and striate_metadata.network(earlier) == model.net
    module = model.to_torch()
    x = {name: torch.from_numpy(array) for name, array in arrays().items()}
    with torch.no_grad():
        assert torch.equal(module(*x.values()), module(extra=x["extra"], right=x["right"], left=x["left"]))


def test_onnx_keeps_the_names(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    model = st.Model(st.from_torch(Siamese(), input=SHAPES))
    model.export(tmp_path / "m.onnx")
    session, x = ort.InferenceSession(str(tmp_path / "m.onnx")), arrays()
    assert [i.name for i in session.get_inputs()] == list(SHAPES)
    assert np.allclose(session.run(None, x)[0], model.predict(x), atol=1e-5)
